"""Synthetic traffic of an application's users with a stated model; seeded, and unlike the demo's
data on purpose.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agents.detectors.contract import Closed, Kind
from tests.detectors.traffic import BUCKET_US, START


@dataclass(frozen=True)
class Crowd:
    """How users behave; all applications alike."""

    users: int = 300
    """Of all applications together."""
    applications: int = 1
    rate: float = 5.0
    """Requests per second of one application."""
    zipf: float = 1.1
    """A user's share of the requests is that power of their rank."""
    sigma: float = 1.0
    """Of the logarithm of a request's tokens within a user,"""
    user_sigma: float = 0.7
    """and of its mean between users."""
    session_buckets: float = 0.0
    """Mean length of a session, three tenths of the time; 0 for users who are always there."""
    newcomers: float = 0.0
    """Share of users who come at some time later than the first bucket."""


@dataclass(frozen=True)
class Attack:
    """One user sends so many more requests per second, each `size` times as large, from bucket `at`
    on.
    """

    at: int
    user: int
    rate: float
    size: float


def closes_of_users(
    crowd: Crowd, buckets: int, seed: int, attack: Attack | None = None
) -> Iterator[Closed]:
    """The closed buckets of the users."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, crowd.users + 1) ** crowd.zipf
    share = rng.permutation(share / share.sum())
    usual = np.exp(rng.normal(0, crowd.user_sigma, crowd.users)) * 600
    present = rng.random(crowd.users) < 0.3
    comes = np.where(
        rng.random(crowd.users) < crowd.newcomers, rng.integers(0, buckets, crowd.users), 0
    )
    for bucket in range(buckets):
        mean = share * crowd.rate * 10 * crowd.applications
        if crowd.session_buckets:
            leaves, enters = 1 / crowd.session_buckets, 0.3 / 0.7 / crowd.session_buckets
            chance = rng.random(crowd.users)
            present = np.where(present, chance > leaves, chance < enters)
            mean = mean * present / 0.3
        count = rng.poisson(np.where(bucket >= comes, mean, 0.0))
        attacked = attack is not None and bucket >= attack.at
        if attacked and attack is not None:
            count[attack.user] += rng.poisson(attack.rate * 10)
        owner = np.repeat(np.arange(crowd.users), count)
        size = usual[owner] * np.exp(rng.normal(0, crowd.sigma, len(owner)))
        if attacked and attack is not None:
            size[owner == attack.user] *= attack.size
        tokens = np.zeros(crowd.users, np.int64)
        np.add.at(tokens, owner, size.astype(np.int64) + 1)
        yield closed_users(
            bucket, count.astype(np.int64), tokens, tokens * 2_000, crowd.applications
        )


def closed_users(
    bucket: int, requests: np.ndarray, tokens: np.ndarray, cost: np.ndarray, applications: int = 1
) -> Closed:
    """One closed bucket of users, who belong to the applications in turn."""
    start = (START + bucket) * BUCKET_US
    return Closed(
        kind=Kind.USER,
        bucket=START + bucket,
        start=start,
        end=start + BUCKET_US,
        rows=np.arange(len(requests)),
        numbers={"requests": requests, "tokens": tokens, "cost_nano": cost},
        sketches={},
        applications=np.arange(len(requests)) % applications,
        application_count=applications,
        seen_before=np.zeros(len(requests), np.int64),
    )
