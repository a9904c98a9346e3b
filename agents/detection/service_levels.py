"""Levels of service of a lane's applications and models, for metrics: those of the busiest series
in the last closed bucket.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from agents.detection.population import Population
from agents.detectors.contract import Closed
from streams.samples import Sample
from streams.state.sketch import quantiles
from streams.state.subjects import Subjects

Int64s = npt.NDArray[np.int64]

_QUANTILES: Final = (0.5, 0.95, 0.99)
_NUMBERS: Final = ("requests", "errors", "prompt_tokens", "completion_tokens", "cost_nano")


class ServiceLevels:
    """The levels of the bucket that was closed last, of at most `limit` series, those with the most
    requests.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._last: _Levels | None = None

    def closed(self, closed: Closed, subjects: Subjects) -> None:
        """Replace the levels by those of another bucket."""
        # Only the numbers are kept here; they become samples when metrics are read, which is less
        # often than buckets close.
        if not self._limit:
            return
        requests = closed.numbers["requests"]
        busiest = np.flatnonzero(requests)
        if len(busiest) > self._limit:
            busiest = busiest[np.argpartition(requests[busiest], -self._limit)[-self._limit :]]
        self._last = _Levels(
            seconds=(closed.end - closed.start) / 1e6,
            names=[subjects.name(row) for row in closed.rows[busiest].tolist()],
            numbers={key: closed.numbers[key][busiest] for key in _NUMBERS},
            latency=closed.sketches["latency_us"][busiest],
        )

    def samples(self) -> Iterator[Sample]:
        """Samples of the last bucket; none if it had no event."""
        return iter(()) if self._last is None else self._last.samples()


@dataclass(frozen=True, slots=True)
class _Levels:
    """Numbers of a bucket's series, by name; arrays have shape (n, ...)."""

    seconds: float
    names: list[tuple[str, ...]]
    numbers: Mapping[str, Int64s]
    latency: npt.NDArray[np.uint32]

    def samples(self) -> Iterator[Sample]:
        seconds, latency = self.seconds, quantiles(self.latency, _QUANTILES) / 1e6
        for row, name in enumerate(self.names):
            requests, errors, *tokens, cost = (float(self.numbers[key][row]) for key in _NUMBERS)
            yield Sample("sentinel_service_request_rate", name, requests / seconds)
            yield Sample("sentinel_service_error_ratio", name, errors / requests)
            yield Sample("sentinel_service_token_rate", name, sum(tokens) / seconds)
            yield Sample("sentinel_service_cost_rate", name, cost / 1e9 / seconds)
            for share, value in zip(_QUANTILES, latency[row].tolist(), strict=True):
                if value == value:
                    yield Sample("sentinel_service_latency_seconds", (*name, f"{share:g}"), value)


def last_events(
    series: Population, applications: Subjects, bucket_us: int, limit: int
) -> Iterator[Sample]:
    """When each application was last seen, Unix seconds: the end of the last closed bucket that has
    an event of it. Of more than `limit`, those that were seen last.
    """
    ends = series.last_seen(applications.capacity)
    newest = np.argsort(ends, kind="stable")[::-1][:limit]
    for row in newest[ends[newest] > 0].tolist():
        yield Sample(
            "sentinel_last_event_timestamp_seconds",
            applications.name(row),
            float(ends[row]) * bucket_us / 1e6,
        )
