"""What is odd about a single row."""

from math import sqrt
from typing import Final

from agents.detectors.single_series.extremes import Extremes
from agents.detectors.single_series.own_past import OwnPast
from agents.detectors.single_series.policy import Policy, Weights
from agents.detectors.single_series.season import DailySeason, Lasting
from agents.detectors.single_series.stretches import Stretches

_STRETCH_UNIT: Final = 2.5
_LASTING_UNIT: Final = 2.0
"""Bring distances and lasting deviations to the size of a deviation of one row, beside the 1 of
`OwnPast`.
"""


class Reasons:
    """Five measures of novelty, each against its own past.

    The value is unusual for its time of day, has been so for a while, is a record, is a record for
    its time of day, or ends a stretch unlike any earlier one.
    """

    def __init__(self, policy: Policy) -> None:
        self._season = _season(policy, policy.slot_s)
        self._lasting = Lasting(policy.lasting_rows)
        self._extremes = Extremes(policy.record_spread, policy.record_memory)
        self._broad_season = _season(policy, policy.broad_slot_s)
        self._season_extremes = Extremes(0.0, policy.record_memory, policy.season_fade)
        self._stretches = Stretches(
            policy.stretch_points,
            policy.stretch_rows,
            policy.stretch_every,
            policy.stretches,
            policy.level_memory,
        )
        self._season_past = OwnPast(policy.peak_decay)
        self._lasting_past = OwnPast(policy.peak_decay)
        self._stretch_past = OwnPast(policy.peak_decay)

    def update(self, time_s: float, level: float) -> Weights:
        """The square root of each novelty, in the fields of their weights; then learn the row."""
        deviation = self._season.update(time_s, level)
        lasting = _LASTING_UNIT * abs(self._lasting.update(deviation))
        distance = _STRETCH_UNIT * self._stretches.update(level)
        broad = self._broad_season.update(time_s, level)
        return Weights(
            season=sqrt(self._season_past.update(abs(deviation))),
            lasting=sqrt(self._lasting_past.update(lasting)),
            record=sqrt(self._extremes.update(level)),
            season_record=sqrt(self._season_extremes.update(broad)),
            stretch=sqrt(self._stretch_past.update(distance)),
        )


def _season(policy: Policy, slot_s: int) -> DailySeason:
    return DailySeason(
        slot_s, policy.slot_memory, policy.slot_least, policy.slot_floor, policy.level_memory
    )
