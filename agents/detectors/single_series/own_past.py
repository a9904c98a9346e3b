"""Novelty judged against its own past, and alarms that do not repeat themselves."""

from collections import deque
from typing import Final

_GROWTH: Final = 2.0
_STEP: Final = 5.0


class OwnPast:
    """Novelty divided by 1 + the slowly decaying maximum of earlier novelty: a series that is often
    odd has to become odder.

    The maximum grows to twice itself plus 5 in one row at most, so that one wild value does not
    blind the measure for good.
    """

    __slots__ = ("_decay", "_peak")

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._peak = 0.0

    def update(self, novelty: float) -> float:
        """`novelty` (>= 0) over 1 + its earlier maximum; then learn it."""
        ratio = novelty / (1.0 + self._peak)
        learnt = min(novelty, _GROWTH * self._peak + _STEP)
        self._peak = max(self._peak * self._decay, learnt)
        return ratio


class Cooldown:
    """Lets a strength pass only if it is more than `growth` times all that passed within the last
    `rows` rows, so that one fault is reported once, and again only where it becomes worse.

    >>> cooldown = Cooldown(rows=10, growth=1.5)
    >>> [cooldown.update(row, strength) for row, strength in enumerate((2.0, 2.5, 3.5))]
    [2.0, 0.0, 3.5]
    """

    __slots__ = ("_growth", "_passed", "_rows")

    def __init__(self, rows: int, growth: float = 1.0) -> None:
        self._rows = rows
        self._growth = growth
        self._passed: deque[tuple[int, float]] = deque()

    def update(self, row: int, strength: float) -> float:
        """`strength` if it passes, else 0. Rows come in ascending order."""
        passed = self._passed
        while passed and passed[0][0] < row - self._rows:
            passed.popleft()
        # In ascending order: what passed last is the highest of those that are left.
        if strength <= 0.0 or (passed and strength <= self._growth * passed[-1][1]):
            return 0.0
        passed.append((row, strength))
        return strength
