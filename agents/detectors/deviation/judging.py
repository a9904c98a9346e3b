"""When a metric of a series is anomalous: it begins, lasts, is told, and ends; levels that stay are
in `series_levels`.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from agents.detectors.contract import Float64s, Int64s
from agents.detectors.deviation.charts import FAST_VARIANCE, SLOW
from agents.detectors.deviation.levels import HOLDING, gates, returning, staying
from agents.detectors.deviation.residuals import (
    count_effect,
    count_residual,
    share_residual,
    size_residual,
    size_variance,
)
from agents.detectors.deviation.state import COUNT, SHARE, SIZES, Bucket, SeriesState
from agents.detectors.scores import significant
from agents.detectors.settings import Deviation

Bools = npt.NDArray[np.bool_]

_SUSPECT: Final = 0.8
"""From this share of the threshold on a bucket may be the beginning of an anomaly,"""

_SUSPICION: Final = 0.3
"""and teaches that much of what others do of scatter: what is found after twenty buckets has not
widened its own band meanwhile. With nothing at all, traffic that has become restless would never be
found normal.
"""

_DRIFT_PATIENCE: Final = 3
"""The slow chart is read after so many times the buckets that the fast one is."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One bucket of n series, judged; arrays of shape (metrics, n)."""

    effect: Float64s
    """Change against what is usual: difference of logarithms, of shares; 0 where nothing was
    judged.
    """

    residual: Float64s
    """The change in standard deviations; 0 where nothing was judged."""

    variance: Float64s
    """Of the sizes; shape (4, n)."""

    state: SeriesState
    """With charts moved, and anomalies begun and ended; what is usual is not learnt yet."""

    fast: Float64s
    slow: Float64s
    """Scores of the charts."""

    drifting: Bools
    """It is the slow chart alone that speaks."""

    telling: Bools
    """A finding is due."""

    first: Bools
    """It begins its signal."""

    normal: Bools
    """The signal is over: normal again, or usual by now."""

    back: Bools
    """The level before the one that was taken as new is back."""

    level: Bools
    """The level is the new one, or again the one that was taken so."""

    lesson: Float64s
    """Share of the bucket's scatter to be learnt, 0 to 1; where it is 0, nothing is learnt."""


def judged(
    state: SeriesState, bucket: Bucket, stamp: int, seen_before: Int64s, settings: Deviation
) -> Judged:
    """Judges a bucket against what was learnt before it; `stamp` is one more than the bucket's
    number, `seen_before` the contract's.
    """
    met = bucket.known & (state.learnt > 0)
    gap = np.where(seen_before > 0, stamp - seen_before, 1)
    effect, residual, variance = _compared(state, bucket)
    effect, residual = np.where(met, effect, 0.0), np.where(met, residual, 0.0)
    learnt = np.maximum(state.learnt, 1.0)
    charts = state.charts.moved(residual, learnt)
    moved = replace(
        state,
        fast=np.where(met, charts.fast, state.fast),
        slow=np.where(met, charts.slow, state.slow),
        drift=np.where(met, state.drift + SLOW * (effect - state.drift), state.drift),
        since=_only_with_data(state.since, bucket, stamp, gap),
    )
    fast, slow = moved.charts.scores(learnt)
    for score in (fast, slow):
        # Rounding cannot lift over a limit what lies a hundredth under it.
        near = score >= settings.threshold * HOLDING * 0.99
        score[near] = significant(score[near])
    held = state.since > 0
    stepping, drifting = _speaking(moved, effect, fast, slow, settings, 1.0)
    still_stepping, still_drifting = _speaking(moved, effect, fast, slow, settings, HOLDING)
    begun = met & ~held & (stepping | drifting)
    lasting = held & (still_stepping | still_drifting | ~bucket.known)
    back, adopted = returning(moved, bucket, begun | held, stamp, settings)
    outlived = lasting & ~back & staying(moved, bucket, stamp, settings)
    anomalous = (begun | lasting) & ~outlived & ~back
    ended = held & ~anomalous
    telling = bucket.known & anomalous & (begun | (stamp - state.told >= settings.repeat_buckets))
    suspect = (np.maximum(fast, slow) >= _SUSPECT * settings.threshold) & ~outlived
    levels = state.taken > 0
    return Judged(
        effect=effect,
        residual=residual,
        variance=variance,
        state=_counted(
            _after(moved, anomalous, ended | back, outlived, back, adopted, telling, stamp),
            bucket,
            gap,
        ),
        fast=fast,
        slow=slow,
        drifting=~np.where(begun, stepping, still_stepping),
        telling=telling,
        first=begun & ~levels,
        normal=(ended & ~outlived & ~levels) | back | adopted,
        back=back,
        level=outlived | (ended & levels & ~back & ~adopted),
        lesson=np.where(anomalous | back | ~bucket.known, 0.0, np.where(suspect, _SUSPICION, 1.0)),
    )


def _only_with_data(since: Int64s, bucket: Bucket, stamp: int, gap: Int64s) -> Int64s:
    """`since`, moved on by the buckets without data before this one, and by this one where it says
    nothing of the metric, if it has requests: an anomaly does not grow old unseen. `gap`: buckets
    since the newest one before that had requests.
    """
    if not since.any():
        return since
    later = np.where(since > stamp - gap, stamp, since + gap - bucket.known)
    return np.where((since > 0) & (bucket.values[COUNT] > 0), later, since)


def _counted(state: SeriesState, bucket: Bucket, gap: Int64s) -> SeriesState:
    """With the buckets counted in which nothing was known of the sizes of open signals; those
    without requests once there are some again.
    """
    is_open = (state.since[SIZES] > 0) | (state.taken[SIZES] > 0)
    if not is_open.any() and not state.unknown.any():
        return state
    unknown = np.where(
        is_open & ~bucket.known[SIZES], state.unknown + gap * (bucket.values[COUNT] > 0), 0
    )
    return replace(state, unknown=unknown)


def _compared(state: SeriesState, bucket: Bucket) -> tuple[Float64s, Float64s, Float64s]:
    """Effect and residual of every metric, and the variance of sizes."""
    effect = bucket.values - state.centre
    effect[COUNT] = count_effect(bucket.values[COUNT], state.centre[COUNT])
    variance = size_variance(bucket.requests[SIZES], state.spread[SIZES])
    residual = np.empty_like(effect)
    learnt = np.maximum(state.learnt[SIZES], 1.0)
    residual[SIZES] = size_residual(bucket.values[SIZES], variance, state.centre[SIZES], learnt)
    share = np.where(bucket.known[SHARE], bucket.values[SHARE], 0.0)
    residual[SHARE] = share_residual(
        share, bucket.requests[SHARE], state.centre[SHARE], state.spread[SHARE]
    )
    residual[COUNT] = count_residual(bucket.values[COUNT], state.centre[COUNT], state.spread[COUNT])
    return effect, residual, variance


def _speaking(
    state: SeriesState,
    effect: Float64s,
    fast: Float64s,
    slow: Float64s,
    settings: Deviation,
    level: float,
) -> tuple[Bools, Bools]:
    """Where the fast and where the slow chart says that something is wrong, at this share of what
    it takes to begin.

    How much must be known of a series is asked of what begins alone: what is wrong already does not
    end because more is asked now.
    """
    threshold, gate = level * settings.threshold, level * gates(settings.least_change)
    judged = np.ones(effect.shape, bool)
    judged[SHARE] = state.fast[SHARE] > 0
    toward, slowly = np.sign(state.fast), np.sign(state.slow)
    least = 0
    if level == 1.0:
        judged[COUNT] = state.centre[COUNT] >= settings.least_rate
        least = settings.least_buckets
    stepping = judged & (fast >= threshold) & (effect * toward >= gate) & (state.learnt >= least)
    patient = min(_DRIFT_PATIENCE * least, settings.memory_buckets)
    # A drift that is over is no news: the last buckets must still lie on its side.
    present = state.fast * slowly >= np.sqrt(FAST_VARIANCE)
    drifting = (
        judged
        & (slow >= threshold)
        & (state.drift * slowly >= gate)
        & (state.learnt >= patient)
        & present
    )
    return stepping, drifting


def _after(
    state: SeriesState,
    anomalous: Bools,
    ended: Bools,
    outlived: Bools,
    back: Bools,
    adopted: Bools,
    telling: Bools,
    stamp: int,
) -> SeriesState:
    """Stamps set and cleared. What ended leaves no drift behind; what outlived its time is learnt
    from the beginning, and what is back at the level before goes on from that.
    """
    begun = anomalous & (state.since == 0)
    since = np.where(begun, stamp, np.where(ended, 0, state.since))
    told = np.where(telling, stamp, np.where(ended, 0, state.told))
    if not (ended | adopted).any():
        return replace(state, since=since, told=told)
    over = back | adopted
    return replace(
        state,
        since=since,
        told=told,
        centre=np.where(back, state.usual, state.centre),
        usual=np.where(
            outlived & (state.taken == 0), state.centre, np.where(over, 0.0, state.usual)
        ),
        taken=np.where(outlived, stamp, np.where(over, 0, state.taken)),
        slow=np.where(ended, 0.0, state.slow),
        drift=np.where(ended, 0.0, state.drift),
        fast=np.where(outlived | back, 0.0, state.fast),
        fast_variance=np.where(outlived, 0.0, state.fast_variance),
        slow_variance=np.where(outlived, 0.0, state.slow_variance),
        learnt=np.where(outlived, 0.0, state.learnt),
    )
