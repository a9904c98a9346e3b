"""Segments of events as the at-once detectors see them, from plain arrays."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agents.detectors.contract import Float64s, Int64s
from tests.detectors.traffic import BUCKET_US, START


@dataclass(frozen=True)
class Names:
    """Names of series by row, for as many rows as anybody asks for."""

    def name(self, row: int) -> tuple[str, ...]:
        """Two tenants, two applications each, three models each."""
        return f"tenant{row % 2}", f"application{row // 2 % 2}", f"model{row // 4 % 3}"


@dataclass(frozen=True)
class Segment:
    """Events with the metrics that they have; NaN where an event has none."""

    offsets: Int64s
    times: Int64s
    series: Int64s
    metrics: Mapping[str, Float64s]
    bucket_us: int = BUCKET_US
    names: Names = Names()

    @property
    def buckets(self) -> Int64s:
        """Event time // bucket width."""
        return self.times // self.bucket_us

    def integers(self, column: str) -> Int64s:
        """As in the contract; -1 where there is none."""
        values = self.numbers(column)
        return np.where(np.isnan(values), -1, values).astype(np.int64)

    def numbers(self, metric: str) -> Float64s:
        """As in the contract."""
        return self.metrics[metric]

    def cut(self, start: int, end: int) -> "Segment":
        """The events from `start` to before `end`."""
        part = slice(start, end)
        metrics = {name: values[part] for name, values in self.metrics.items()}
        return Segment(
            self.offsets[part], self.times[part], self.series[part], metrics, self.bucket_us
        )


def events(
    values: npt.ArrayLike, series: npt.ArrayLike | None = None, seconds: npt.ArrayLike | None = None
) -> Segment:
    """Events with these latencies in µs, of series 0 and a second apart unless told otherwise."""
    latency = np.asarray(values, np.float64)
    count = len(latency)
    rows = np.zeros(count, np.int64) if series is None else np.asarray(series, np.int64)
    after = np.arange(count) if seconds is None else np.asarray(seconds)
    times = START * BUCKET_US + (after * 1_000_000).astype(np.int64)
    return Segment(np.arange(count), times, rows, {"latency_us": latency})


def random_events(count: int, seed: int) -> Segment:
    """Events of 24 series over four buckets, some out of order, some without a metric."""
    rng = np.random.default_rng(seed)
    seconds = np.linspace(0, 40, count) + rng.normal(0, 4, count)
    latency = rng.lognormal(13, 1, count)
    quality = np.where(rng.random(count) < 0.3, np.nan, rng.random(count))
    times = START * BUCKET_US + (seconds * 1_000_000).astype(np.int64)
    return Segment(
        np.sort(rng.choice(10 * count, count, replace=False)),
        times,
        rng.integers(0, 24, count),
        {"latency_us": latency, "quality.truth": quality},
    )
