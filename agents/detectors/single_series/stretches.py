"""Whether the last stretch of a series resembles an earlier one."""

from math import sqrt
from typing import Final

import numpy as np

from agents.detectors.single_series.moments import Moments

_LEAST_REMEMBERED: Final = 11


class Stretches:
    """Distance of the latest stretch of a series to the most similar earlier one, in standard
    deviations of the series.

    A stretch is `points` means of `rows` consecutive values each. One stretch in `every` rows is
    remembered, `remembered` of them at most; the oldest is dropped for the next. A stretch is
    remembered when it no longer overlaps the latest one. The distance is the mean absolute
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
        self._store = np.zeros((points, remembered), dtype=np.float32)
        self._differences = np.zeros((points, remembered), dtype=np.float32)
        self._sums = np.zeros(remembered, dtype=np.float32)
        self._stored = 0
        self._oldest = 0
        self._seen = 0
        self._last = [0.0] * rows
        self._means = [0.0] * (2 * self._span)
        self._level = Moments(level_memory)

    def update(self, value: float) -> float:
        """The distance of the stretch that ends with `value`, 0 while too little is remembered;
        then learn it.
        """
        row = self._seen
        self._seen += 1
        self._last[row % self._rows] = value
        self._means[row % len(self._means)] = sum(self._last) / self._rows
        distance = 0.0
        level = self._level
        if self._stored >= _LEAST_REMEMBERED and level.variance > 0.0:
            distance = self._nearest(row) / sqrt(level.variance)
        if self._seen >= 2 * self._span and self._seen % self._every == 0:
            self._remember(row - self._span)
        level.add(value)
        return distance

    def _stretch(self, row: int) -> list[list[float]]:
        means, size, rows = self._means, len(self._means), self._rows
        return [[means[(row - point * rows) % size]] for point in range(self._points)]

    def _nearest(self, row: int) -> float:
        count = self._stored
        differences, sums = self._differences[:, :count], self._sums[:count]
        stretch = np.array(self._stretch(row), dtype=np.float32)
        np.subtract(self._store[:, :count], stretch, out=differences)
        np.abs(differences, out=differences)
        np.add.reduce(differences, axis=0, out=sums)
        return float(sums.min()) / self._points

    def _remember(self, row: int) -> None:
        self._store[:, self._oldest] = np.array(self._stretch(row), dtype=np.float32)[:, 0]
        self._oldest = (self._oldest + 1) % self._store.shape[1]
        self._stored = min(self._stored + 1, self._store.shape[1])
