"""The rank of a value among recent ones, as a normal score."""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from statistics import NormalDist
from typing import Final

_STANDARD: Final = NormalDist()


class Ranks:
    """Normal scores of values by their rank among the last `memory` values.

    If values are independent and of one distribution, whichever it is, the scores are standard
    normal: what is decided by them has the same false alarms for every distribution.
    """

    __slots__ = ("_by_age", "_least", "_memory", "_sorted")

    def __init__(self, memory: int, least: int) -> None:
        self._memory = memory
        self._least = least
        self._sorted: list[float] = []
        self._by_age: deque[float] = deque()

    @property
    def count(self) -> int:
        """How many values the next one is compared with."""
        return len(self._sorted)

    def update(self, value: float) -> tuple[float, float] | None:
        """Scores of `value` and of its distance from the median; then learn it. None while fewer
        than the least number of values are known. Equal values share the middle of their ranks.
        """
        ordered = self._sorted
        count = len(ordered)
        low = bisect_left(ordered, value)
        scores = None
        if count >= self._least:
            rank = 0.5 * (low + bisect_right(ordered, value, low) + 1)
            share = rank / (count + 1)
            outward = min(max(abs(2.0 * share - 1.0), 1.0 / (count + 1)), count / (count + 1))
            scores = _STANDARD.inv_cdf(share), _STANDARD.inv_cdf(outward)
        insort(ordered, value)
        self._by_age.append(value)
        if count >= self._memory:
            del ordered[bisect_left(ordered, self._by_age.popleft())]
        return scores
