"""Worlds of traffic: series with a rate, latencies, tokens, costs, errors and users over days, and
faults in them, as tables of events an hour at a time.

Everything is modelled. Rates: a daily and weekly season, a smooth random walk, or a bursty client
that pauses; arrivals are Poisson by bucket. Latencies are log-normal around a level that wanders
(sd 0.06 over 10 min, 0.08 over 5 h); tokens are log-normal; 0.5 % of the calls fail, by a share
that wanders, and take 30 to 330 ms. One application for each series unless it is told otherwise.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
Shape = Callable[[Floats, np.random.Generator], Floats]
"""Relative rate by hour since the start (a Monday's midnight), around 1."""

START: Final = 1_799_625_600_000_000
"""A Monday, 0:00 UTC, µs."""
BUCKET_US: Final = 10_000_000
HOUR: Final = 360
"""Buckets of an hour."""
DAY: Final = 24 * HOUR
ERROR_SHARE: Final = 0.005

_AT_ONCE: Final = 400_000
"""Events of a table, about."""


def season(hours: Floats, _: np.random.Generator) -> Floats:
    """Night a fifth of the afternoon, the weekend half of the week."""
    day = 0.2 + 0.8 * (0.5 + 0.5 * np.cos(2 * np.pi * (hours - 15) / 24)) ** 1.3
    return day * np.where(hours // 24 % 7 >= 5, 0.5, 1.0) * 1.85


def walk(hours: Floats, random: np.random.Generator) -> Floats:
    """A sum of many clients: a mild season, and a level that wanders within hours."""
    slow = wandering(random, len(hours), 0.25, 3 * HOUR)
    return np.exp(slow) * (1 + 0.3 * np.cos(2 * np.pi * (hours - 13) / 24))


def bursty(hours: Floats, random: np.random.Generator) -> Floats:
    """A single client: on for 40 min, off for 10 min on average, and uneven while it is on."""
    on = np.zeros(len(hours))
    at = 0
    while at < len(on):
        length = int(random.exponential(240)) + 1
        on[at : at + length] = 1.25
        at += length + int(random.exponential(60)) + 1
    return on * random.gamma(1.5, 1 / 1.5, len(hours))


def steady(hours: Floats, _: np.random.Generator) -> Floats:
    """The same all day."""
    return np.ones(len(hours))


def wandering(random: np.random.Generator, count: int, sd: float, memory: float) -> Floats:
    """A stationary first-order process of this deviation with a memory in buckets; between
    knots a fifth of the memory apart it is straight.
    """
    step = max(int(memory / 5), 1)
    knots = count // step + 3
    keep = np.exp(-step / memory)
    noise = random.normal(0, sd * np.sqrt(1 - keep * keep), knots)
    level = np.empty(knots)
    level[0] = random.normal(0, sd)
    for place in range(1, knots):
        level[place] = keep * level[place - 1] + noise[place]
    return np.interp(np.arange(count), np.arange(knots) * step, level)


@dataclass(slots=True)
class Series:
    """One series of calls. Arrays are by bucket, and faults change them."""

    application: str
    volume: float
    """Calls a second, on average."""
    shape: Shape = season
    kind: str = "season"
    model: str = "m"
    users: int = 0
    latency_s: float = 0.8
    tail: float = 0.0
    """Share of calls whose latency has a Pareto tail of index 1.1."""
    rate: Floats = field(init=False)
    latency: Floats = field(init=False)
    first: Floats = field(init=False)
    tokens: Floats = field(init=False)
    cost: Floats = field(init=False)
    errors: Floats = field(init=False)

    def settle(self, buckets: int, random: np.random.Generator) -> None:
        """Makes the arrays, without faults."""
        self.rate = self.volume * self.shape(np.arange(buckets) / HOUR, random)
        level = wandering(random, buckets, 0.06, 60) + wandering(random, buckets, 0.08, 1800)
        self.latency = np.exp(level)
        self.first, self.cost = np.ones(buckets), np.ones(buckets)
        self.tokens = np.exp(wandering(random, buckets, 0.08, 720))
        self.errors = ERROR_SHARE * np.exp(wandering(random, buckets, 0.4, 60) - 0.08)


@dataclass(frozen=True, slots=True)
class Burst:
    """Calls of one user beside the others': some a second for a while, with larger prompts."""

    series: int
    user: str
    per_s: float
    begin: int
    end: int
    """Buckets."""
    prompts: float = 1.0


class World:
    """Series over days; the same seed gives the same events."""

    def __init__(self, series: Sequence[Series], days: float, seed: int) -> None:
        self.series = series
        self.buckets = round(days * DAY)
        self.bursts: list[Burst] = []
        self._seed = seed
        for place, one in enumerate(series):
            one.settle(self.buckets, np.random.default_rng([seed, place]))

    def tables(self) -> Iterator[pl.DataFrame]:
        """The events in the order of time."""
        random = np.random.default_rng([self._seed, 1 << 20])
        total = sum(float(one.rate.sum()) * 10 for one in self.series)
        each = max(int(_AT_ONCE / max(total / self.buckets, 1e-9)), 6)
        for first in range(0, self.buckets, min(each, HOUR)):
            yield self._table(first, min(first + min(each, HOUR), self.buckets), random)

    def _table(self, first: int, last: int, random: np.random.Generator) -> pl.DataFrame:
        at = slice(first, last)
        counts = random.poisson(np.array([one.rate[at] for one in self.series]) * 10)
        owner, bucket = (np.repeat(each, counts.ravel()) for each in _grid(counts.shape))
        user = random.integers(0, 1 << 30, len(owner))
        special = np.full(len(owner), -1)
        prompts = np.ones(len(owner))
        for place, burst in enumerate(self.bursts):
            span = np.arange(max(burst.begin, first), min(burst.end, last)) - first
            more = np.repeat(span, random.poisson(burst.per_s * 10, len(span)))
            owner = np.append(owner, np.full(len(more), burst.series))
            bucket, user = np.append(bucket, more), np.append(user, np.zeros(len(more), np.int64))
            special = np.append(special, np.full(len(more), place))
            prompts = np.append(prompts, np.full(len(more), burst.prompts))
        times = START + (first + bucket) * BUCKET_US + random.integers(0, BUCKET_US, len(owner))
        order = np.argsort(times)
        return self._events(
            times[order], owner[order], first + bucket[order], user[order], special[order],
            prompts[order], random,
        )  # fmt: skip

    def _events(
        self,
        times: Int64s,
        owner: Int64s,
        bucket: Int64s,
        user: Int64s,
        special: Int64s,
        prompts: Floats,
        random: np.random.Generator,
    ) -> pl.DataFrame:
        count = len(times)
        at = (owner, bucket - (int(bucket.min()) if count else 0))
        low, high = (int(bucket.min()), int(bucket.max()) + 1) if count else (0, 0)

        def of(name: str) -> Floats:
            grid = np.array([getattr(one, name)[low:high] for one in self.series])
            return np.asarray(grid[at])

        failed = random.random(count) < of("errors")
        base = np.array([one.latency_s for one in self.series])[owner]
        latency = base * of("latency") * np.exp(random.standard_normal(count) * 0.45)
        tails = np.array([one.tail for one in self.series])[owner]
        if tails.any():
            is_long = random.random(count) < tails
            latency = np.where(is_long, latency * (1 + random.pareto(1.1, count)), latency)
        first = 0.3 * latency * of("first") * np.exp(random.standard_normal(count) * 0.2)
        latency = np.where(failed, 0.03 + 0.3 * random.random(count), np.minimum(latency, 600))
        tokens = of("tokens")
        prompt = np.exp(6.2 + 0.8 * random.standard_normal(count)) * tokens * prompts
        completion = np.exp(5.0 + 0.6 * random.standard_normal(count)) * tokens * ~failed
        cost = (prompt * 150 + completion * 600) * of("cost") * ~failed
        return pl.DataFrame(
            {
                "event_time": times,
                "tenant": pl.repeat("t", count, eager=True),
                "application": _names([one.application for one in self.series], owner),
                "model": _names([one.model for one in self.series], owner),
                "user": self._users(owner, user, special),
                "status": pl.Series(failed.astype(np.int64)),
                "latency_us": (latency * 1e6).astype(np.int64),
                "time_to_first_token_us": pl.Series(
                    (np.minimum(first, 600) * 1e6).astype(np.int64)
                ).set(pl.Series(failed), None),
                "prompt_tokens": prompt.astype(np.int64),
                "completion_tokens": completion.astype(np.int64),
                "cost_nano": cost.astype(np.int64),
            }
        )

    def _users(self, owner: Int64s, user: Int64s, special: Int64s) -> pl.Series:
        """Users of a series: some call much more often than others."""
        sizes = np.array([one.users for one in self.series])
        if not sizes.any():
            return pl.Series([None], dtype=pl.String).new_from_index(0, len(owner))
        share = (user / (1 << 30)) ** 2.5
        number = (share * sizes[owner]).astype(np.int64)
        names = [f"{one.application}/u{rank}" for one in self.series for rank in range(one.users)]
        names += [burst.user for burst in self.bursts]
        starts = np.cumsum(sizes) - sizes
        at = np.where(special < 0, starts[owner] + number, int(sizes.sum()) + special)
        return _names(names, at)


def _names(names: Sequence[str], at: Int64s) -> pl.Series:
    return pl.Series(list(names), dtype=pl.String).gather(pl.Series(at))


def _grid(shape: tuple[int, ...]) -> tuple[Int64s, Int64s]:
    rows, columns = np.indices(shape)
    return rows.ravel(), columns.ravel()
