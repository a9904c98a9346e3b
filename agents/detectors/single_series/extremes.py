"""How far a value leaves the range of the earlier ones."""

from math import sqrt

from agents.detectors.single_series.moments import Moments


class Extremes:
    """Margin by which a value is above the highest or below the lowest value so far, as a share of
    that range.

    The range is widened by `spread` standard deviations of recent values, so that the first records
    of a series, which has hardly any range yet, count for little. Each value inside the range moves
    both ends inwards by the share `fade` of half the range, so that old extremes are forgotten; 0
    forgets nothing.
    """

    __slots__ = ("_fade", "_highest", "_lowest", "_recent", "_spread")

    def __init__(self, spread: float, memory: int, fade: float = 0.0) -> None:
        self._spread = spread
        self._fade = 0.5 * fade
        self._recent = Moments(memory)
        self._lowest = 0.0
        self._highest = 0.0

    def update(self, value: float) -> float:
        """The margin of `value`, 0 inside the range; then learn it."""
        recent = self._recent
        if recent.count == 0:
            self._lowest = self._highest = value
        width = self._highest - self._lowest
        margin = 0.0
        if value > self._highest or value < self._lowest:
            if width > 0.0:
                beyond = max(value - self._highest, self._lowest - value)
                margin = beyond / (width + self._spread * sqrt(recent.variance))
            self._highest = max(self._highest, value)
            self._lowest = min(self._lowest, value)
        else:
            self._highest -= self._fade * width
            self._lowest += self._fade * width
        recent.add(value)
        return margin
