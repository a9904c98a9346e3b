"""All that a lane of alert remembers, and the rows it is kept as."""

import struct
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final, Self

from agents.alerting import correlate_lanes, paging, silences, summaries, tracked_incident
from agents.alerting.correlate_lanes import CorrelateLanes
from agents.alerting.journal import NotificationJournal
from agents.alerting.paging import PageCount, Paging
from agents.alerting.settings import AlertSettings
from agents.alerting.silences import Silences
from agents.alerting.summaries import Summaries
from agents.alerting.thread import Thread
from agents.alerting.tracked_incident import TrackedIncident
from schemas.records.incidents import Incident
from streams.state.chunks import NewerState, seal, unseal

JOURNAL_KEY: Final = b"ledger"

_VERSION: Final = 1
_OFFSET: Final = struct.Struct("<q")
THREAD_KEY: Final = b"told/"
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
    """The parts of the state. Who changes a row of `threads`, `open`, `commands` or the journal puts
    its key into `touched`.
    """

    def __init__(self, settings: AlertSettings, lane: int, pages: PageCount | None) -> None:
        self.journal: Final = NotificationJournal(lane)
        self.summaries: Final = Summaries(settings)
        self.silences: Final = Silences()
        self.paging: Final = Paging(lane, pages)
        self.threads: Final[dict[bytes, Thread]] = {}
        """What each receiver was told, by `thread_key`."""
        self.open: Final[dict[str, TrackedIncident]] = {}
        """Open incidents, by id."""
        self.sources: Final = CorrelateLanes(round(settings.alert_max_age_s * 1e6))
        self.commands: Final[dict[int, int]] = {}
        """The offset up to which commands were obeyed, by partition."""
        self.touched: Final = Touched()

    def receivers(self) -> frozenset[str]:
        """Names of all receivers that something is remembered of."""
        talking = frozenset(thread.receiver for thread in self.threads.values())
        return talking | self.summaries.receivers() | self.paging.receivers()

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Take over what `changed` gave, tombstones left out. Raises NewerState."""
        for key, value in rows.items():
            if key.startswith(THREAD_KEY):
                self.threads[key] = Thread.from_row(value)
            elif key == JOURNAL_KEY:
                self.journal.restore(value)
            elif key.startswith(tracked_incident.KEY):
                self.open[key.removeprefix(tracked_incident.KEY).decode()] = (
                    TrackedIncident.from_row(value)
                )
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
        if key == JOURNAL_KEY:
            return self.journal.row()
        if key.startswith(tracked_incident.KEY):
            known = self.open.get(key.removeprefix(tracked_incident.KEY).decode())
            return None if known is None else known.row()
        if key.startswith(_COMMANDS_KEY):
            return seal(_VERSION, _OFFSET.pack(self.commands[int(key.removeprefix(_COMMANDS_KEY))]))
        return self.threads[key].row() if key in self.threads else None


def thread_key(incident: Incident, receiver: str) -> bytes:
    """Of the thread with this receiver about this incident."""
    return b"%s%s/%s" % (THREAD_KEY, incident.id.encode(), receiver.encode())


def commands_key(partition: int) -> bytes:
    """Of a partition of `commands`."""
    return b"%s%d" % (_COMMANDS_KEY, partition)


def _offset(value: bytes) -> int:
    (offset,) = _OFFSET.unpack(unseal(value, _VERSION, "commands")[1])
    return int(offset)
