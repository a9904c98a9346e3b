"""How the applications and models of a lane do, for metrics: from the last closed bucket, of the busiest series."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from agents.detection.population import Population
from agents.detectors.contract import Closed
from streams.samples import Sample
from streams.sketch import quantiles
from streams.subjects import Subjects

_QUANTILES: Final = (0.5, 0.95, 0.99)


class ServiceLevels:
    """The levels of the bucket that was closed last; `most` is the number of series that are told of, those with most requests."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._samples: list[Sample] = []

    def closed(self, closed: Closed, subjects: Subjects) -> None:
        """Takes the levels of a bucket in place of those of the one before."""
        self._samples = []
        if not self._most:
            return
        requests = closed.numbers["requests"]
        busiest = np.flatnonzero(requests)
        if len(busiest) > self._most:
            busiest = busiest[np.argpartition(requests[busiest], -self._most)[-self._most :]]
        seconds = (closed.end - closed.start) / 1e6
        latency = quantiles(closed.sketches["latency_us"][busiest], _QUANTILES) / 1e6
        for place, index in enumerate(busiest.tolist()):
            name = subjects.name(int(closed.rows[index]))
            made = {key: float(column[index]) for key, column in closed.numbers.items()}
            tokens = made["prompt_tokens"] + made["completion_tokens"]
            self._samples += [
                Sample("sentinel_service_request_rate", name, made["requests"] / seconds),
                Sample("sentinel_service_error_ratio", name, made["errors"] / made["requests"]),
                Sample("sentinel_service_token_rate", name, tokens / seconds),
                Sample("sentinel_service_cost_rate", name, made["cost_nano"] / 1e9 / seconds),
                *(
                    Sample("sentinel_service_latency_seconds", (*name, f"{share:g}"), value)
                    for share, value in zip(_QUANTILES, latency[place].tolist(), strict=True)
                    if value == value
                ),
            ]

    def samples(self) -> Iterator[Sample]:
        """Of the last bucket; none when nothing came in it."""
        return iter(self._samples)


def last_events(series: Population, applications: Subjects, bucket_us: int, most: int) -> Iterator[Sample]:
    """When each application was last seen, Unix seconds: the end of the last closed bucket that has an event of it. Of more than `most`, those that
    were seen last."""
    ends = series.last_seen(applications.capacity)
    newest = np.argsort(ends, kind="stable")[::-1][:most]
    for row in newest[ends[newest] > 0].tolist():
        yield Sample(
            "sentinel_last_event_timestamp_seconds", applications.name(row), float(ends[row]) * bucket_us / 1e6
        )
