"""The lanes of correlate as a lane of alert sees them: which records of incidents came before, so
that each is processed once.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from agents.alerting.tracked_incident import TrackedIncident
from schemas.records.incidents import Incident, IncidentState
from streams.state.chunks import seal, unseal
from streams.state.rows import RowCodec, Rows

_VERSION: Final = 2
_LANE: Final = struct.Struct("<qqqq")
_OLD_LANE: Final = struct.Struct("<qq")
"""Of version 1, which had the highest alone."""
_ENDED_VERSION: Final = 1
_AT: Final = struct.Struct("<q")

_MAX_ENDED: Final = 20_000
_MIN_KEPT_US: Final = 3_600_000_000

Position = tuple[int, int]
"""Offset and ordinal in a lane of correlate; they rise."""


@dataclass(slots=True)
class _Progress:
    """How far one lane of correlate is."""

    highest: Position
    """The highest that any record of the lane has named."""
    believed: Position
    """That of the last new record: below the highest where that named what cannot have been."""


def _lane_row(lane: _Progress) -> bytes:
    return seal(_VERSION, _LANE.pack(*lane.highest, *lane.believed))


def _lane_from(value: bytes) -> _Progress:
    version, body = unseal(value, _VERSION, "correlate lanes")
    fields = _LANE.unpack(body) if version > 1 else _OLD_LANE.unpack(body) * 2
    return _Progress(fields[:2], fields[2:])


def _ended_row(at: int) -> bytes:
    return seal(_ENDED_VERSION, _AT.pack(at))


def _ended_from(value: bytes) -> int:
    (at,) = _AT.unpack(unseal(value, _ENDED_VERSION, "ended incidents")[1])
    return int(at)


_LANES: Final[RowCodec[int, _Progress]] = RowCodec(
    b"source/", lambda lane: b"%d" % lane, int, _lane_row, _lane_from
)
_ENDED: Final[RowCodec[str, int]] = RowCodec(
    b"ended/", str.encode, bytes.decode, _ended_row, _ended_from
)


class CorrelateLanes:
    """How far each lane of correlate is, and which incidents ended recently.

    Correlate writes a lane's records in the order of their positions and, after a fault, some of
    them again: a record above the highest position is new, and one at or below it came before. But
    a record from elsewhere may name a position beyond all that correlate will reach; then
    everything after it would seem to have come before. So a record at or below the highest position
    is examined: it came before if its incident is open with this revision or a later one, or ended
    recently, or if it is so old that it would only be listed in a summary. Otherwise it is new, and
    the lane is where the record says.
    """

    def __init__(self, max_age_us: int) -> None:
        self._max_age_us: Final = max_age_us
        self._kept_us: Final = max(2 * max_age_us, _MIN_KEPT_US)
        self._lanes: Final = Rows(_LANES)
        self._ended: Final = Rows(_ENDED)
        """When each incident that ended came here, wall clock, µs, by id, ascending: a clock that
        goes back does not.
        """
        self._newest = 0
        self.taken_back = 0
        """How often a lane turned out to be before a position that it named, since the start."""

    def is_new(self, incident: Incident, known: TrackedIncident | None, now: int) -> bool:
        """Whether the record did not come before; it counts as come from now on. `known` is the
        incident as it is tracked, if it is open.
        """
        position = (incident.offset, incident.ordinal)
        lane = self._lanes.get(incident.lane)
        if lane is None:
            self._lanes[incident.lane] = _Progress(position, position)
        elif position > lane.highest:
            lane.highest = lane.believed = position
        elif self._came_before(incident, known, now, position > lane.believed):
            return False
        else:
            self.taken_back += position <= lane.believed
            lane.believed = position
        if incident.state is not IncidentState.OPEN:
            self._end(incident.id, now)
        return True

    def _came_before(
        self, incident: Incident, known: TrackedIncident | None, now: int, goes_on: bool
    ) -> bool:
        """`goes_on`: the record is above the position that its lane is believed to have reached."""
        if known is not None:
            return incident.revision <= known.incident.revision
        return incident.id in self._ended or not (
            goes_on or now - incident.updated_at <= self._max_age_us
        )

    def _end(self, name: str, now: int) -> None:
        """Remember an end for as long as another record of the incident could seem new."""
        self._newest = max(self._newest, now)
        # Removed first, so that it is the last in the order of times.
        self._ended.pop(name, None)
        self._ended[name] = self._newest
        forgotten = None
        for one, at in list(self._ended.view().items()) if self._is_full(now) else ():
            # Those of one time go together: a restored lane does not know their order.
            if at == self._newest or not (at == forgotten or self._is_full(now)):
                break
            forgotten = at
            del self._ended[one]

    def _is_full(self, now: int) -> bool:
        """Whether the oldest end is to be forgotten."""
        oldest = next(iter(self._ended.view().values()), self._newest)
        return oldest < now - self._kept_us or len(self._ended) > _MAX_ENDED

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Restore its rows of these, as `changes` returned them. Raises NewerState."""
        rows = list(rows)
        self._lanes.restore(rows)
        ended = [(_ended_from(value), key, value) for key, value in rows if _ENDED.is_row(key)]
        # A topic returns rows in the order in which they were written last, not that of the times.
        self._ended.restore((key, value) for _, key, value in sorted(ended))
        self._newest = max((at for at, _, _ in ended), default=0)

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """Rows that changed since the last call."""
        return [*self._ended.changes(), *self._lanes.changes()]


def is_row(key: bytes) -> bool:
    """Whether the row under this key belongs to CorrelateLanes."""
    return _ENDED.is_row(key) or _LANES.is_row(key)
