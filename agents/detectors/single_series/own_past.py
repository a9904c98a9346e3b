"""Measures of novelty judged against their own past, and alarms that do not repeat themselves."""

from collections import deque
from typing import Final

_GROWTH: Final = 2.0
_STEP: Final = 5.0


class OwnPast:
    """Novelty divided by 1 + the slowly decaying maximum of earlier novelty: a series that is often
    odd has to become odder.

    The maximum learns at most twice itself plus 5 from one row, so that one wild value does not
    blind the measure for good.
    """

    __slots__ = ("_decay", "_peak")

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._peak = 0.0

    def update(self, novelty: float) -> float:
        """The share of `novelty` (>= 0) in 1 + its earlier maximum; then learn it."""
        ratio = novelty / (1.0 + self._peak)
        learnt = min(novelty, _GROWTH * self._peak + _STEP)
        self._peak = max(self._peak * self._decay, learnt)
        return ratio


class Cooldown:
    """Lets a strength pass only if it is above all that passed within the last `rows` rows, so that
    one fault is reported once, and again only where it becomes worse.
    """

    __slots__ = ("_passed", "_rows")

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._passed: deque[tuple[int, float]] = deque()

    def update(self, row: int, strength: float) -> float:
        """`strength` if it passes, else 0. Rows are to come in ascending order."""
        passed = self._passed
        while passed and passed[0][0] < row - self._rows:
            passed.popleft()
        # In ascending order: what passed last is the highest of those that are left.
        if strength <= 0.0 or (passed and strength <= passed[-1][1]):
            return 0.0
        passed.append((row, strength))
        return strength
