"""Events of a segment into the windows of their subjects."""

import numpy as np

from agents.detection.population import Population
from agents.detection.segment import Segment
from schemas.telemetry.events import Events


def count_series(series: Population, segment: Segment) -> None:
    """Counts a segment's events into their series."""
    first_token = segment.integers("time_to_first_token_us")
    latency, cost = segment.integers("latency_us"), segment.integers("cost_nano")
    failed, answered = segment.integers("failed"), segment.integers("completion_tokens")
    prompt, success = segment.integers("prompt_tokens"), failed == 0
    tokens = np.where((prompt >= 0) & (answered >= 0), prompt + answered, -1)
    # Per token of the answer after the first, and per token: thousandths of the column's unit, so
    # that whole numbers are exact enough.
    has_pace = success & (first_token >= 0) & (answered > 1)
    pace = np.where(has_pace, (latency - first_token) * 1000 // np.maximum(answered - 1, 1), -1)
    price = np.where(success & (cost >= 0) & (tokens > 0), cost * 1000 // np.maximum(tokens, 1), -1)
    series.add(
        segment.series,
        segment.buckets,
        {
            "requests": np.int64(1),
            "errors": failed,
            "latency_us": latency,
            "latency_max_us": latency,
            "first_tokens": (first_token >= 0).astype(np.int64),
            "time_to_first_token_us": first_token,
            "prompt_tokens": prompt,
            "completion_tokens": answered,
            "cost_nano": cost,
            "success_latency_us": np.where(success, latency, -1),
            "success_first_token_us": np.where(success, first_token, -1),
            "success_tokens": np.where(success, tokens, -1),
            "success_cost_nano": np.where(success, cost, -1),
            "success_pace": pace,
            "success_price": price,
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
