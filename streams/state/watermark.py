"""The event time up to which a lane takes its records as complete: moved by records only, computed
per record.

Append times come from the clocks of several brokers, and any of these may be wrong, for a while or
for long. So none of them is believed alone: an event moves time no further than its own time, and a
tick no further than what its worker says has passed.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

UNMEASURED_US: Final = 2_000_000
"""The most that a tick moves time which does not say how much has passed: those of older workers,
which come every second or so.
"""

WENT_BACK_US: Final = 60_000_000
"""So far behind a time that an earlier event and its append time had both reached is an append time
of a broker whose clock is wrong.
"""


@dataclass(frozen=True, slots=True)
class Clock:
    """Where a lane's event time stands. All in µs; `time` is the watermark plus the lateness,
    `append` the append time up to which it has been moved: that of the last event which moved it,
    and what ticks have counted since. Late and bad records are no sign that time passes, nor that
    it does not.

    An event moves `time` to min(event time, append time), if that is later: a producer whose clock
    is ahead closes nobody's buckets. A tick moves it by what passed since `append`, so that a lane
    whose events lie behind the wall clock (a producer's lag, a replay) is not pushed past them.
    What one tick does not count is left for the next: one that is forged, and says that nothing
    passed, takes nothing away.

    What passed is the less of what the tick's worker measured and of the difference between both
    append times: neither a forged tick nor a broker's clock that jumps moves time alone. A clock
    that went back is followed: the next tick counts from there.
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
        # They never fall: the first that is there moved it there.
        return times, Clock(time, int(append_times[np.searchsorted(times, time)]))

    def ticked(self, append_time: int, passed: int | None = None) -> "Clock":
        """After a tick whose worker says that so much passed (None: it does not say); before the
        first event there is no time that it could move.

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
        """The time of a record that moves none, such as one that is refused: so long after `time`
        as it came after what moved that. Before the first event its append time is all that is
        known.

        >>> clock = Clock(time=100, append=5_000)
        >>> clock.at(9_000), clock.at(3_000), Clock().at(9_000)
        (4100, 100, 9000)
        """
        return (
            append_time if self.time == 0 else self.time + elapsed(self.append, append_time, None)
        )


def elapsed(before: int, after: int, most: int | None) -> int:
    """What passed between two append times, µs; `most` is what is known to have passed at the most.
    Nothing, when the clock went back.
    """
    passed = max(after - before, 0)
    return passed if most is None else min(passed, most)


@dataclass(frozen=True, slots=True)
class Stamps:
    """Which clock is wrong when an event is ahead of its append time: the producer's, or the
    broker's.

    `reached` is the time, µs, that an event and its append time last agreed on, and that events
    which go on from there have reached since. A pure function of a lane's events in order; it
    decides over words alone.
    """

    reached: int = 0

    def judged(
        self, event_times: Int64s, append_times: Int64s, max_ahead: int
    ) -> tuple[Bools | None, Bools | None, "Stamps"]:
        """Which events are more than `max_ahead` ahead of their append time, which of these for
        the broker's clock, and what is known after them.

        None for the first two where no event is ahead.
        """
        if not len(event_times):
            return None, None, self
        newest, earliest = int(event_times.max()), int(append_times.min())
        if newest <= earliest:
            # As in all that is read later than it happened: nothing of it is ahead, and each
            # event's own time is the lesser.
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
