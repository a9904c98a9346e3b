"""The measures that a series is judged by, the metrics they are reported as, and their units."""

from typing import Final

import numpy as np

from agents.detectors.contract import BAND_METRICS, Float64s

SIZES: Final = ("latency", "time_to_first_token", "tokens", "cost", "pace", "price")
"""Sizes of one successful call, judged by their geometric mean. `pace` is the time per token of the
answer after the first one, `price` the cost per token: they vary far less from call to call than
latency and cost, of which they find small changes in few calls.
"""

ERRORS: Final = len(SIZES)
ABOVE: Final = ERRORS + 1
BELOW: Final = ERRORS + 2
MEASURES: Final = (*SIZES, "errors", "calls_above", "calls_below")

METRICS: Final = BAND_METRICS

METRIC_OF: Final = np.array([0, 1, 2, 3, 0, 3, 4, 5, 5])
"""By measure, the place in `METRICS` of the metric that it is reported as: slower per token is
slower, dearer per token is dearer.
"""

_MAX_LOG: Final = 80.0
"""Beyond any size that an event can have; a band that is wider is drawn to here."""

LOG_UNIT: Final = np.log(2.0) / 1024
"""Of the sums of logarithms in a closed bucket (streams.state.windows), natural logarithm."""


def measures_of(metric: str) -> list[int]:
    """The measures that are reported as this metric."""
    return np.flatnonzero(METRICS.index(metric) == METRIC_OF).tolist()


def in_units(bands: Float64s, bucket_s: float) -> Float64s:
    """Values of shape (n, metrics, ...) as people and aggregates have them: sizes from natural
    logarithms to µs, tokens and 1e-9 of a currency unit per call; shares as they are; calls per
    bucket to calls per second.
    """
    out = bands.copy()
    out[:, :4] = np.exp(np.minimum(out[:, :4], _MAX_LOG))
    out[:, 5] /= bucket_s
    return out
