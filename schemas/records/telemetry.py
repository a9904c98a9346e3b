"""Telemetry events as they are on the wire; times are ints, in µs since 1970-01-01 UTC."""

from dataclasses import dataclass
from enum import StrEnum

from schemas.avro.coding import Record


class Operation(StrEnum):
    """Kinds of call."""

    CHAT = "chat"
    COMPLETION = "completion"
    EMBEDDING = "embedding"
    TOOL = "tool"
    AGENT = "agent"
    OTHER = "other"


class Status(StrEnum):
    """Outcomes of a call."""

    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class QualityScore:
    """One judgement of the answer's quality."""

    name: str
    value: float
    label: str | None = None


@dataclass(frozen=True, slots=True)
class SecurityFinding:
    """One finding of a security check."""

    kind: str
    score: float


@dataclass(frozen=True, slots=True)
class Label:
    """One free label."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of a classic model."""

    name: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryEvent(Record):
    """One call of a model: the request, its outcome, its cost.

    Unknown values are None where the field allows it.
    """

    event_id: str
    event_time: int
    tenant: str
    application: str
    model: str
    operation: Operation
    status: Status
    latency_us: int
    time_to_first_token_us: int | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano: int = 0
    currency: str | None = None
    user: str | None = None
    session: str | None = None
    provider: str | None = None
    model_version: str | None = None
    time_per_output_token_us: int | None = None
    queue_time_us: int | None = None
    error_type: str | None = None
    http_status: int | None = None
    finish_reason: str | None = None
    retries: int = 0
    service: str | None = None
    environment: str | None = None
    region: str | None = None
    instance: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    prompt_text: str | None = None
    response_text: str | None = None
    prompt_hash: str | None = None
    response_hash: str | None = None
    quality: tuple[QualityScore, ...] = ()
    security: tuple[SecurityFinding, ...] = ()
    labels: tuple[Label, ...] = ()
    features: tuple[Feature, ...] = ()
