"""The records of a block between two interruptions, and the lane's time at each of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agents.detection.intake.reading import DecodedBlock
from agents.detection.intake.reports import Report
from agents.detection.segment import Columns
from streams.state.watermark import Clock

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Stretch:
    """The records between two ticks or control records: good events, and bad records beside them.
    Arrays are of its events, shape (n,).
    """

    decoded: DecodedBlock
    columns: Columns
    first: int
    """Index of its first event in the block."""
    start: int
    end: int
    """Offsets of its records: from `start` to before `end`."""
    before: Clock
    """The lane's clock before it."""
    offsets: Int64s
    buckets: Int64s
    on_time: Bools | None
    """None when all are."""
    closes: list[tuple[int, int]]
    """Where buckets close: index of the event that causes it, first bucket that stays open."""

    def on_time_in(self, start: int, end: int) -> Bools | None:
        """Which events of a part are on time; None when all are."""
        return None if self.on_time is None else self.on_time[start:end]

    def time_of(self, report: Report) -> int:
        """The lane's time at the record of this report, µs.

        If that event is bad, its append time gives it: a lane of which all records are refused
        would otherwise report with the time of its last good event.
        """
        # The clock before the stretch, moved by the events up to the record.
        count = int(np.searchsorted(self.offsets, report.offset, side="right"))
        events = slice(self.first, self.first + count)
        appended = self.decoded.append_times[events]
        _, clock = self.before.advanced(self.decoded.times[events], appended)
        is_event = count and int(self.offsets[count - 1]) == report.offset
        return clock.at(int(appended[-1]) if is_event else report.append_time)
