"""The level of one application's faults: a cumulative sum (Page, Biometrika 1954).

It goes up by one for a faulty record and down by one for another, never below 0. When it reaches a
limit the application is reported; from then on it counts the other way, and at the limit again the
fault is over. Records before the level was last 0 need no forgetting: they no longer count.
"""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from agents.detection.intake.faulty import NO_TIME, Faulty

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MAX_KINDS: Final = 8
"""Different kinds of fault that are counted apart."""


@dataclass(slots=True)
class Level:
    """The cumulative sum of one application, and what was counted since it was 0."""

    reported: bool = False
    """Whether it is reported, and not over."""
    level: int = 0
    faulty: int = 0
    """Of `total` records since the level was last 0."""
    total: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    min_skew_us: int = 0
    max_skew_us: int = 0
    """Of append time less event time of the faulty ones."""
    timed: int = 0
    """Faulty records that say their event time."""
    offset: int = -1
    event_time: int = NO_TIME
    append_time: int = 0
    """All three of the last faulty one; the append time is known though the level was 0 since."""
    heard: bool = True
    """Whether a reported one had a record, faulty or not, since the last bucket was closed."""
    bucket: int = 0
    """The first open bucket when that was last so."""
    silent: bool = False
    """Whether it was reported that no records come."""

    def clear(self) -> None:
        """Count from 0 again; what is known of its reports stays."""
        kept = {
            part: getattr(self, part)
            for part in ("reported", "append_time", "heard", "bucket", "silent")
        }
        self.__init__(**kept)  # type: ignore[misc]

    def flip(self) -> "Level":
        """It is reported, or over. Returns the level as it was then; counting begins again."""
        self.reported, self.silent = not self.reported, False
        seen = replace(self)
        self.clear()
        return seen

    def run(self, is_faulty: Bools, limit: int) -> "Run":
        """How far the level gets with these records, shape (n,), at most to where it is `limit`."""
        steps = np.where(is_faulty != self.reported, 1, -1)
        sums = self.level + np.cumsum(steps)
        # What would be below 0 is added again: the lowest sum so far, where that is negative.
        levels = sums - np.minimum(np.minimum.accumulate(sums), 0)
        reached = np.flatnonzero(levels >= limit)
        count = int(reached[0]) + 1 if len(reached) else len(levels)
        zeros = np.flatnonzero(levels[:count] == 0)
        return Run(count, int(levels[count - 1]), int(zeros[-1]) + 1 if len(zeros) else 0)

    def apply(self, run: "Run", faulty: Faulty, at: Int64s) -> None:
        """Count the records of `run`; `at` has the indices of faulty ones, -1 for others."""
        if run.zero:
            # Only what came after the last 0 counts, but for the time of the last faulty record.
            self._stamp(faulty, at[: run.zero])
            self.clear()
        self.count(faulty, at[run.zero :])
        self.level = run.level

    def count(self, faulty: Faulty, at: Int64s) -> None:
        """Count records: the indices of faulty ones in `faulty`, -1 for others."""
        wrong = at[at >= 0]
        self.total += len(at)
        self.faulty += len(wrong)
        if not len(wrong):
            return
        kinds = faulty.kind_of[wrong]
        codes, first, counts = np.unique(kinds, return_index=True, return_counts=True)
        # In the order in which they came: the first ones are counted apart.
        for code in np.argsort(first).tolist():
            kind = faulty.kinds[int(codes[code])]
            if kind in self.kinds or len(self.kinds) < MAX_KINDS:
                self.kinds[kind] = self.kinds.get(kind, 0) + int(counts[code])
        last = int(wrong[-1])
        self.offset, self.event_time = int(faulty.offsets[last]), int(faulty.event_times[last])
        self._stamp(faulty, wrong)
        timed = wrong[faulty.event_times[wrong] != NO_TIME]
        if len(timed):
            behind = faulty.append_times[timed] - faulty.event_times[timed]
            lowest, highest = int(behind.min()), int(behind.max())
            self.min_skew_us = min(self.min_skew_us, lowest) if self.timed else lowest
            self.max_skew_us = max(self.max_skew_us, highest) if self.timed else highest
            self.timed += len(timed)

    def _stamp(self, faulty: Faulty, at: Int64s) -> None:
        """Note when the last faulty one of these records was appended."""
        wrong = at[at >= 0]
        if len(wrong):
            self.append_time = int(faulty.append_times[wrong[-1]])


@dataclass(frozen=True, slots=True)
class Run:
    """Records that the level has gone through."""

    count: int
    level: int
    """After them."""
    zero: int
    """How many of them came until the level was 0 for the last time."""
