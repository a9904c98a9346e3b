"""One bucket of a series out of what each lane counted of it.

The events of an application belong on one lane; where a producer spreads them, each lane writes a
bucket of its own part. What was observed adds up to what one lane would have said of all events:
rates are sums; tokens, cost and error rate are means over events, so they are weighted by events;
latency and time to first token are geometric means, so that their logarithms are. What was expected
was expected by each lane alone: it is put together in the same way, and where one lane expected
nothing yet, nothing is known of the whole. Nor is it where a lane does not say of how many events
it is a mean, or where the whole is beyond what a number can be.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from connectors.store.port import Point
from schemas.measures import MEASURES, Merge

_COUNTS: Final = {measure.name: measure.counted_by for measure in MEASURES}
_SUMMED: Final = frozenset(one.name for one in MEASURES if one.merge is Merge.SUM)
_GEOMETRIC: Final = frozenset(one.name for one in MEASURES if one.merge is Merge.GEOMETRIC_MEAN)
_ZERO_IS_UNKNOWN: Final = frozenset(one.name for one in MEASURES if one.zero_is_unknown)
"""Metrics of which a lane may say nothing though another lane's events had some: it adds zero."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one lane counted of a bucket."""

    window_start: int
    window_end: int
    lane: int
    events: float | None
    """That the metric is a mean of; None where that is not known."""
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
    return ("window_end", "lane", _COUNTS[metric], *bands)


def points(metric: str, parts: Iterable[Part]) -> Iterator[Point]:
    """A point for each bucket, in the order of `parts`, where those of one bucket are
    neighbours.
    """
    for _, of_bucket in groupby(parts, lambda part: part.window_start):
        own = sorted(of_bucket, key=lambda part: part.lane)
        yield _alone(own[0]) if len(own) == 1 else _together(metric, own)


def _alone(part: Part) -> Point:
    return Point(
        part.window_start, part.window_end, part.observed, part.expected, part.low, part.high
    )


def _together(metric: str, parts: Sequence[Part]) -> Point:
    # A lane without an event that the metric is about says nothing of it, and takes nothing from
    # the others.
    heard = [part for part in parts if metric in _SUMMED or part.events is None or part.events > 0]
    weights = [part.events for part in heard]
    observed = [part.observed for part in heard]
    if metric in _ZERO_IS_UNKNOWN and any(value is not None for value in observed):
        observed = [value or 0.0 for value in observed]
    expected, low, high = (
        _added(metric, [getattr(part, name) for part in heard], weights)
        for name in ("expected", "low", "high")
    )
    whole = _added(metric, observed, weights)
    return Point(parts[0].window_start, parts[0].window_end, whole, expected, low, high, len(parts))


def _added(
    metric: str, values: Sequence[float | None], weights: Sequence[float | None]
) -> float | None:
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    try:
        whole = _whole(metric, known, weights)
    except (OverflowError, ValueError):
        # The exact sum is beyond what a number can be, or infinities of both signs are in it.
        return None
    return whole if whole is not None and math.isfinite(whole) else None


def _whole(metric: str, values: Sequence[float], weights: Sequence[float | None]) -> float | None:
    if metric in _SUMMED:
        return math.fsum(values)
    shares = [weight for weight in weights if weight is not None]
    if len(shares) < len(weights):
        return None
    if metric in _GEOMETRIC and min(values) > 0:
        return math.exp(_mean([math.log(value) for value in values], shares))
    return _mean(values, shares)


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return math.fsum(
        value * weight for value, weight in zip(values, weights, strict=True)
    ) / math.fsum(weights)
