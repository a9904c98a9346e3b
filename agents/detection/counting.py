"""Events of a segment into the windows of their subjects."""

import numpy as np

from agents.detection.population import Population
from agents.detection.segment import Segment
from schemas.telemetry.events import Events


def count_series(series: Population, segment: Segment) -> None:
    """Counts a segment's events into their series."""
    first_token = segment.integers("time_to_first_token_us")
    latency = segment.integers("latency_us")
    series.add(
        segment.series,
        segment.buckets,
        {
            "requests": np.int64(1),
            "errors": segment.integers("failed"),
            "latency_us": latency,
            "latency_max_us": latency,
            "first_tokens": (first_token >= 0).astype(np.int64),
            "time_to_first_token_us": first_token,
            "prompt_tokens": segment.integers("prompt_tokens"),
            "completion_tokens": segment.integers("completion_tokens"),
            "cost_nano": segment.integers("cost_nano"),
        },
    )


def count_users(users: Population, segment: Segment, events: Events) -> None:
    """Counts the same events, those that name one, into their users."""
    tokens, cost, buckets = (
        segment.integers("tokens"),
        segment.integers("cost_nano"),
        segment.buckets,
    )
    has = events.has("user")
    if not has.all():
        known = np.flatnonzero(has)
        if not len(known):
            return
        events, tokens, cost, buckets = events[known], tokens[known], cost[known], buckets[known]
    rows = users.rows_of(events)
    users.add(rows, buckets, {"requests": np.int64(1), "tokens": tokens, "cost_nano": cost})
