"""How far a value leaves the range of all earlier ones."""

from math import sqrt

from agents.detectors.single_series.moments import Moments


class Extremes:
    """Margin by which a value is above the highest or below the lowest value so far, as a share of
    that range.

    The range is widened by `spread` standard deviations of recent values, so that the first records
    of a series, which has hardly any range yet, count for little. Nothing is forgotten: a record is
    rare by itself.
    """

    __slots__ = ("_highest", "_lowest", "_recent", "_spread")

    def __init__(self, spread: float, memory: int) -> None:
        self._spread = spread
        self._recent = Moments(memory)
        self._lowest = 0.0
        self._highest = 0.0

    def update(self, value: float) -> float:
        """The margin of `value`, 0 inside the range; then learn it."""
        recent = self._recent
        margin = 0.0
        if recent.count == 0:
            self._lowest = self._highest = value
        elif value > self._highest or value < self._lowest:
            width = self._highest - self._lowest
            if width > 0.0:
                beyond = max(value - self._highest, self._lowest - value)
                margin = beyond / (width + self._spread * sqrt(recent.variance))
            self._highest = max(self._highest, value)
            self._lowest = min(self._lowest, value)
        recent.add(value)
        return margin
