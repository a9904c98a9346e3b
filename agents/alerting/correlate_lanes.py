"""The lanes of correlate as a lane of alert sees them: which records of incidents came before, so
that each is told once.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from agents.alerting.tracked_incident import TrackedIncident
from schemas.records.incidents import Incident, IncidentState
from streams.state.chunks import seal, unseal

_VERSION: Final = 2
_MARKS: Final = struct.Struct("<qqqq")
_OLD_MARK: Final = struct.Struct("<qq")
"""Of version 1, which had the highest alone."""
_ENDED_VERSION: Final = 1
_AT: Final = struct.Struct("<q")
_LANE_KEY: Final = b"source/"
_ENDED_KEY: Final = b"ended/"

_MOST_ENDED: Final = 20_000
_LEAST_KEPT_US: Final = 3_600_000_000

Place = tuple[int, int]
"""Offset and ordinal in a lane of correlate; they rise."""


@dataclass(slots=True)
class _Marks:
    highest: Place
    """That any record of the lane has named."""
    believed: Place
    """The last one that was taken: below the highest where that named what cannot have been."""


class CorrelateLanes:
    """Where each lane of correlate is, and which incidents ended of late.

    Correlate writes a lane's records in the order of their places and, after a fault, some of them
    again: a record above the highest place is new, and one at or below it came before. But who may
    write to the topic may name a place beyond all that correlate will come to; then everything
    after it would seem to have come before. So a record at or below the highest place is looked at:
    it came before if its incident is open with this revision or a later one, or ended of late, or
    if it is so old that nobody is told of it singly. Otherwise it was never here, and the lane is
    where it says.
    """

    def __init__(self, max_age_us: int) -> None:
        self._max_age_us: Final = max_age_us
        self._kept_us: Final = max(2 * max_age_us, _LEAST_KEPT_US)
        self._lanes: dict[int, _Marks] = {}
        self._ended: dict[str, int] = {}
        """When each incident that ended came here, wall clock, µs, by id, ascending: a clock that
        goes back does not.
        """
        self._newest = 0
        self._touched: set[bytes] = set()
        self.taken_back = 0
        """How often a lane turned out to be before a position that it named, since the start."""

    def is_new(self, incident: Incident, known: TrackedIncident | None, now: int) -> bool:
        """Whether the record was not here before; it counts as come from now on. `known` is how the
        incident stands.
        """
        place = (incident.offset, incident.ordinal)
        marks = self._lanes.get(incident.lane)
        if marks is None:
            self._lanes[incident.lane] = _Marks(place, place)
        elif place > marks.highest:
            marks.highest = marks.believed = place
        elif self._came_before(incident, known, now, place > marks.believed):
            return False
        else:
            self.taken_back += place <= marks.believed
            marks.believed = place
        self._touched.add(b"%s%d" % (_LANE_KEY, incident.lane))
        if incident.state is not IncidentState.OPEN:
            self._end(incident.id, now)
        return True

    def _came_before(
        self, incident: Incident, known: TrackedIncident | None, now: int, goes_on: bool
    ) -> bool:
        """`goes_on`: the record is above what its lane is believed to have come to."""
        if known is not None:
            return incident.revision <= known.incident.revision
        return incident.id in self._ended or not (
            goes_on or now - incident.updated_at <= self._max_age_us
        )

    def _end(self, name: str, now: int) -> None:
        """Remembers an end for as long as a record of it could be taken for a new one."""
        self._newest = max(self._newest, now)
        self._ended.pop(name, None)
        self._ended[name] = self._newest
        self._touched.add(_ENDED_KEY + name.encode())
        forgotten = None
        for one, at in list(self._ended.items()) if self._is_full(now) else ():
            # Those of one time go together: a restored lane does not know their order.
            if at == self._newest or not (at == forgotten or self._is_full(now)):
                break
            forgotten = at
            del self._ended[one]
            self._touched.add(_ENDED_KEY + one.encode())

    def _is_full(self, now: int) -> bool:
        """Whether the oldest is to be forgotten."""
        oldest = next(iter(self._ended.values()), self._newest)
        return oldest < now - self._kept_us or len(self._ended) > _MOST_ENDED

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over the rows that `changed` gave; `is_row` tells which of a lane's rows these are.
        Raises NewerState.
        """
        ended: dict[str, int] = {}
        for key, value in rows:
            if key.startswith(_ENDED_KEY):
                _, body = unseal(value, _ENDED_VERSION, "ended incidents")
                (ended[key.removeprefix(_ENDED_KEY).decode()],) = _AT.unpack(body)
                continue
            version, body = unseal(value, _VERSION, "correlate lanes")
            marks = _MARKS.unpack(body) if version > 1 else _OLD_MARK.unpack(body) * 2
            self._lanes[int(key.removeprefix(_LANE_KEY))] = _Marks(marks[:2], marks[2:])
        self._ended = dict(sorted(ended.items(), key=lambda one: (one[1], one[0])))
        self._newest = max(ended.values(), default=0)

    def changed(self) -> list[tuple[bytes, bytes | None]]:
        """The rows that changed since the last call."""
        rows = [(key, self._row(key)) for key in sorted(self._touched)]
        self._touched.clear()
        return rows

    def _row(self, key: bytes) -> bytes | None:
        if key.startswith(_ENDED_KEY):
            at = self._ended.get(key.removeprefix(_ENDED_KEY).decode())
            return None if at is None else seal(_ENDED_VERSION, _AT.pack(at))
        marks = self._lanes[int(key.removeprefix(_LANE_KEY))]
        return seal(_VERSION, _MARKS.pack(*marks.highest, *marks.believed))


def is_row(key: bytes) -> bool:
    """Whether the row under this key belongs to CorrelateLanes."""
    return key.startswith((_LANE_KEY, _ENDED_KEY))
