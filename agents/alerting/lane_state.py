"""The state of a lane of alert, and the rows that it is stored as."""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from agents.alerting import command_offsets, correlate_lanes, journal, paging, silences, summaries
from agents.alerting.command_offsets import CommandOffsets
from agents.alerting.correlate_lanes import CorrelateLanes
from agents.alerting.journal import NotificationJournal
from agents.alerting.paging import PageCount, Paging
from agents.alerting.settings import AlertSettings
from agents.alerting.silences import Silences
from agents.alerting.summaries import Summaries
from agents.alerting.thread import Thread
from agents.alerting.tracked_incident import TrackedIncident
from streams.state.chunks import NewerState
from streams.state.rows import RowCodec, Rows, by_row_key

_OPEN: Final[RowCodec[str, TrackedIncident]] = RowCodec(
    b"open/", str.encode, bytes.decode, TrackedIncident.row, TrackedIncident.from_row
)
_THREADS: Final = by_row_key(b"told/", Thread.row, Thread.from_row)

_IS_ROW: Final = (
    _OPEN.is_row,
    _THREADS.is_row,
    journal.is_row,
    command_offsets.is_row,
    correlate_lanes.is_row,
    summaries.is_row,
    silences.is_row,
    paging.is_row,
)
"""Whether a row belongs to one of the parts."""


class _Part(Protocol):
    """A part of the state that knows which of its rows changed."""

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None: ...

    def changes(self) -> list[tuple[bytes, bytes | None]]: ...


class LaneState:
    """The parts of the state. Each knows what changed in it; `threads` and `open` are read through
    `view` where nothing is to change, since a flush compares all that they handed out.
    """

    def __init__(self, settings: AlertSettings, lane: int, pages: PageCount | None) -> None:
        self.journal: Final = NotificationJournal(lane)
        self.summaries: Final = Summaries(settings)
        self.silences: Final = Silences()
        self.paging: Final = Paging(lane, pages)
        self.threads: Final = Rows(_THREADS)
        """Messages to each receiver about each incident, by `thread_key`."""
        self.open: Final = Rows(_OPEN)
        """Open incidents, by id."""
        self.sources: Final = CorrelateLanes(round(settings.alert_max_age_s * 1e6))
        self.commands: Final = CommandOffsets()

    def receivers(self) -> frozenset[str]:
        """Names of all receivers that the state knows."""
        talking = frozenset(thread.receiver for thread in self.threads.view().values())
        return talking | self.summaries.receivers() | self.paging.receivers()

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Restore the rows of `changes`, without tombstones. Raises NewerState."""
        for key in rows:
            if not any(is_row(key) for is_row in _IS_ROW):
                raise NewerState(f"alert's state has a row {key!r} that this program does not know")
        for part in self._parts():
            part.restore(rows.items())

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """Key and value of every row that changed since the last call, at most one for a key; None
        for a row that is gone.
        """
        return [row for part in self._parts() for row in part.changes()]

    def _parts(self) -> tuple[_Part, ...]:
        return (
            self.journal,
            self.open,
            self.threads,
            self.commands,
            self.sources,
            self.summaries,
            self.silences,
            self.paging,
        )


def thread_key(incident_id: str, receiver: str) -> bytes:
    """Key of the thread with this receiver about this incident."""
    return b"%s%s/%s" % (_THREADS.prefix, incident_id.encode(), receiver.encode())
