"""The lanes of `telemetry` as a lane of `anomalies` sees them: what came already, and which time it
is.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from streams.state.chunks import seal, unseal
from streams.state.rows import RowCodec, Rows, SingleRow
from streams.state.watermark import WENT_BACK_US, elapsed

NEVER: Final = -(2**63)
"""Earlier than every time, µs; also below every offset."""

_VERSION: Final = 2
_LANE: Final = struct.Struct("<qqqq")
_TIME: Final = struct.Struct("<qqq")
_OLD_TIME: Final = struct.Struct("<qq")
"""Of version 1; a source lane's row is the same in both."""
_TIME_KEY: Final = b"time"
_LANE_KEY: Final = b"source/"


@dataclass(slots=True)
class _Source:
    """One source lane: the highest (offset, ordinal) that came, its watermark, and the append time
    at which that last moved; µs.
    """

    offset: int = NEVER
    ordinal: int = 0
    watermark: int = NEVER
    moved_at: int = NEVER


def _source_row(source: _Source) -> bytes:
    body = _LANE.pack(source.offset, source.ordinal, source.watermark, source.moved_at)
    return seal(_VERSION, body)


def _source_from(value: bytes) -> _Source:
    # A source lane's row is the same in both versions.
    return _Source(*_LANE.unpack(unseal(value, _VERSION, "source lanes")[1]))


_SOURCES: Final[RowCodec[int, _Source]] = RowCodec(
    _LANE_KEY, lambda lane: b"%d" % lane, int, _source_row, _source_from
)


class SourceLanes:
    """Event time out of the watermarks of many lanes.

    `time` is the lowest watermark of the lanes that moved within `active_us` of `append`; it never
    goes back, and does not move while no lane does. `append` is the append time that has passed: it
    begins as the first record's and grows by what lies between records, so that a broker's clock
    that was ahead for a while leaves nothing behind. All times µs.

    An anomaly at or below the highest (offset, ordinal) of its lane came before: detect writes a
    lane's anomalies in this order and, after a fault, some of them again. A watermark came before
    if it is not above the lane's last; it has no position in that order, since the record that
    closes a bucket may itself be anomalous and is judged after the close.
    """

    def __init__(self, active_us: int) -> None:
        self._active_us: Final = active_us
        self._lanes: Final = Rows(_SOURCES)
        self.time = NEVER
        self.append = NEVER
        self.came_before = 0
        """Anomalies that were not new, since the start."""
        self.taken_back = 0
        """Lanes whose log was seen to end before the highest offset that an anomaly had named,
        since the start.
        """
        self.stamped = NEVER
        """The append time that the next one is compared with."""
        self._time_row: Final = SingleRow(_TIME_KEY, self._to_row)
        # A lane that saw no record stores no time.
        self._time_row.settle()

    def appended(self, append_time: int, max_us: int | None = None) -> int:
        """Note when a record was appended; returns what `append` is now. At most `max_us` can have
        passed since the record before, if that is known.

        Brokers' clocks differ a little, so an append time that is a little earlier than the one
        before moves nothing. One that is much earlier is that of a clock that went back, or of the
        one that is right, and is followed.
        """
        if self.stamped == NEVER:
            self.append = append_time
        elif append_time > self.stamped:
            self.append += elapsed(self.stamped, append_time, max_us)
        elif append_time >= self.stamped - WENT_BACK_US:
            return self.append
        self.stamped = append_time
        return self.append

    def is_new(self, lane: int, offset: int, ordinal: int) -> bool:
        """Whether the anomaly at this position is above all that came from its lane. It counts as
        come from now on.
        """
        source = self._lanes.setdefault(lane, _Source())
        if (offset, ordinal) <= (source.offset, source.ordinal):
            self.came_before += 1
            return False
        source.offset, source.ordinal = offset, ordinal
        return True

    def moved(self, lane: int, offset: int, watermark: int, append_time: int) -> None:
        """Note a watermark that the lane's record at `offset` made. One that is not above the
        lane's last moves nothing.

        A lane makes its anomalies and watermarks in the order of its records, so that no anomaly
        before a new watermark can have named a later record. One that did named a position beyond
        the end of the log. It no longer counts: otherwise all that comes until the log is there
        would seem to have come before.
        """
        source = self._lanes.setdefault(lane, _Source())
        now = self.appended(append_time)
        if watermark > source.watermark:
            source.watermark, source.moved_at = watermark, now
            if offset < source.offset:
                source.offset, source.ordinal = offset, NEVER
                self.taken_back += 1

    def passed(self, append_time: int) -> None:
        """Note that a record was appended at this time; `time` moves on where it can."""
        self.appended(append_time)
        self.settle()

    def settle(self) -> None:
        """Move `time` on where it can, after a record."""
        active = [
            source.watermark for source in self._lanes.view().values() if self._is_active(source)
        ]
        if active and min(active) > self.time:
            self.time = min(active)

    def time_of(self, lane: int) -> int:
        """Event time up to which all that concerns `lane` is known: `time`, or the lane's own
        watermark while it is active and behind.

        It is behind where its first record comes after the others moved on, since `time` never goes
        back.
        """
        source = self._lanes.view().get(lane)
        return min(self.time, source.watermark) if source and self._is_active(source) else self.time

    def own_time_of(self, lane: int) -> int:
        """The lane's own watermark while no lane is active, else NEVER.

        Detect writes its watermark only where it wrote something recently, so that the lanes that
        hold `time` back may all have become idle.
        """
        source = self._lanes.view().get(lane)
        return NEVER if source is None or self.append <= self.still_at else source.watermark

    @property
    def still_at(self) -> int:
        """Append time after which no lane is active, unless one moves before."""
        return (
            max((source.moved_at for source in self._lanes.view().values()), default=NEVER)
            + self._active_us
        )

    def moved_at(self, lane: int) -> int:
        """Append time at which the lane's watermark last moved; NEVER before the first time."""
        source = self._lanes.view().get(lane)
        return NEVER if source is None else source.moved_at

    def _is_active(self, source: _Source) -> bool:
        return source.moved_at != NEVER and source.moved_at >= self.append - self._active_us

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Restore its rows of these, as `changed` returned them. Raises NewerState."""
        rows = list(rows)
        self._lanes.restore(rows)
        for key, value in rows:
            if key == _TIME_KEY:
                layout, body = unseal(value, _VERSION, "source lanes")
                if layout == 1:
                    self.time, self.append = _OLD_TIME.unpack(body)
                    self.stamped = self.append
                else:
                    self.time, self.append, self.stamped = _TIME.unpack(body)
        self._time_row.settle()

    def changed(self) -> list[tuple[bytes, bytes | None]]:
        """Rows that changed since the last call."""
        return [*self._lanes.changes(), *self._time_row.changes()]

    def _to_row(self) -> bytes:
        return seal(_VERSION, _TIME.pack(self.time, self.append, self.stamped))


def is_row(key: bytes) -> bool:
    """Whether the row under this key belongs to SourceLanes."""
    return key == _TIME_KEY or key.startswith(_LANE_KEY)
