"""The records on the wire, as Python has them; `avsc/` says what each field means and in which
unit.

Times are plain ints, microseconds since 1970-01-01 UTC. A test holds names, order, types and
defaults to the schemas.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from schemas.avro.coding import Record

INTAKE: Final = "intake"
"""Detector of anomalies that are not about an application's calls, but about records of it that do
not count as they should.
"""


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


class Severity(StrEnum):
    """Severities from the least to the gravest."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Direction(StrEnum):
    """Sides of what was expected."""

    ABOVE = "above"
    BELOW = "below"


class IncidentState(StrEnum):
    """States of an incident."""

    OPEN = "open"
    RESOLVED = "resolved"
    """Data came and was normal again."""
    GIVEN_UP = "given_up"
    """No data came for so long that nobody waits for it any more."""
    CLOSED = "closed"
    """A person, or a change of settings, ended it."""


class IncidentChange(StrEnum):
    """What makes a new state."""

    OPENED = "opened"
    ESCALATED = "escalated"
    UPDATED = "updated"
    RESOLVED = "resolved"
    NO_DATA = "no_data"
    """No data comes of what is wrong."""
    NEW_LEVEL = "new_level"
    """Something is still so, and is taken as the new level."""
    GIVEN_UP = "given_up"
    CLOSED = "closed"


class SignalStatus(StrEnum):
    """What can become of a signal."""

    NORMAL = "normal"
    NEW_LEVEL = "new_level"
    NO_DATA = "no_data"
    RETIRED = "retired"
    GIVEN_UP = "given_up"

    @property
    def is_end(self) -> bool:
        """Whether the signal is over."""
        return self in (SignalStatus.NORMAL, SignalStatus.RETIRED, SignalStatus.GIVEN_UP)


class NotificationOutcome(StrEnum):
    """What became of a message."""

    DECIDED = "decided"
    DELIVERED = "delivered"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    SUMMARISED = "summarised"


class CommandKind(StrEnum):
    """What can be asked for."""

    SILENCE = "silence"
    EXPIRE = "expire"
    ACKNOWLEDGE = "acknowledge"
    CLOSE = "close"


class AuditOutcome(StrEnum):
    """What came of a command."""

    APPLIED = "applied"
    REPEATED = "repeated"
    REFUSED = "refused"


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


@dataclass(frozen=True, slots=True)
class Evidence:
    """One number that the verdict was computed from."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Breakdown:
    """How many of the judged events had one value of one field."""

    name: str
    value: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryEvent(Record):
    """One call of a model: what was asked for, how it went, what it cost.

    What is not known is None where the field allows it.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly(Record):
    """One verdict that something is wrong, with the evidence to compute it again."""

    id: str
    tenant: str
    application: str
    model: str | None = None
    user: str | None = None
    rule: str | None = None
    metric: str
    detector: str
    detector_version: int
    settings_version: str
    window_start: int
    window_end: int
    event_time: int
    observed: float
    expected: float | None = None
    score: float
    severity: Severity
    confidence: float
    direction: Direction
    reason: str
    evidence: tuple[Evidence, ...]
    sample_event_ids: tuple[str, ...]
    sample_trace_ids: tuple[str, ...] = ()
    breakdown: tuple[Breakdown, ...] = ()
    lane: int
    offset: int
    ordinal: int
    first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalChange(Record):
    """What became of a signal: of one metric of one subject that a detector or rule has found
    anomalous.
    """

    tenant: str
    application: str
    model: str | None = None
    user: str | None = None
    rule: str | None = None
    metric: str
    detector: str
    status: SignalStatus
    event_time: int
    since: int | None = None
    settings_version: str
    reason: str
    lane: int
    offset: int
    ordinal: int


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident(Record):
    """One state of an incident: anomalies that belong together. Every change is a new record under
    the same key.
    """

    id: str
    tenant: str
    application: str
    state: IncidentState
    revision: int
    change: IncidentChange
    severity: Severity
    title: str
    opened_at: int
    updated_at: int
    resolved_at: int | None = None
    anomaly_count: int
    models: tuple[str, ...]
    users: tuple[str, ...]
    metrics: tuple[str, ...]
    detectors: tuple[str, ...]
    anomaly_ids: tuple[str, ...]
    settings_version: str
    lane: int
    offset: int
    ordinal: int
    no_data_since: int | None = None
    new_level_since: int | None = None
    note: str = ""
    evidence_metric: str = ""
    evidence_model: str | None = None
    evidence_user: str | None = None
    evidence_rule: str | None = None
    evidence_observed: float | None = None
    evidence_expected: float | None = None
    evidence_score: float | None = None
    evidence_since: int | None = None
    breakdown: tuple[Breakdown, ...] = ()
    sample_event_ids: tuple[str, ...] = ()
    sample_trace_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification(Record):
    """One decision about a message to one receiver, or one outcome of sending it."""

    id: str
    tenant: str
    incident_id: str
    incident_revision: int
    receiver: str
    outcome: NotificationOutcome
    reason: str
    attempt: int
    at: int
    status_code: int | None = None
    detail: str
    body: str
    lane: int
    offset: int
    ordinal: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Record):
    """One immutable version of the settings of detection."""

    version: str
    tenant: str | None = None
    author: str
    created_at: int
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Record):
    """What a person, or a program for one, asks for. It counts with our signature only, and for its
    own tenant only.
    """

    id: str
    tenant: str
    kind: CommandKind
    author: str
    at: int
    target: str
    matchers: tuple[str, ...]
    starts_at: int | None = None
    ends_at: int | None = None
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit(Record):
    """Who did what, when, and what came of it."""

    id: str
    tenant: str
    command_id: str
    action: str
    author: str
    asked_at: int
    at: int
    target: str
    outcome: AuditOutcome
    detail: str
