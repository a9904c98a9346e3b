"""Anomalies, and the changes of signals that follow them; times in µs since 1970-01-01 UTC."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from schemas.avro.coding import Record

INTAKE: Final = "intake"
"""Detector of anomalies about an application's records that do not count as they should, and not
about its calls.
"""


class Severity(StrEnum):
    """Severities, ascending."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Direction(StrEnum):
    """On which side of the expected value the observed one is."""

    ABOVE = "above"
    BELOW = "below"


class SignalStatus(StrEnum):
    """Later states of a signal."""

    NORMAL = "normal"
    NEW_LEVEL = "new_level"
    NO_DATA = "no_data"
    RETIRED = "retired"
    GIVEN_UP = "given_up"

    @property
    def is_end(self) -> bool:
        """Whether the signal is over."""
        return self in (SignalStatus.NORMAL, SignalStatus.RETIRED, SignalStatus.GIVEN_UP)


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
    """A change of a signal, which is one metric of one subject that a detector or rule has found
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
