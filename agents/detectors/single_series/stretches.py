"""Whether the last stretch of a series resembles an earlier one."""

from math import sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from agents.detectors.single_series.moments import Moments

_LEAST_REMEMBERED: Final = 11

Floats = npt.NDArray[np.float64]


class Stretches:
    """Distance of the latest stretch of a series to the most similar earlier one, in standard
    deviations of the series.

    A stretch is `points` means of `rows` consecutive values each. One stretch in `every` rows is
    remembered, `remembered` of them at most; the oldest is dropped for the next. A stretch is
    remembered when it no longer overlaps the latest one. The distance is the root mean square
    difference of the means (the nearest neighbour that a matrix profile would give, computed as the
    values come).
    """

    def __init__(
        self, points: int, rows: int, every: int, remembered: int, level_memory: int
    ) -> None:
        self._points = points
        self._rows = rows
        self._every = every
        self._span = points * rows
        # A column for each stretch: -2 times its means, below them the sum of their squares. Its
        # product with (means of another, 1) is the square of their distance, less the other's own.
        self._store = np.zeros((points + 1, remembered))
        self._query = np.ones(points + 1)
        self._stored = 0
        self._oldest = 0
        self._seen = 0
        self._last = [0.0] * rows
        # For each phase, the means that end at rows of this phase, the newest first.
        self._means = np.zeros((rows, 2 * points))
        self._level = Moments(level_memory)

    def update(self, value: float) -> float:
        """The distance of the stretch that ends with `value`, 0 while too little is remembered;
        then learn it.
        """
        phase = self._seen % self._rows
        self._seen += 1
        self._last[phase] = value
        means = self._means[phase]
        means[1:] = means[:-1]
        means[0] = sum(self._last) / self._rows
        distance = 0.0
        level = self._level
        if self._stored >= _LEAST_REMEMBERED and level.variance > 0.0:
            distance = self._nearest(means[: self._points]) / sqrt(level.variance)
        if self._seen >= 2 * self._span and self._seen % self._every == 0:
            self._remember(means[self._points :])
        level.add(value)
        return distance

    def _nearest(self, stretch: Floats) -> float:
        self._query[:-1] = stretch
        products = self._query @ self._store[:, : self._stored]
        square = float(products.min()) + float(stretch @ stretch)
        return sqrt(max(0.0, square) / self._points)

    def _remember(self, stretch: Floats) -> None:
        remembered = self._store.shape[1]
        self._store[:-1, self._oldest] = -2.0 * stretch
        self._store[-1, self._oldest] = stretch @ stretch
        self._oldest = (self._oldest + 1) % remembered
        self._stored = min(self._stored + 1, remembered)
