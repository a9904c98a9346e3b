"""What one bucket of one series holds, counted one event at a time with Python's whole numbers."""

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Final

from schemas.records.aggregates import Aggregate
from schemas.records.telemetry import Status, TelemetryEvent

_FIRST: Final = 1024
_LAST_BIN: Final = 79
_NAN: Final = float("nan")

Subject = tuple[str, str, str]
"""Tenant, application, model."""


def bin_of(value: int) -> int:
    """The sketch's bin of a time in µs: four to an octave from 1,024 µs on, 80 in all; what is less
    shares the first, what is more the last.

    >>> [bin_of(value) for value in (0, 1023, 1024, 1279, 1280, 2048, 1 << 40)]
    [0, 0, 0, 0, 1, 4, 79]
    """
    if value < _FIRST:
        return 0
    octave = value.bit_length() - 1
    return min((octave - 10) * 4 + ((value >> (octave - 2)) & 3), _LAST_BIN)


def middle_of(place: int) -> float:
    """The value that stands for a bin: its middle, µs.

    >>> middle_of(0), middle_of(5)
    (1152.0, 2816.0)
    """
    octave, quarter = divmod(place, 4)
    return (4 + quarter + 0.5) * (1 << octave) * 256.0


def log_of(value: int) -> int:
    """Logarithm to base 2 in 1/1024, by the first ten bits after the leading one.

    >>> [log_of(value) for value in (1, 3, 1_000_000)]
    [1, 1623, 20410]
    """
    octave = value.bit_length() - 1
    first = (value << 10 >> octave) & 1023
    return 1024 * octave + round(1024 * math.log2(1 + (first + 0.5) / 1024))


def quantile(bins: Counter[int], share: float) -> float:
    """The middle of the bin that holds the value at rank ceil(share · n), at least the first; NaN
    when there is none.
    """
    rank = max(math.ceil(share * bins.total()), 1)
    for place in sorted(bins):
        rank -= bins[place]
        if rank <= 0:
            return middle_of(place)
    return _NAN


@dataclass(slots=True)
class Sums:
    """Sums, extremes and bins of a bucket."""

    requests: int = 0
    errors: int = 0
    latency_us: int = 0
    latency_max_us: int = 0
    first_tokens: int = 0
    time_to_first_token_us: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_nano: int = 0
    latencies: Counter[int] = field(default_factory=Counter)
    first_token_times: Counter[int] = field(default_factory=Counter)
    sizes: list[list[int]] = field(default_factory=lambda: [[0, 0, 0] for _ in range(6)])
    """Of successful calls: latency, time to first token, tokens, cost, pace and price; each how
    many have it, sum of logarithms and of their squares.
    """

    def count(self, event: TelemetryEvent) -> None:
        """One more event."""
        self.requests += 1
        self.errors += event.status is not Status.SUCCESS
        self.latency_us += event.latency_us
        self.latency_max_us = max(self.latency_max_us, event.latency_us)
        self.latencies[bin_of(event.latency_us)] += 1
        if event.time_to_first_token_us is not None:
            self.first_tokens += 1
            self.time_to_first_token_us += event.time_to_first_token_us
            self.first_token_times[bin_of(event.time_to_first_token_us)] += 1
        self.prompt_tokens += event.prompt_tokens
        self.completion_tokens += event.completion_tokens
        self.cost_nano += event.cost_nano
        if event.status is Status.SUCCESS:
            for sums, value in zip(self.sizes, _sizes(event), strict=True):
                if value > 0:
                    log = log_of(value)
                    sums[:] = [sums[0] + 1, sums[1] + log, sums[2] + log * log]

    def numbers(self) -> list[int]:
        """As a row of the window table keeps them (`agents.detection.population.SERIES_WINDOW`)."""
        return [
            self.requests,
            self.errors,
            self.latency_us,
            self.first_tokens,
            self.time_to_first_token_us,
            self.prompt_tokens,
            self.completion_tokens,
            self.cost_nano,
            self.latency_max_us,
            *(number for sums in self.sizes for number in sums),
        ]

    def aggregate(
        self, subject: Subject, start: int, end: int, settings_version: str, lane: int
    ) -> Aggregate:
        """The closed bucket, without bands: those are for detectors to say."""
        tenant, application, model = subject
        return Aggregate(
            tenant=tenant,
            application=application,
            model=model,
            window_start=start,
            window_end=end,
            settings_version=settings_version,
            lane=lane,
            requests=float(self.requests),
            errors=float(self.errors),
            latency_sum_us=float(self.latency_us),
            latency_max_us=float(self.latency_max_us),
            latency_p50_us=quantile(self.latencies, 0.5),
            latency_p95_us=quantile(self.latencies, 0.95),
            latency_p99_us=quantile(self.latencies, 0.99),
            first_token_count=float(self.first_tokens),
            first_token_p50_us=quantile(self.first_token_times, 0.5),
            first_token_p95_us=quantile(self.first_token_times, 0.95),
            prompt_tokens=float(self.prompt_tokens),
            completion_tokens=float(self.completion_tokens),
            cost_nano=float(self.cost_nano),
            **_NO_BANDS,
        )


def _sizes(event: TelemetryEvent) -> tuple[int, ...]:
    """Of one call; 0 for what it does not have."""
    first, answered = event.time_to_first_token_us, event.completion_tokens
    tokens = event.prompt_tokens + answered
    has_pace = first is not None and answered > 1
    return (
        event.latency_us,
        first or 0,
        tokens,
        event.cost_nano,
        (event.latency_us - (first or 0)) * 1000 // (answered - 1) if has_pace else 0,
        event.cost_nano * 1000 // tokens if tokens > 0 else 0,
    )


def without_bands(aggregate: Aggregate) -> Aggregate:
    """What a bucket held, without what a deviation detector said of it."""
    return replace(aggregate, **_NO_BANDS)  # type: ignore[arg-type]  # all of these are floats


_NO_BANDS: Final = {
    name: _NAN
    for name in Aggregate.__slots__
    if name.endswith(("_observed", "_expected", "_low", "_high"))
}
