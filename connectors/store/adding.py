"""One bucket of a series out of what each lane counted of it.

The events of an application belong on one lane; where a producer spreads them, each lane writes a bucket of its own part. What was
observed adds up exactly: rates are sums, and latency, time to first token, tokens, cost and error rate are means over events, so they are
weighted by events. What was expected was expected by each lane alone: rates are sums again, the rest is weighted in the same way, and
where one lane expected nothing yet, nothing is known of the whole.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from connectors.store.port import Point

_COUNTS: Final = {"time_to_first_token": "first_token_count"}
"""Number of an aggregate that says over how many events a metric is a mean, where it is not `requests`."""

_SUMMED: Final = frozenset({"request_rate"})


@dataclass(frozen=True, slots=True)
class Part:
    """What one lane counted of a bucket."""

    window_start: int
    window_end: int
    lane: int
    events: float
    """That the metric is a mean of."""
    observed: float | None
    expected: float | None
    low: float | None
    high: float | None


def part_fields(metric: str) -> tuple[str, ...]:
    """Fields of an aggregate that a part is made of, in the part's order, without `window_start`.

    >>> part_fields("latency")[:3]
    ('window_end', 'lane', 'requests')
    """
    bands = (f"{metric}_{part}" for part in ("observed", "expected", "low", "high"))
    return ("window_end", "lane", _COUNTS.get(metric, "requests"), *bands)


def points(metric: str, parts: Iterable[Part]) -> Iterator[Point]:
    """A point for each bucket, in the order of `parts`, where those of one bucket are neighbours."""
    for _, of_bucket in groupby(parts, lambda part: part.window_start):
        own = sorted(of_bucket, key=lambda part: part.lane)
        yield _alone(own[0]) if len(own) == 1 else _together(own, summed=metric in _SUMMED)


def _alone(part: Part) -> Point:
    return Point(part.window_start, part.window_end, part.observed, part.expected, part.low, part.high)


def _together(parts: Sequence[Part], *, summed: bool) -> Point:
    # A lane without an event that the metric is about says nothing of it, and takes nothing from the others.
    heard = [part for part in parts if summed or part.events > 0]
    observed, expected, low, high = (
        _added([getattr(part, name) for part in heard], [1.0 if summed else part.events for part in heard], summed)
        for name in ("observed", "expected", "low", "high")
    )
    return Point(parts[0].window_start, parts[0].window_end, observed, expected, low, high, len(parts))


def _added(values: Sequence[float | None], weights: Sequence[float], summed: bool) -> float | None:
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    total = math.fsum(value * weight for value, weight in zip(known, weights, strict=True))
    return total if summed else total / math.fsum(weights)
