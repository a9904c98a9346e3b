"""How far one bucket of a series lies from what is expected, in standard deviations, for the three
kinds of number that a series has.

Everything here works element by element on arrays of any one shape, so that one subject gives the
same as one of many.

- *Sizes* (latency, time to first token, tokens and cost per request) are positive and heavy-tailed:
  they are compared on the logarithmic scale. A bucket of n requests has the variance a·(1/n +
  1/50): noise of single requests averages out, what all requests share does not; a is learnt.
- *Shares* (failed requests of all) are binomial. The residual is the signed root of the deviance
  (McCullagh & Nelder, Generalized Linear Models, 1989, 2.4.3 and 4.4.3), which is near to normal in
  the tail too, where (x - np)/sqrt(np(1-p)) takes one failure for a catastrophe.
- *Counts* (requests in a bucket) scatter more than Poisson's: the deviance is that of the negative
  binomial with variance m + d·m² (ibid., 11.2); d is learnt.
"""

from typing import Final

import numpy as np

from agents.detectors.contract import Float64s

SHARED_NOISE: Final = 1 / 50
"""Beyond fifty requests, more of them make a bucket's mean hardly surer: neighbours share queues,
caches and hours.
"""

SIZE_FLOOR: Final = 0.08
"""Least standard deviation of a bucket's size, natural logarithm: a series that never varied by
chance may vary by eight percent.
"""

SIZE_SPREAD: Final = 1.0
"""Variance of the logarithm of one request's size before anything is learnt: more than most have,
so that a beginner is slow to alarm.
"""

SHARE_FLOOR: Final = 0.01
"""A share of failures under one percent is judged as if it were one percent."""

_LEAST_SHARE: Final = 1e-6

COUNT_SPREAD: Final = 0.1
"""d of counts before anything is learnt."""

COUNT_SPREAD_FLOOR: Final = 0.03
"""Least d: the rate of requests moves by a sixth from bucket to bucket even where it never did."""

_SILENT: Final = 1e-3
"""Least expected count, requests per bucket: where nothing is expected, nothing is divided by."""


def size_variance(requests: Float64s, spread: Float64s) -> Float64s:
    """Variance of the logarithm of a mean over so many requests (at least 1)."""
    return np.maximum(spread * (1 / requests + SHARED_NOISE), SIZE_FLOOR**2)


def size_residual(
    size: Float64s, variance: Float64s, centre: Float64s, learnt: Float64s
) -> Float64s:
    """Residual of a size given as natural logarithm; `learnt` (at least 1) is the number of buckets
    that `centre` is the mean of.

    >>> seen, usual = np.log([2.0]), np.log([1.0])
    >>> size_residual(seen, np.array([0.16]), usual, np.array([1e9])).round(3).tolist()
    [1.733]
    """
    return np.asarray((size - centre) / np.sqrt(variance * (1 + 1 / learnt)))


def share_residual(
    seen: Float64s, requests: Float64s, usual: Float64s, spread: Float64s
) -> Float64s:
    """Residual of the share `seen` of so many requests (at least 1); `spread` is the learnt
    variance of residuals.

    Two failures in ten where two in a hundred fail are 2.4, not the 4.1 of the normal
    approximation:

    >>> shares, usual = np.array([0.2, 0.0]), np.full(2, 0.02)
    >>> share_residual(shares, np.full(2, 10.0), usual, np.ones(2)).round(2).tolist()
    [2.44, -0.64]
    """
    # Between the usual share and the floor lies what says nothing: neither side may lean on the
    # other's scale.
    usual = np.clip(
        seen,
        np.clip(usual, _LEAST_SHARE, 1 - SHARE_FLOOR),
        np.clip(usual, SHARE_FLOOR, 1 - SHARE_FLOOR),
    )
    deviance = (
        2
        * requests
        * (_times_log(seen, seen / usual) + _times_log(1 - seen, (1 - seen) / (1 - usual)))
    )
    root = np.sqrt(np.maximum(deviance, 0.0) / np.maximum(spread, 1.0))
    return np.asarray(np.copysign(root, seen - usual))


def count_residual(count: Float64s, rate: Float64s, spread: Float64s) -> Float64s:
    """Residual of a count where `rate` is usual and its variance is rate + spread·rate².

    Nothing where ten are usual is beyond four standard deviations for a steady caller, and less for
    bursts:

    >>> count_residual(np.zeros(2), np.full(2, 10.0), np.array([0.03, 0.5])).round(2).tolist()
    [-4.18, -2.68]
    """
    usual = np.maximum(rate, _SILENT)
    shape = 1 / np.maximum(spread, COUNT_SPREAD_FLOOR)
    deviance = 2 * (
        _times_log(count, count / usual)
        - (count + shape) * np.log((count + shape) / (usual + shape))
    )
    return np.asarray(np.copysign(np.sqrt(np.maximum(deviance, 0.0)), count - usual))


def count_effect(count: Float64s, rate: Float64s) -> Float64s:
    """Natural logarithm of the ratio of counts, with half a request added to both so that silence
    is a number.
    """
    return np.asarray(np.log((count + 0.5) / (rate + 0.5)))


def _times_log(factor: Float64s, ratio: Float64s) -> Float64s:
    """factor·ln(ratio), 0 where the factor is 0."""
    return np.asarray(factor * np.log(np.where(factor > 0, ratio, 1.0)))
