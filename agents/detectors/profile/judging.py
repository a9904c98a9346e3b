"""When a user is anomalous: what a volume is expected to be, and how far beyond it is too far."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from agents.detectors.contract import Float64s
from agents.detectors.profile.state import Crowds, Users
from agents.detectors.scores import significant
from agents.detectors.settings import Profile

Bools = npt.NDArray[np.bool_]

OWN_SPREAD: Final = 0.5
CROWD_SPREAD: Final = 1.5
"""Variances of the logarithm of a volume before anything is learnt: within a user, and between
users.
"""

LEAST_SPREAD: Final = 0.09
"""Least of both variances: a volume of which nobody knows better varies by three tenths."""

_CROWD_READY: Final = 10.0
"""Users, or windows of one user, behind a crowd before anybody is judged."""

_ALIKE: Final = 2.0
"""Neighbouring buckets of a user share most of their volume: it takes so many to know as much as
from one on its own.
"""

MOST_COUNTED: Final = 3.0
"""One bucket counts for at most as much as a volume so many standard deviations above what is
expected,
"""

_RAISED: Final = 1.5
"""and an anomaly begins only where the buckets before had raised the volume by so many already: one
huge request is none, two or three are.
"""

_SUSPECT: Final = 0.6
"""From this share of the score that it takes on, a user is watched with suspicion."""

_HOLDING: Final = 0.5
"""An anomaly lasts while its score and its ratio are at least this share (of the logarithm) of what
they had to reach.
"""

_LEAST_ROUNDED: Final = 0.9
"""No score below this is compared with anything that the settings may say."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One bucket of n active users; arrays of shape (3, n) by metric."""

    volume: Float64s
    """With the bucket in it, as far as it counts."""

    size: Float64s
    """Logarithm of the volume."""

    known: Bools
    """There was something to judge: no tokens at all, or no cost, count as not measured."""

    newcomer: Bools
    """Without enough past of their own."""

    score: Float64s
    effect: Float64s
    """Logarithm of the ratio of the volume to what was expected."""

    begun: Bools
    anomalous: Bools
    suspect: Bools
    """It may be the beginning of an anomaly."""

    telling: Bools
    """A finding is due."""

    outlived: Bools
    """The anomaly lasted so long that it is the new level."""

    normal: Bools
    """The signal is over."""

    first: Bools
    """It begins its signal."""


def judged(
    users: Users, crowds: Crowds, kept: Float64s, amounts: Float64s, stamp: int, settings: Profile
) -> Judged:
    """Judges the bucket's `amounts` and what is `kept` (a share) of the volumes before; `crowds`
    has one column per user, `stamp` is one more than the bucket's number.
    """
    filling = (users.first == 0) | (stamp - users.first < settings.window_buckets)
    newcomer = filling | (users.learnt < settings.least_buckets)
    centre, variance = expected(
        users.centre, users.spread, users.learnt, crowds.centre, crowds.spread, newcomer
    )
    deviation = np.sqrt(variance)
    ready = crowds.learnt >= _CROWD_READY
    left = users.volume * kept
    raised = (np.log(np.maximum(left, 1.0)) - centre) / deviation >= _RAISED
    volume = left + np.where(ready, counted(amounts, centre, deviation), amounts)
    known = volume >= 1
    size = np.log(np.maximum(volume, 1.0))
    score = _rounded((size - centre) / deviation)
    crowd = _rounded((size - crowds.centre) / np.sqrt(np.maximum(crowds.spread, LEAST_SPREAD)))
    bar = np.where(newcomer, settings.newcomer_threshold, settings.threshold)
    effect, ratio = size - centre, np.log(settings.least_ratio)
    high = ready & known & (crowd >= settings.crowd_threshold)
    # What began while there was no past to compare with is judged anew when there is one.
    held = (users.since > 0) & (newcomer | (users.since - users.first >= settings.window_buckets))
    begun = ~held & high & raised & (score >= bar) & (effect >= ratio)
    lasting = held & high & (score >= _HOLDING * bar) & (effect >= _HOLDING * ratio)
    outlived = np.zeros_like(held)
    if settings.give_in_buckets is not None:
        outlived = lasting & (stamp - users.since >= settings.give_in_buckets)
    anomalous = begun | (lasting & ~outlived)
    telling = anomalous & (begun | (stamp - users.told >= settings.repeat_buckets))
    level = is_level(users)
    fallen = (
        level
        & ~begun
        & ((effect <= -_HOLDING * ratio) | (stamp - users.told >= settings.level_memory_buckets))
    )
    return Judged(
        volume=volume,
        size=size,
        known=known,
        newcomer=newcomer,
        score=score,
        effect=effect,
        begun=begun,
        anomalous=anomalous,
        suspect=score >= _SUSPECT * bar,
        telling=telling,
        outlived=outlived,
        normal=((users.since > 0) & ~anomalous & ~outlived) | fallen,
        first=begun & ~level & (users.since == 0),
    )


def unjudged(judged: Judged, users: Users, where: Bools) -> Judged:
    """The verdict, leaving volumes and open signals as they were where nothing was judged."""
    said = ~where
    return replace(
        judged,
        volume=np.where(where, users.volume, judged.volume),
        known=judged.known & said,
        begun=judged.begun & said,
        anomalous=np.where(where, users.since > 0, judged.anomalous),
        telling=judged.telling & said,
        outlived=judged.outlived & said,
        normal=judged.normal & said,
        first=judged.first & said,
    )


def is_level(users: Users) -> Bools:
    """Where an anomaly was taken as the new level, and is still told as one that lasts."""
    return np.asarray((users.since == 0) & (users.told > 0))


def expected(
    centre: Float64s,
    spread: Float64s,
    learnt: Float64s,
    crowd_centre: Float64s,
    crowd_spread: Float64s,
    newcomer: Bools,
) -> tuple[Float64s, Float64s]:
    """Mean and variance of the logarithm of the next volume: what the crowd makes likely and what
    the user has shown, each by its weight.

    The normal-normal model of empirical Bayes (Efron & Morris, Data analysis using Stein's
    estimator, JASA 70, 1975), but of who is known to be heavier than the crowd, and no newcomer,
    nothing is taken off: the crowd's tail is longer than a normal one. Of a stranger it says what
    the crowd says, of an old user what the user says:

    >>> of = lambda learnt: expected(*(np.array([x]) for x in (2.0, 0.5, learnt, 5.0, 1.5, False)))
    >>> [round(float(x[0]), 2) for x in of(0.0)], [round(float(x[0]), 2) for x in of(1e9)]
    ([5.0, 1.5], [2.0, 0.5])
    """
    within = np.where(learnt > 0, np.maximum(spread, LEAST_SPREAD), OWN_SPREAD)
    shown = learnt / (_ALIKE * within)
    likely = 1 / np.maximum(crowd_spread - within, LEAST_SPREAD)
    mean = (shown * centre + likely * crowd_centre) / (shown + likely)
    mean = np.where(newcomer, mean, np.maximum(mean, centre))
    return np.asarray(mean), np.asarray(within + 1 / (shown + likely))


def counted(amounts: Float64s, centre: Float64s, deviation: Float64s) -> Float64s:
    """What of a bucket's amounts counts."""
    return np.minimum(amounts, np.exp(centre + MOST_COUNTED * deviation))


def _rounded(scores: Float64s) -> Float64s:
    near = scores >= _LEAST_ROUNDED
    scores[near] = significant(scores[near])
    return scores
