"""Two control charts over residuals: one for steps, one for drifts, and when they speak.

A chart is an exponentially weighted mean of residuals (Roberts, Control chart tests based on
geometric moving averages, Technometrics 1, 1959), which finds small lasting shifts as fast as
Page's cumulative sums (Biometrika 41, 1954; compared by Lucas & Saccucci, Technometrics 32, 1990)
and keeps one number. The *fast* one reaches two thirds of a shift in two buckets, the *slow* one in
ten.

Two things make them hold on real traffic, whose noise is neither independent nor normal:

- a residual counts for at most four standard deviations of the scale that the chart is measured
  against (Huber, Annals of Mathematical Statistics 35, 1964), so no single bucket, however odd,
  alarms, and two in a row do, whatever the chart's age and wander;
- a chart is measured against its own variance, as learnt while all was well (with Huber's
  clipping), and at least the theoretical one, l/(2-l). Residuals that hang together from bucket to
  bucket make a chart wander; it then wanders against a wider scale.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from agents.detectors.contract import Float64s

FAST: Final = 0.4
"""Weight of the newest bucket in the chart for steps."""

SLOW: Final = 0.1
"""Weight of the newest bucket in the chart for drifts."""

FAST_VARIANCE: Final = FAST / (2 - FAST)
SLOW_VARIANCE: Final = SLOW / (2 - SLOW)
"""Variances of the charts over independent residuals of variance 1."""

MOST_RESIDUAL: Final = 4.0
"""A residual counts for at most so many standard deviations, times what the fast chart's scale is
of theory's, wander and youth included: a chart that is measured against a wider scale would
otherwise take longer to its end, or never get there.
"""

MOST_LEARNT: Final = 2.5
"""Standard deviations of a chart beyond which its variance learns no more from a value."""

YOUTH: Final = 20.0
"""After N buckets a variance is taken to be 1 + YOUTH/N times what it seems, since few buckets,
that hang together, show less.
"""


@dataclass(frozen=True, slots=True)
class Charts:
    """Values of both charts, and their learnt variances (0 before the first bucket); all of one
    shape.
    """

    fast: Float64s
    slow: Float64s
    fast_variance: Float64s
    slow_variance: Float64s

    def moved(self, residuals: Float64s, learnt: Float64s) -> "Charts":
        """With one more bucket in both; `learnt` as for `scores`."""
        wide = np.maximum(self.fast_variance / FAST_VARIANCE, 1.0) * _youth(learnt)
        most = MOST_RESIDUAL * np.sqrt(wide)
        residual = np.clip(residuals, -most, most)
        fast = self.fast + FAST * (residual - self.fast)
        slow = self.slow + SLOW * (residual - self.slow)
        return Charts(fast, slow, self.fast_variance, self.slow_variance)

    def scores(self, learnt: Float64s) -> tuple[Float64s, Float64s]:
        """Fast and slow value in standard deviations, without sign; `learnt` is the number of
        buckets behind the variances, at least 1.

        Two buckets far out, after learning from thirty and from very many:

        >>> zero, far = np.zeros(2), np.full(2, 9.0)
        >>> learnt = np.array([30, 1e9])
        >>> charts = Charts(zero, zero, zero, zero).moved(far, learnt).moved(far, learnt)
        >>> [score.round(2).tolist() for score in charts.scores(learnt)]
        [[5.12, 5.12], [3.31, 3.31]]
        """
        youth = _youth(learnt)
        fast = np.abs(self.fast) / np.sqrt(np.maximum(self.fast_variance, FAST_VARIANCE) * youth)
        slow = np.abs(self.slow) / np.sqrt(np.maximum(self.slow_variance, SLOW_VARIANCE) * youth)
        return fast, slow

    def learnt(self, weight: Float64s) -> tuple[Float64s, Float64s]:
        """Both variances after learning the present values with this weight (0: learn nothing)."""
        return (
            _learnt(self.fast_variance, self.fast, FAST_VARIANCE, weight),
            _learnt(self.slow_variance, self.slow, SLOW_VARIANCE, weight),
        )


def _youth(learnt: Float64s) -> Float64s:
    """By how much a variance that so many buckets were learnt for is taken to be larger than it
    seems.
    """
    return 1 + YOUTH / learnt


def _learnt(variance: Float64s, value: Float64s, least: float, weight: Float64s) -> Float64s:
    known = np.maximum(variance, least)
    return np.asarray(known + weight * (np.minimum(value * value, MOST_LEARNT**2 * known) - known))
