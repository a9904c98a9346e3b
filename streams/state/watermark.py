"""The event time up to which a lane regards its records as complete: moved by records only, and
computed per record.

Append times come from the clocks of several brokers, any of which may be wrong, briefly or for
long. So none of them is trusted alone: an event moves time no further than its own time, and a tick
no further than the time that its worker measured.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

UNMEASURED_US: Final = 2_000_000
"""How far a tick without a measured time moves event time at most, µs. Only older workers send such
ticks, about one a second.
"""

WENT_BACK_US: Final = 60_000_000
"""An append time this far behind a time that an earlier event and its append time had both reached
comes from a broker whose clock is wrong, µs.
"""


@dataclass(frozen=True, slots=True)
class Clock:
    """The event time of a lane, all in µs. `time` is the watermark plus the allowed lateness.
    `append` is the append time up to which it was moved: that of the last event which moved it,
    plus what ticks have counted since. Late and bad records say nothing about time.

    An event moves `time` to min(event time, append time), if that is later, so a producer whose
    clock is ahead closes no bucket of another. A tick moves it by what passed since `append`, so
    that a lane whose events are behind the wall clock (a slow producer, a replay) is not pushed
    past them. What one tick does not count is left for the next, so a forged tick that reports no
    time holds nothing back.

    What passed is the lesser of what the tick's worker measured and the difference of both append
    times: neither a forged tick nor a jump of a broker's clock moves time alone. When the broker's
    clock is set back, the next tick counts from the earlier time.
    """

    time: int = 0
    append: int = 0

    def advanced(self, event_times: Int64s, append_times: Int64s) -> tuple[Int64s, "Clock"]:
        """`time` as every event left it, shape (n,), and the clock after the last."""
        if not len(event_times):
            return event_times, self
        times = np.maximum.accumulate(np.minimum(event_times, append_times))
        np.maximum(times, self.time, out=times)
        time = int(times[-1])
        if time == self.time:
            return times, self
        # `times` never decreases, so the first event with the final time is the one that moved it.
        return times, Clock(time, int(append_times[np.searchsorted(times, time)]))

    def ticked(self, append_time: int, passed: int | None = None) -> "Clock":
        """The clock after a tick whose worker measured `passed` µs (None: not given). Before the
        first event there is no time that a tick could move.

        >>> Clock(time=100, append=5_000).ticked(5_030, 30)
        Clock(time=130, append=5030)
        >>> Clock(time=100, append=5_000).ticked(1_800_005_000, 30)
        Clock(time=130, append=5030)
        """
        if self.time == 0:
            return self
        counted = elapsed(self.append, append_time, UNMEASURED_US if passed is None else passed)
        return Clock(self.time + counted, min(self.append + counted, append_time))

    def at(self, append_time: int) -> int:
        """The event time to give a record that moves none, such as a refused one: `time` plus what
        has passed since `append`. Before the first event, its append time.

        >>> clock = Clock(time=100, append=5_000)
        >>> clock.at(9_000), clock.at(3_000), Clock().at(9_000)
        (4100, 100, 9000)
        """
        return (
            append_time if self.time == 0 else self.time + elapsed(self.append, append_time, None)
        )


def elapsed(before: int, after: int, most: int | None) -> int:
    """Time between two append times, µs, limited to `most`; 0 when the clock was set back."""
    passed = max(after - before, 0)
    return passed if most is None else min(passed, most)


@dataclass(frozen=True, slots=True)
class Stamps:
    """Which clock is wrong when an event is ahead of its append time: the producer's, or the
    broker's.

    `reached` is the time, µs, that an event and its append time last agreed on, or that later
    events have continued to from there. A pure function of a lane's events in order; only the
    reason that is reported depends on it.
    """

    reached: int = 0

    def judged(
        self, event_times: Int64s, append_times: Int64s, max_ahead: int
    ) -> tuple[Bools | None, Bools | None, "Stamps"]:
        """Which events are more than `max_ahead` µs ahead of their append time; for which of these
        the broker's clock is at fault; and the stamps after them. Both masks have shape (n,), and
        are None where no event is ahead.
        """
        if not len(event_times):
            return None, None, self
        newest, earliest = int(event_times.max()), int(append_times.min())
        if newest <= earliest:
            # The usual case: all events are older than all append times, so none is ahead, and
            # each event's own time is the lesser of both.
            reached = max(self.reached, newest)
            if reached - earliest <= WENT_BACK_US:
                return None, None, Stamps(reached)
        ahead = event_times - append_times > max_ahead
        if not ahead.any():
            reached = max(self.reached, int(np.minimum(event_times, append_times).max()))
            if reached - int(append_times.min()) <= WENT_BACK_US:
                return None, None, Stamps(reached)
            return None, None, self._one_by_one(event_times, append_times, max_ahead, ahead)[1]
        behind, after = self._one_by_one(event_times, append_times, max_ahead, ahead)
        return ahead, behind, after

    def _one_by_one(
        self, event_times: Int64s, append_times: Int64s, max_ahead: int, ahead: Bools
    ) -> tuple[Bools, "Stamps"]:
        behind = np.zeros(len(ahead), bool)
        reached = self.reached
        pairs = zip(event_times.tolist(), append_times.tolist(), ahead.tolist(), strict=True)
        for index, (event, append, is_ahead) in enumerate(pairs):
            went_back = reached - append > WENT_BACK_US
            if is_ahead:
                behind[index] = went_back
                if went_back and event - reached <= max_ahead:
                    reached = max(reached, event)
            elif not went_back:
                reached = max(reached, min(event, append))
            elif append - event <= max_ahead:
                # Producer and broker agree: what was reached before was the wrong time.
                reached = min(event, append)
        return behind, Stamps(reached)
