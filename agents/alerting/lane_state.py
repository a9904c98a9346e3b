"""All that a lane of alert remembers, and the rows it is kept as."""

import struct
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final, Self

from agents.alerting import correlate_lanes, paging, silences, standing, summaries
from agents.alerting.conversation import Conversation
from agents.alerting.correlate_lanes import CorrelateLanes
from agents.alerting.ledger import Ledger
from agents.alerting.paging import PageCount, Paging
from agents.alerting.settings import AlertSettings
from agents.alerting.silences import Silences
from agents.alerting.standing import Standing
from agents.alerting.summaries import Summaries
from schemas.records.incidents import Incident
from streams.state.chunks import NewerState, seal, unseal

LEDGER_KEY: Final = b"ledger"

_VERSION: Final = 1
_OFFSET: Final = struct.Struct("<q")
TOLD_KEY: Final = b"told/"
_COMMANDS_KEY: Final = b"commands/"


class Touched(set[bytes]):
    """Keys of the rows that changed since they were last written; `news` has those that changed
    since they were last looked at.
    """

    def __init__(self) -> None:
        super().__init__()
        self.news: Final[set[bytes]] = set()

    def add(self, key: bytes) -> None:
        """One row changed."""
        super().add(key)
        self.news.add(key)

    def __ior__(self, keys: AbstractSet[bytes]) -> Self:  # type: ignore[override,misc]  # of bytes alone
        """Several changed."""
        super().update(keys)
        self.news.update(keys)
        return self


class LaneState:
    """The parts of the state. Who changes a row of `talks`, `open`, `commands` or the ledger puts
    its key into `touched`.
    """

    def __init__(self, settings: AlertSettings, lane: int, pages: PageCount | None) -> None:
        self.ledger: Final = Ledger(lane)
        self.summaries: Final = Summaries(settings)
        self.silences: Final = Silences()
        self.paging: Final = Paging(lane, pages)
        self.talks: Final[dict[bytes, Conversation]] = {}
        """What each receiver was told, by `talk_key`."""
        self.open: Final[dict[str, Standing]] = {}
        """Open incidents, by id."""
        self.sources: Final = CorrelateLanes(round(settings.alert_max_age_s * 1e6))
        self.commands: Final[dict[int, int]] = {}
        """The offset up to which commands were obeyed, by partition."""
        self.touched: Final = Touched()

    def receivers(self) -> frozenset[str]:
        """Names of all receivers that something is remembered of."""
        talking = frozenset(talk.receiver for talk in self.talks.values())
        return talking | self.summaries.receivers() | self.paging.receivers()

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Take over what `changed` gave, tombstones left out. Raises NewerState."""
        for key, value in rows.items():
            if key.startswith(TOLD_KEY):
                self.talks[key] = Conversation.from_row(value)
            elif key == LEDGER_KEY:
                self.ledger.restore(value)
            elif key.startswith(standing.KEY):
                self.open[key.removeprefix(standing.KEY).decode()] = Standing.from_row(value)
            elif key.startswith(_COMMANDS_KEY):
                self.commands[int(key.removeprefix(_COMMANDS_KEY))] = _offset(value)
            elif not any(
                part.is_row(key) for part in (correlate_lanes, summaries, silences, paging)
            ):
                raise NewerState(f"alert's state has a row {key!r} that this program does not know")
        self.sources.restore(
            (key, value) for key, value in rows.items() if correlate_lanes.is_row(key)
        )
        self.summaries.restore((key, value) for key, value in rows.items() if summaries.is_row(key))
        self.silences.restore((key, value) for key, value in rows.items() if silences.is_row(key))
        self.paging.restore((key, value) for key, value in rows.items() if paging.is_row(key))

    def changed(self) -> list[tuple[bytes, bytes | None]]:
        """Key and value of every row that changed since the last call, None for one that is gone;
        never more than one a key.
        """
        rows = [(key, self._row(key)) for key in sorted(self.touched)]
        self.touched.clear()
        rows += self.sources.changed()
        return rows + self.summaries.changed() + self.silences.changed() + self.paging.changed()

    def _row(self, key: bytes) -> bytes | None:
        if key == LEDGER_KEY:
            return self.ledger.row()
        if key.startswith(standing.KEY):
            known = self.open.get(key.removeprefix(standing.KEY).decode())
            return None if known is None else known.row()
        if key.startswith(_COMMANDS_KEY):
            return seal(_VERSION, _OFFSET.pack(self.commands[int(key.removeprefix(_COMMANDS_KEY))]))
        return self.talks[key].row() if key in self.talks else None


def talk_key(incident: Incident, receiver: str) -> bytes:
    """Of the conversation with this receiver about this incident."""
    return b"%s%s/%s" % (TOLD_KEY, incident.id.encode(), receiver.encode())


def commands_key(partition: int) -> bytes:
    """Of a partition of `commands`."""
    return b"%s%d" % (_COMMANDS_KEY, partition)


def _offset(value: bytes) -> int:
    (offset,) = _OFFSET.unpack(unseal(value, _VERSION, "commands")[1])
    return int(offset)
