"""One value at a time to an anomaly score: for a series that has nothing but time and value.

Causal and streaming: the score of a row depends on that row and the rows before it. Nothing is
known of the series in advance, neither its range nor its length, and memory is bounded.
"""

from math import isfinite

from agents.detectors.single_series.changes import Changes
from agents.detectors.single_series.own_past import Cooldown
from agents.detectors.single_series.policy import Policy
from agents.detectors.single_series.reasons import Reasons
from agents.detectors.single_series.scale import Scale


class SingleSeries:
    """The running state of one series.

    The square roots of the reasons of a row (`Reasons`) are added, so that two moderate ones
    outweigh one. A change of level or spread that lasts is a reason of its own: the stronger of the
    two counts. What passes the cooldown is the strength s of the row, and s / (1 + s) its score.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._rows = 0
        self._scale = Scale()
        self._reasons = Reasons(policy)
        self._changes = Changes(policy)
        self._cooldown = Cooldown(policy.cooldown)

    def update(self, time_s: float, value: float) -> float:
        """The anomaly score of the next row, from 0 to 1; then learn it.

        `time_s` counts seconds, finite, on the clock that the series' people live by, from any
        midnight. A value that is not finite scores 0 and is not learnt.
        """
        row = self._rows
        self._rows += 1
        if not isfinite(value):
            return 0.0
        policy = self._policy
        level = self._scale.update(value)
        reasons = self._reasons.update(time_s, level)
        changed = self._changes.update(row, level)
        if row < policy.warm_up:
            return 0.0
        unusual = sum(map(float.__mul__, policy.weights, reasons))
        strength = self._cooldown.update(row, max(unusual, policy.shift_weight * changed))
        return strength / (1.0 + strength)
