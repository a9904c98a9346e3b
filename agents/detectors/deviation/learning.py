"""What a series learns from a bucket that is not anomalous: what is usual, and how much it
scatters.

Means over the last `memory` buckets with weights that fall off exponentially; plain means before
that. Each step is bounded in standard deviations (Huber 1964; for exponential smoothing Gelper,
Fried & Croux, Robust forecasting with exponential and Holt-Winters smoothing, Journal of
Forecasting 29, 2010), so that one wild bucket teaches little.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from agents.detectors.contract import Float64s
from agents.detectors.deviation.residuals import (
    COUNT_SPREAD,
    SHARE_FLOOR,
    SHARED_NOISE,
    SIZE_SPREAD,
)
from agents.detectors.deviation.state import COUNT, SHARE, SIZES, Bucket, SeriesState

_MOST_STEP: Final = 2.0
"""A centre learns from a residual as if it were at most so many standard deviations."""

_MOST_SPREAD: Final = 4.0
"""A spread likewise: more, since heavy tails are to be learnt."""

_PRIOR_BUCKETS: Final = 10.0
"""Buckets that the first guess of a spread is worth."""

_PRIOR_SHARE_BUCKETS: Final = 5.0
"""Buckets that the first guess of a share of failures (its floor) is worth."""

_MOST_BUSY: Final = 3.0
"""A bucket teaches the share of failures in proportion to its requests, up to so many times the
usual number.
"""


def learning(
    state: SeriesState,
    bucket: Bucket,
    residual: Float64s,
    variance: Float64s,
    lesson: Float64s,
    memory: int,
) -> SeriesState:
    """The state after learning; charts are those of `state`, which have seen the bucket already.

    Nothing is learnt where `lesson` is 0; spreads and variances are learnt in proportion to it.
    `residual` and `variance` (of sizes, shape (4, n)) are those that the bucket was judged by.
    """
    new = state.learnt == 0
    age = np.minimum(state.learnt, memory - 1)
    weight = 1 / (age + 1)
    spread_weight = lesson / (age + _PRIOR_BUCKETS)
    squared = np.minimum(residual * residual, _MOST_SPREAD**2)
    step = np.clip(residual, -_MOST_STEP, _MOST_STEP)
    centre, spread = np.empty_like(state.centre), np.empty_like(state.spread)

    centre[SIZES] = state.centre[SIZES] + weight[SIZES] * np.sqrt(variance) * step[SIZES]
    noise = squared[SIZES] * variance / (1 / bucket.requests[SIZES] + SHARED_NOISE)
    spread[SIZES] = state.spread[SIZES] + spread_weight[SIZES] * (noise - state.spread[SIZES])

    scale = 1 / np.maximum(np.abs(residual) / _MOST_STEP, 1.0)
    usual = np.where(state.centre[COUNT] > 0, state.centre[COUNT], bucket.requests[SHARE])
    busy = np.minimum(bucket.requests[SHARE] / np.maximum(usual, 1.0), _MOST_BUSY)
    share_weight = np.minimum(busy / (age[SHARE] + _PRIOR_SHARE_BUCKETS), 1.0)
    share = np.where(new[SHARE], SHARE_FLOOR, state.centre[SHARE])
    pull = np.where(new[SHARE], 1.0, scale[SHARE])
    centre[SHARE] = share + share_weight * pull * (bucket.values[SHARE] - share)
    known = np.maximum(state.spread[SHARE], 1.0)
    spread[SHARE] = state.spread[SHARE] + spread_weight[SHARE] * (
        squared[SHARE] * known - state.spread[SHARE]
    )

    rate, count = state.centre[COUNT], bucket.values[COUNT]
    centre[COUNT] = rate + weight[COUNT] * scale[COUNT] * (count - rate)
    bound = 1 / np.maximum(residual[COUNT] ** 2 / _MOST_SPREAD**2, 1.0)
    excess = ((count - rate) ** 2 - rate) / np.maximum(rate, 0.5) ** 2
    spread[COUNT] = state.spread[COUNT] + spread_weight[COUNT] * (
        bound * excess - state.spread[COUNT]
    )

    for place, first in ((SIZES, SIZE_SPREAD), (SHARE, 1.0), (COUNT, COUNT_SPREAD)):
        spread[place] = np.where(new[place], first, spread[place])
    for place in (SIZES, COUNT):
        centre[place] = np.where(new[place], bucket.values[place], centre[place])
    fast_variance, slow_variance = state.charts.learnt(spread_weight)
    where = lesson > 0
    return replace(
        state,
        learnt=np.where(where, np.minimum(state.learnt + 1, memory), state.learnt),
        centre=np.where(where, centre, state.centre),
        spread=np.where(where, spread, state.spread),
        fast_variance=np.where(where, fast_variance, state.fast_variance),
        slow_variance=np.where(where, slow_variance, state.slow_variance),
    )
