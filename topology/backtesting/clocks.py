"""Rows of a trace whose clock is ahead. In a worker the time at which the broker took a record
tells them; in a trace, which does not say it, the rows that follow.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_FOLLOWING: Final = 32
"""Rows after one that are asked."""
_LEAST: Final = 8
"""Where fewer follow, nothing is said: the end of a trace may be out of order."""
_SHARE: Final = 0.75
"""Share of these that must be behind: a few of them may be ahead too, or early."""


def ahead_of_the_rest(times: Int64s, max_ahead_us: int) -> Bools | None:
    """Which event times (µs, in the order of the trace) are more than `max_ahead_us` ahead of most
    of the rows that follow; None when none is. One such row would make all after it late.

    >>> ahead_of_the_rest(np.array([0, 500, *range(1, 10)]), 100).nonzero()
    (array([1]),)
    >>> ahead_of_the_rest(np.array([0, 1, 500, 501]), 100) is None
    True
    """
    if not len(times) or int((np.maximum.accumulate(times) - times).max()) <= max_ahead_us:
        return None
    behind, asked = np.zeros(len(times)), np.zeros(len(times))
    for step in range(1, min(_FOLLOWING + 1, len(times))):
        asked[:-step] += 1
        behind[:-step] += times[step:] < times[:-step] - max_ahead_us
    ahead: Bools = (asked >= _LEAST) & (behind >= _SHARE * asked)
    return ahead if ahead.any() else None
