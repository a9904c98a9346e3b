"""The event time up to which a lane takes its records as complete: moved by records only, computed per record."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Clock:
    """Where a lane's event time stands. All in µs; `time` is the watermark plus the lateness.

    An event moves `time` to min(event time, append time), if that is later: a producer whose clock is ahead closes nobody's buckets. A tick moves it
    by the append time that passed since the record before, so that a lane whose events lie behind the wall clock (a producer's lag, a replay) is not
    pushed past them.
    """

    time: int = 0
    append: int = 0

    def advanced(self, event_times: Int64s, append_times: Int64s) -> tuple[Int64s, "Clock"]:
        """`time` as every event left it, shape (n,), and the clock after the last."""
        times = np.maximum.accumulate(np.minimum(event_times, append_times))
        np.maximum(times, self.time, out=times)
        return times, Clock(int(times[-1]), max(self.append, int(append_times.max())))

    def ticked(self, append_time: int) -> "Clock":
        """After a tick; before the first event there is no time that it could move.

        >>> Clock(time=100, append=5_000).ticked(5_030)
        Clock(time=130, append=5030)
        """
        if self.time == 0:
            return self
        passed = max(append_time - self.append, 0)
        return Clock(self.time + passed, self.append + passed)
