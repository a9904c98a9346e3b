"""Changes of level and of spread that last, each reported when it begins."""

from agents.detectors.single_series.own_past import Cooldown
from agents.detectors.single_series.policy import Policy
from agents.detectors.single_series.ranks import Ranks
from agents.detectors.single_series.shifts import Shift


class Changes:
    """Evidence for a change of level or of spread that lasts, each reported when it begins."""

    def __init__(self, policy: Policy) -> None:
        self._warm_up = policy.shift_warm_up
        self._ranks = Ranks(policy.rank_memory, policy.rank_least)
        self._level = Shift(two_sided=True)
        self._spread = Shift(two_sided=False)
        self._level_cooldown = Cooldown(policy.shift_rows, policy.shift_growth)
        self._spread_cooldown = Cooldown(policy.shift_rows, policy.shift_growth)

    def update(self, row: int, level: float) -> float:
        """The evidence that is to be reported in this row, above 1; else 0."""
        known = self._ranks.count
        scores = self._ranks.update(level)
        if scores is None:
            return 0.0
        of_level = self._level.update(scores[0], known)
        of_spread = self._spread.update(scores[1], known)
        if row < self._warm_up:
            return 0.0
        passed = 0.0
        if of_level > 1.0:
            passed = self._level_cooldown.update(row, of_level)
        if of_spread > 1.0:
            passed = max(passed, self._spread_cooldown.update(row, of_spread))
        return passed
