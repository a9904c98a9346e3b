"""Telemetry for tests: one ordinary event, and any event that Hypothesis can think of."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from schemas.bounds import (
    MAX_COST_NANO,
    MAX_DURATION_US,
    MAX_EVENT_TIME,
    MAX_RETRIES,
    MAX_TOKENS,
    MIN_EVENT_TIME,
)
from schemas.records.telemetry import (
    Feature,
    Label,
    Operation,
    QualityScore,
    SecurityFinding,
    Status,
    TelemetryEvent,
)

ORDINARY = TelemetryEvent(
    event_id="e-1",
    event_time=1_760_000_000_000_000,
    tenant="acme",
    application="shop",
    model="gpt-4o-mini",
    operation=Operation.CHAT,
    status=Status.SUCCESS,
    latency_us=1_200_000,
)

ALL_COLUMNS = tuple(TelemetryEvent.__dataclass_fields__)


def event(**changes: Any) -> TelemetryEvent:
    """The ordinary event with some fields changed."""
    return replace(ORDINARY, **changes)


_ids = st.text(min_size=1, max_size=40)
_texts = st.text(max_size=300) | st.none()
_durations = st.integers(0, MAX_DURATION_US)
_tokens = st.integers(0, MAX_TOKENS)
_finite = st.floats(allow_nan=False, allow_infinity=False)

events = st.builds(
    TelemetryEvent,
    event_id=_ids,
    event_time=st.integers(MIN_EVENT_TIME, MAX_EVENT_TIME),
    tenant=_ids,
    application=_ids,
    model=_ids,
    operation=st.sampled_from(Operation),
    status=st.sampled_from(Status),
    latency_us=_durations,
    time_to_first_token_us=_durations | st.none(),
    prompt_tokens=_tokens,
    completion_tokens=_tokens,
    cached_tokens=_tokens,
    reasoning_tokens=_tokens,
    cost_nano=st.integers(0, MAX_COST_NANO),
    currency=_texts,
    user=st.text(max_size=60) | st.none(),
    session=_texts,
    provider=_texts,
    model_version=_texts,
    time_per_output_token_us=_durations | st.none(),
    queue_time_us=_durations | st.none(),
    error_type=_texts,
    http_status=st.integers(0, 999) | st.none(),
    finish_reason=_texts,
    retries=st.integers(0, MAX_RETRIES),
    service=_texts,
    environment=_texts,
    region=_texts,
    instance=_texts,
    trace_id=_texts,
    span_id=_texts,
    prompt_text=_texts,
    response_text=_texts,
    prompt_hash=_texts,
    response_hash=_texts,
    quality=st.lists(st.builds(QualityScore, st.text(), _finite, _texts), max_size=3).map(tuple),
    security=st.lists(st.builds(SecurityFinding, st.text(), _finite), max_size=3).map(tuple),
    labels=st.lists(st.builds(Label, st.text(), st.text()), max_size=3).map(tuple),
    features=st.lists(st.builds(Feature, st.text(), _finite), max_size=3).map(tuple),
)
