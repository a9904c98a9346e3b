"""What users' profiles and their crowds learn from a bucket: nothing from who is anomalous against
their own past.

Each step is bounded in standard deviations (Huber 1964), so that one wild bucket teaches little.
"""

from typing import Final

import numpy as np

from agents.detectors.contract import Float64s, Int64s
from agents.detectors.profile.judging import CROWD_SPREAD, LEAST_SPREAD, OWN_SPREAD, Judged
from agents.detectors.profile.state import METRICS, Crowds, Users
from agents.detectors.settings import Profile

_PRIOR: Final = 10.0
"""Lessons that the first guess of a spread is worth."""

_MOST_STEP: Final = 2.0
_MOST_SPREAD: Final = 3.0
"""Standard deviations from which a centre and a spread learn at most."""

_SUSPICION: Final = 0.3
"""A suspect teaches so much of what others do of scatter: an attack must not widen its own band
before it is found.
"""

_CROWD_MEMORY: Final = 1000.0
"""Users, or windows of a user, that a crowd remembers."""


def users_learnt(
    users: Users, crowds: Crowds, judged: Judged, stamp: int, settings: Profile
) -> Users:
    """Users after the bucket; `crowds`, one column per user, as it was before it."""
    new = (users.learnt == 0) | judged.outlived
    # A newcomer is learnt from in any case: who is heavy from the first day is told once, and then
    # has a past.
    lesson = judged.known & (judged.newcomer | ~judged.anomalous)
    age = np.minimum(users.learnt, settings.memory_buckets - 1)
    spread = np.where(new, np.where(crowds.learnt > 0, crowds.own_spread, OWN_SPREAD), users.spread)
    distance = np.where(new, 0.0, judged.size - users.centre)
    step, squared = _bounded(distance, spread)
    centre = np.where(new, judged.size, users.centre + step / (age + 1))
    trust = np.where(judged.suspect, _SUSPICION, 1.0)
    scatter = np.where(new, spread, spread + trust * (squared - spread) / (age + _PRIOR))
    learnt = np.where(judged.outlived, settings.memory_buckets / 2, age + 1)
    return Users(
        volume=judged.volume,
        centre=np.where(lesson, centre, users.centre),
        spread=np.where(lesson, scatter, users.spread),
        learnt=np.where(lesson, learnt, users.learnt),
        since=np.where(judged.begun, stamp, np.where(judged.anomalous, users.since, 0)),
        told=np.where(
            judged.telling | judged.outlived, stamp, np.where(judged.normal, 0, users.told)
        ),
        first=np.where(users.first > 0, users.first, stamp),
        last=np.full_like(users.last, stamp),
    )


def crowds_learnt(
    crowds: Crowds, crowd_of: Int64s, users: Users, judged: Judged, stamp: int, settings: Profile
) -> Crowds:
    """Crowds after the bucket. A user weighs what share of a window has passed since the last time,
    so that all users weigh alike.

    Sums run over users in the order of their names, so they are always the same.
    """
    gap = np.where(users.last > 0, stamp - users.last, settings.window_buckets)
    weight = np.clip(gap / settings.window_buckets, 0.0, 1.0)
    after = [
        _metric_learnt(
            metric,
            crowds,
            crowd_of,
            weight * (judged.known & ~judged.anomalous)[metric],
            users,
            judged,
        )
        for metric in range(len(METRICS))
    ]
    return Crowds(*(np.stack(columns) for columns in zip(*after, strict=True)))


def _metric_learnt(
    metric: int, crowds: Crowds, crowd_of: Int64s, weight: Float64s, users: Users, judged: Judged
) -> tuple[Float64s, Float64s, Float64s, Float64s]:
    """Learnt, centre, spread and own spread of one metric, shape (crowds,)."""
    count = crowds.learnt.shape[1]

    def total(values: Float64s) -> Float64s:
        return np.asarray(np.bincount(crowd_of, weight * values, minlength=count), np.float64)

    size, before = judged.size[metric], crowds.learnt[metric]
    came = total(np.ones_like(size))
    known = np.minimum(before + came, _CROWD_MEMORY)
    mean = total(size) / np.where(came > 0, came, 1.0)
    centre = np.where(before > 0, crowds.centre[metric], mean)
    spread = np.where(before > 0, crowds.spread[metric], CROWD_SPREAD)
    step, squared = _bounded(size - centre[crowd_of], spread[crowd_of])
    prior = np.maximum(known, came) + _PRIOR
    typical = np.where(before > 0, crowds.own_spread[metric], OWN_SPREAD)
    settled = ~judged.newcomer[metric]
    return (
        known,
        centre + total(step) / np.maximum(known, 1.0),
        spread + (total(squared) - came * spread) / prior,
        typical + (total(users.spread[metric] * settled) - total(settled * 1.0) * typical) / prior,
    )


def _bounded(distance: Float64s, spread: Float64s) -> tuple[Float64s, Float64s]:
    """Distance and its square, each as if it were at most so many standard deviations."""
    deviation = np.sqrt(np.maximum(spread, LEAST_SPREAD))
    step = np.clip(distance, -_MOST_STEP * deviation, _MOST_STEP * deviation)
    return step, np.minimum(distance * distance, (_MOST_SPREAD * deviation) ** 2)
