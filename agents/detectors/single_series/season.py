"""How unusual a value is for its time of the day, and whether that lasts."""

from collections import deque
from math import sqrt
from typing import Final

from agents.detectors.single_series.moments import Moments

DAY_S: Final = 86_400


class DailySeason:
    """Deviation of a value from earlier values of the same slot of the day, in standard deviations
    of that slot.

    Mean and variance are kept for each slot, since a quiet night and a busy noon differ in both.
    The variance of a slot is at least `floor` squared times that of the whole series, so that a
    slot of a few equal values does not make the next one infinitely unusual. The deviation is 0
    until the slot has `least_samples`.
    """

    __slots__ = ("_floor", "_least", "_level", "_slot_s", "_slots")

    def __init__(
        self, slot_s: int, memory: int, least_samples: int, floor: float, level_memory: int
    ) -> None:
        self._slot_s = slot_s
        self._slots = [Moments(memory) for _ in range(DAY_S // slot_s)]
        self._least = least_samples
        self._floor = floor * floor
        self._level = Moments(level_memory)

    def update(self, time_s: float, value: float) -> float:
        """The deviation of `value` at `time_s` (seconds, local); then learn it."""
        slot = self._slots[int(time_s % DAY_S) // self._slot_s % len(self._slots)]
        level = self._level
        deviation = 0.0
        if slot.count >= self._least:
            variance = slot.variance + self._floor * level.variance
            if variance > 0.0:
                deviation = (value - slot.mean) / sqrt(variance)
        slot.add(value)
        level.add(value)
        return deviation


class Lasting:
    """Mean of the last `rows` deviations: far from 0 where all of them point the same way."""

    __slots__ = ("_last", "_rows")

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._last: deque[float] = deque(maxlen=rows)

    def update(self, deviation: float) -> float:
        """The mean with `deviation`; rows before the first count as 0."""
        self._last.append(deviation)
        return sum(self._last) / self._rows
