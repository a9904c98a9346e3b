"""Synthetic traffic of series with a stated model, and its closed buckets; seeded, and unlike the
demo's data on purpose.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from agents.detectors.contract import Closed, Kind
from streams.state.logarithms import logarithms_of
from streams.state.sketch import BINS, bins_of

BUCKET_US = 10_000_000
START = 1_800_000_000_000_000 // BUCKET_US

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """How series behave. Scalars or arrays of one number per series."""

    rate: float = 1.0
    """Requests per second."""
    burstiness: float = 0.0
    """d of the counts: variance is m + d·m²."""
    rate_wander: float = 0.0
    """Standard deviation of a slow wander (correlation time 15 buckets) of the logarithm of the
    rate.
    """
    rate_slope: float = 0.0
    """Change of the logarithm of the rate per hour."""
    latency_s: float = 1.0
    latency_sigma: float = 0.6
    latency_wander: float = 0.05
    """Of the logarithm of latency, as for the rate; correlation time 10 buckets."""
    latency_slope: float = 0.0
    """Change of the logarithm of latency per hour."""
    pareto: float = 0.0
    """Share of requests whose latency is multiplied by a Pareto variable (shape 1.2)."""
    tokens_sigma: float = 0.9
    tokens_couple: float = 0.0
    """Exponent with which latency follows a request's tokens."""
    error_rate: float = 0.005
    error_bursts: float = 0.0
    """Share of buckets in which failures are five times as likely."""


@dataclass(frozen=True)
class Fault:
    """Multiplies, or for errors sets, from bucket `at` to before `until`; `ramp` buckets until it
    is there in full.
    """

    at: int
    until: int = 10**9
    rate: float = 1.0
    latency: float = 1.0
    first_token: float = 1.0
    tokens: float = 1.0
    cost: float = 1.0
    error_rate: float | None = None
    ramp: int = 0

    def share(self, bucket: int) -> float:
        """How much of the fault there is, 0 to 1."""
        if not self.at <= bucket < self.until:
            return 0.0
        return 1.0 if self.ramp == 0 else min((bucket - self.at + 1) / self.ramp, 1.0)


def wander(
    rng: np.random.Generator, buckets: int, series: int, deviation: float, buckets_correlated: float
) -> Floats:
    """Autoregressive noise of shape (buckets, series)."""
    keep = np.exp(-1 / buckets_correlated)
    noise = rng.normal(0, np.sqrt(1 - keep * keep), (buckets, series))
    out = np.empty((buckets, series))
    value = rng.normal(0, 1, series)
    for bucket in range(buckets):
        value = keep * value + noise[bucket]
        out[bucket] = value
    return out * deviation


def closes(
    world: World, series: int, buckets: int, seed: int, fault: Fault | None = None
) -> Iterator[Closed]:
    """The closed buckets of so many independent series that behave alike."""
    rng = np.random.default_rng(seed)
    busy = wander(rng, buckets, series, world.rate_wander, 15)
    slow = wander(rng, buckets, series, world.latency_wander, 10)
    fault = replace(fault or Fault(at=10**9))
    for bucket in range(buckets):
        share = fault.share(bucket)
        hours = bucket / 360
        mean = 10 * world.rate * np.exp(busy[bucket] + world.rate_slope * hours) * fault.rate**share
        if world.burstiness:
            mean = mean * rng.gamma(1 / world.burstiness, world.burstiness, series)
        count = rng.poisson(mean)
        owner = np.repeat(np.arange(series), count)
        size = np.exp(rng.normal(0, world.tokens_sigma, len(owner)))
        tokens = np.maximum((600 * size * fault.tokens**share).astype(np.int64), 1)
        latency = world.latency_s * np.exp(
            rng.normal(0, world.latency_sigma, len(owner)) + slow[bucket][owner]
        )
        latency *= (
            size**world.tokens_couple * np.exp(world.latency_slope * hours) * fault.latency**share
        )
        stuck = rng.random(len(owner)) < world.pareto
        latency[stuck] *= 1 + rng.pareto(1.2, int(stuck.sum()))
        first = 0.3 * latency * fault.first_token**share
        likely = world.error_rate * (5.0 if rng.random() < world.error_bursts else 1.0)
        failed = rng.random(len(owner)) < (
            likely if fault.error_rate is None or not share else fault.error_rate
        )
        cost = (tokens * 2_000 * fault.cost**share).astype(np.int64)
        yield closed_of(series, bucket, owner, tokens, latency, first, failed, cost)


def closed_of(
    series: int,
    bucket: int,
    owner: npt.NDArray[np.int64],
    tokens: npt.NDArray[np.int64],
    latency: Floats,
    first: Floats,
    failed: npt.NDArray[np.bool_],
    cost: npt.NDArray[np.int64],
) -> Closed:
    """One closed bucket of these requests; latencies in seconds."""

    def total(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        out = np.zeros(series, np.int64)
        np.add.at(out, owner, values)
        return out

    def sketch(values: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
        out = np.zeros((series, BINS), np.uint32)
        np.add.at(out, (owner, bins_of(values)), np.uint32(1))
        return out

    latency_us, first_us = (latency * 1e6).astype(np.int64), (first * 1e6).astype(np.int64)
    answered = tokens // 3
    sizes = {
        "success_latency_us": latency_us,
        "success_first_token_us": first_us,
        "success_tokens": tokens + answered,
        "success_cost_nano": cost,
        "success_pace": (latency_us - first_us) * 1000 // np.maximum(answered - 1, 1),
        "success_price": cost * 1000 // np.maximum(tokens + answered, 1),
    }
    logs: dict[str, npt.NDArray[np.int64]] = {}
    for name, values in sizes.items():
        counted = ~failed & (values > 0)
        log = np.where(counted, logarithms_of(np.maximum(values, 1)), 0)
        for part, of in (("n", counted.astype(np.int64)), ("log", log), ("log2", log * log)):
            logs[f"{name}.{part}"] = total(of)
    most = np.zeros(series, np.int64)
    np.maximum.at(most, owner, latency_us)
    ones = np.ones(len(owner), np.int64)
    start = (START + bucket) * BUCKET_US
    return Closed(
        kind=Kind.SERIES,
        bucket=START + bucket,
        start=start,
        end=start + BUCKET_US,
        rows=np.arange(series),
        numbers={
            "requests": total(ones),
            "errors": total(failed.astype(np.int64)),
            "latency_us": total(latency_us),
            "latency_max_us": most,
            "first_tokens": total(ones),
            "time_to_first_token_us": total(first_us),
            "prompt_tokens": total(tokens),
            "completion_tokens": total(answered),
            "cost_nano": total(cost),
            **logs,
        },
        sketches={"latency_us": sketch(latency_us), "time_to_first_token_us": sketch(first_us)},
        applications=np.zeros(series, np.int64),
        application_count=1,
        seen_before=np.zeros(series, np.int64),
    )
