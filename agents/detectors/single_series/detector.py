"""One value at a time to an anomaly score: for a series that has nothing but time and value.

Causal and streaming: the score of a row depends on that row and the rows before it. Nothing is
known of the series in advance, neither its range nor its length, and memory is bounded.
"""

import math
from dataclasses import dataclass
from typing import Final

from agents.detectors.single_series.extremes import Extremes
from agents.detectors.single_series.own_past import Cooldown, OwnPast
from agents.detectors.single_series.season import DailySeason
from agents.detectors.single_series.stretches import Stretches

_HIGHEST: Final = 1e100
"""Units beyond which a value counts as this many: its square is finite still."""

_RESOLUTION: Final = 1e-12
"""Relative differences below this are rounding errors of whoever wrote the value."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The one configuration that ships. Times are in rows unless the name says otherwise."""

    warm_up: int = 150
    """Rows at the start that are learnt and never reported."""
    slot_s: int = 1800
    slot_memory: int = 60
    slot_least: int = 5
    slot_floor: float = 0.2
    level_memory: int = 6000
    peak_decay: float = 0.9997
    record_spread: float = 3.0
    record_memory: int = 3000
    stretch_points: int = 8
    stretch_rows: int = 12
    stretch_every: int = 6
    stretches_remembered: int = 3000
    stretch_scale: float = 3.0
    cooldown: int = 120
    season_weight: float = 1.0
    record_weight: float = 5.7
    stretch_weight: float = 1.13


class SingleSeries:
    """The running state of one series under a policy."""

    def __init__(self, policy: Policy = Policy()) -> None:
        self._policy = policy
        self._scale = Scale()
        self._rows = 0
        self._season = DailySeason(
            policy.slot_s,
            policy.slot_memory,
            policy.slot_least,
            policy.slot_floor,
            policy.level_memory,
        )
        self._season_past = OwnPast(policy.peak_decay)
        self._extremes = Extremes(policy.record_spread, policy.record_memory)
        self._stretches = Stretches(
            policy.stretch_points,
            policy.stretch_rows,
            policy.stretch_every,
            policy.stretches_remembered,
            policy.level_memory,
        )
        self._stretch_past = OwnPast(policy.peak_decay)
        self._cooldown = Cooldown(policy.cooldown)

    def update(self, time_s: float, value: float) -> float:
        """The anomaly score of the next row, from 0 to 1; then learn it.

        `time_s` counts seconds on the clock that people of the series live by, from any midnight. A
        value that is not finite scores 0 and is not learnt.
        """
        row = self._rows
        self._rows += 1
        if not math.isfinite(value):
            return 0.0
        policy = self._policy
        level = self._scale.update(value)
        season = self._season_past.update(abs(self._season.update(time_s, level)))
        record = self._extremes.update(level)
        distance = policy.stretch_scale * self._stretches.update(level)
        stretch = self._stretch_past.update(distance)
        if row < policy.warm_up:
            return 0.0
        strength = (
            policy.season_weight * math.sqrt(season)
            + policy.record_weight * math.sqrt(record)
            + policy.stretch_weight * math.sqrt(stretch)
        )
        strength = self._cooldown.update(row, strength)
        return strength / (1.0 + strength)


class Scale:
    """Values in units of the first change of the series, counted from its first value.

    Scores are therefore the same in any unit, for values near the smallest and the largest that a
    float can hold too.
    """

    __slots__ = ("_first", "_unit")

    def __init__(self) -> None:
        self._first: float | None = None
        self._unit = 0.0

    def update(self, value: float) -> float:
        """`value`, finite, in these units: 0 until the series changes, and never beyond 1e100."""
        if self._first is None:
            self._first = value
        change = value - self._first
        if abs(change) <= _RESOLUTION * max(abs(value), abs(self._first)):
            return 0.0
        if self._unit == 0.0:
            self._unit = min(abs(change), 1e308)
        return max(-_HIGHEST, min(_HIGHEST, change / self._unit))
