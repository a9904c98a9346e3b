"""The state of a lane of alert, and the rows that it is stored as."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, Protocol, Self

from agents.alerting import (
    command_offsets,
    correlate_lanes,
    paging,
    silences,
    summaries,
    tracked_incident,
)
from agents.alerting.command_offsets import CommandOffsets
from agents.alerting.correlate_lanes import CorrelateLanes
from agents.alerting.journal import NotificationJournal
from agents.alerting.paging import PageCount, Paging
from agents.alerting.settings import AlertSettings
from agents.alerting.silences import Silences
from agents.alerting.summaries import Summaries
from agents.alerting.thread import Thread
from agents.alerting.tracked_incident import TrackedIncident
from schemas.records.incidents import Incident
from streams.state.chunks import NewerState

JOURNAL_KEY: Final = b"ledger"

THREAD_KEY: Final = b"told/"

_PARTS: Final = (command_offsets, correlate_lanes, summaries, silences, paging)
"""Modules whose rows are stored by the part itself."""


class _Part(Protocol):
    """A part of the state that stores its own rows."""

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None: ...

    def changed(self) -> list[tuple[bytes, bytes | None]]: ...


class Touched(set[bytes]):
    """Keys of the rows that changed since they were last written.

    `news` has the keys that changed since `Reminders` last looked at them.
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
    """The parts of the state.

    A change to `threads`, `open` or the journal must add the row's key to `touched`: a row that is
    not touched is not stored. The other parts note their own changes.
    """

    def __init__(self, settings: AlertSettings, lane: int, pages: PageCount | None) -> None:
        self.journal: Final = NotificationJournal(lane)
        self.summaries: Final = Summaries(settings)
        self.silences: Final = Silences()
        self.paging: Final = Paging(lane, pages)
        self.threads: Final[dict[bytes, Thread]] = {}
        """Messages to each receiver about each incident, by `thread_key`."""
        self.open: Final[dict[str, TrackedIncident]] = {}
        """Open incidents, by id."""
        self.sources: Final = CorrelateLanes(round(settings.alert_max_age_s * 1e6))
        self.commands: Final = CommandOffsets()
        self.touched: Final = Touched()

    def receivers(self) -> frozenset[str]:
        """Names of all receivers that the state knows."""
        talking = frozenset(thread.receiver for thread in self.threads.values())
        return talking | self.summaries.receivers() | self.paging.receivers()

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Restore the rows of `changed`, without tombstones. Raises NewerState."""
        for key, value in rows.items():
            if key.startswith(THREAD_KEY):
                self.threads[key] = Thread.from_row(value)
            elif key == JOURNAL_KEY:
                self.journal.restore(value)
            elif key.startswith(tracked_incident.KEY):
                self.open[key.removeprefix(tracked_incident.KEY).decode()] = (
                    TrackedIncident.from_row(value)
                )
            elif not any(part.is_row(key) for part in _PARTS):
                raise NewerState(f"alert's state has a row {key!r} that this program does not know")
        for part, module in zip(self._parts(), _PARTS, strict=True):
            part.restore((key, value) for key, value in rows.items() if module.is_row(key))

    def changed(self) -> list[tuple[bytes, bytes | None]]:
        """Key and value of every row that changed since the last call, at most one for a key; None
        for a row that is gone.
        """
        rows = [(key, self._row(key)) for key in sorted(self.touched)]
        self.touched.clear()
        return rows + [row for part in self._parts() for row in part.changed()]

    def _parts(self) -> tuple[_Part, ...]:
        """Those of `_PARTS`, in the same order."""
        return self.commands, self.sources, self.summaries, self.silences, self.paging

    def _row(self, key: bytes) -> bytes | None:
        if key == JOURNAL_KEY:
            return self.journal.row()
        if key.startswith(tracked_incident.KEY):
            known = self.open.get(key.removeprefix(tracked_incident.KEY).decode())
            return None if known is None else known.row()
        return self.threads[key].row() if key in self.threads else None


def thread_key(incident: Incident, receiver: str) -> bytes:
    """Key of the thread with this receiver about this incident."""
    return b"%s%s/%s" % (THREAD_KEY, incident.id.encode(), receiver.encode())
