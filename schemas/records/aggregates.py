"""Closed buckets of one subject, as one lane counted them."""

from dataclasses import dataclass

from schemas.avro.coding import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate(Record):
    """One closed bucket of one subject as one lane counted it. After lane there are only floats;
    NaN means not known.
    """

    tenant: str
    application: str
    model: str
    window_start: int
    window_end: int
    settings_version: str
    lane: int = -1
    requests: float
    errors: float
    latency_sum_us: float
    latency_max_us: float
    latency_p50_us: float
    latency_p95_us: float
    latency_p99_us: float
    first_token_count: float
    first_token_p50_us: float
    first_token_p95_us: float
    prompt_tokens: float
    completion_tokens: float
    cost_nano: float
    latency_observed: float
    latency_expected: float
    latency_low: float
    latency_high: float
    time_to_first_token_observed: float
    time_to_first_token_expected: float
    time_to_first_token_low: float
    time_to_first_token_high: float
    tokens_observed: float
    tokens_expected: float
    tokens_low: float
    tokens_high: float
    cost_observed: float
    cost_expected: float
    cost_low: float
    cost_high: float
    error_rate_observed: float
    error_rate_expected: float
    error_rate_low: float
    error_rate_high: float
    request_rate_observed: float
    request_rate_expected: float
    request_rate_low: float
    request_rate_high: float
