"""Levels that stay: when an anomaly is taken as the new level of its metric, and when the old level
is back.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from agents.detectors.contract import Float64s
from agents.detectors.deviation.residuals import count_effect
from agents.detectors.deviation.state import COUNT, SHARE, Bucket, SeriesState
from agents.detectors.settings import Deviation, LeastChange

Bools = npt.NDArray[np.bool_]

HOLDING: Final = 0.5
"""An anomaly lasts while its score and its change are at least this share of what they had to
reach.
"""


_NEXT_TO_SILENCE: Final = 5.0
"""A request rate that fell under so many times the least one that is judged is no level, whatever
single buckets seem to say.
"""


def gates(change: LeastChange) -> Float64s:
    """Least effects, shape (metrics, 1); infinite for a metric that is not judged."""
    ratios = (
        change.latency,
        change.time_to_first_token,
        change.tokens,
        change.cost,
        change.request_rate,
    )
    made = [np.inf if ratio is None else float(np.log(ratio)) for ratio in ratios]
    made.insert(SHARE, np.inf if change.error_rate is None else change.error_rate)
    return np.array(made)[:, None]


def staying(state: SeriesState, bucket: Bucket, stamp: int, settings: Deviation) -> Bools:
    """Where an anomaly has lasted long enough, in buckets with data, to be taken as the new level:
    never errors, and never a request rate next to silence. `state` is that after the bucket.
    """
    if settings.give_in_buckets is None:
        return np.zeros_like(bucket.known)
    long = bucket.known & (bucket.values[COUNT] > 0) & (state.since > 0)
    long &= stamp - state.since >= settings.give_in_buckets
    long[SHARE] = False
    rate = (state.centre[COUNT] + 0.5) * np.exp(state.drift[COUNT]) - 0.5
    long[COUNT] &= (state.drift[COUNT] > 0) | (rate >= _NEXT_TO_SILENCE * settings.least_rate)
    return np.asarray(long)


def returning(
    state: SeriesState, bucket: Bucket, deviating: Bools, stamp: int, settings: Deviation
) -> tuple[Bools, Bools]:
    """Of metrics whose level was taken as the new one: where the old one is back, and where the new
    one is what is usual by now.

    The old one is back when a bucket that deviates from the new one lies within the least change of
    the old one, or when the new one, as it is learnt, has come near to it. `deviating`: where the
    bucket deviates, or did and is not known to have ceased.
    """
    none = np.zeros_like(bucket.known)
    levels = (state.taken > 0) & bucket.known & (bucket.values[COUNT] > 0)
    if not levels.any():
        return none, none
    gate = gates(settings.least_change)
    seen = _distance(bucket.values, state.usual)
    learnt = _distance(state.centre, state.usual)
    # Nearer to the old level than to the new one: where both are within reach of a bucket, the
    # chart has decided.
    stepped = deviating & (seen < gate) & (seen < _distance(bucket.values, state.centre))
    crept = ~deviating & (learnt < HOLDING * gate) & (state.learnt >= settings.least_buckets)
    back = levels & (stepped | crept)
    adopted = levels & ~back & ~deviating & (stamp - state.taken >= settings.level_memory_buckets)
    return back, adopted


def _distance(values: Float64s, level: Float64s) -> Float64s:
    """By how much values lie off a level, in the unit of effects, without sign."""
    off = np.abs(values - level)
    off[COUNT] = np.abs(count_effect(np.maximum(values[COUNT], 0.0), level[COUNT]))
    return off
