"""The records of `anomalies`: the one place that fills them, for detectors and for the intake."""

from dataclasses import dataclass
from typing import Protocol

from schemas.records.anomalies import (
    Anomaly,
    Breakdown,
    Direction,
    Evidence,
    Severity,
    SignalChange,
    SignalStatus,
)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a record is about; a series has a model, a user's row the user."""

    tenant: str
    application: str
    model: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """What made a record, and the position in the lane that it is made at."""

    detector: str
    settings_version: str
    lane: int
    offset: int
    ordinal: int


class Judged(Protocol):
    """What a detector or the intake says of a subject."""

    @property
    def metric(self) -> str: ...

    @property
    def rule(self) -> str | None: ...

    @property
    def observed(self) -> float: ...

    @property
    def expected(self) -> float | None: ...

    @property
    def score(self) -> float: ...

    @property
    def severity(self) -> Severity: ...

    @property
    def confidence(self) -> float: ...

    @property
    def direction(self) -> Direction: ...

    @property
    def reason(self) -> str: ...

    @property
    def first(self) -> bool: ...


class Changed(Protocol):
    """What became of a signal."""

    @property
    def status(self) -> SignalStatus: ...

    @property
    def since(self) -> int | None: ...

    @property
    def reason(self) -> str: ...


def anomaly_record(
    judged: Judged,
    subject: Subject,
    source: Source,
    *,
    id: str,
    detector_version: int,
    window: tuple[int, int],
    event_time: int,
    evidence: tuple[Evidence, ...],
    sample_event_ids: tuple[str, ...] = (),
    sample_trace_ids: tuple[str, ...] = (),
    breakdown: tuple[Breakdown, ...] = (),
) -> Anomaly:
    """The record of a verdict. `window` is start and end; times are event time, µs."""
    return Anomaly(
        id=id,
        tenant=subject.tenant,
        application=subject.application,
        model=subject.model,
        user=subject.user,
        rule=judged.rule,
        metric=judged.metric,
        detector=source.detector,
        detector_version=detector_version,
        settings_version=source.settings_version,
        window_start=window[0],
        window_end=window[1],
        event_time=event_time,
        observed=judged.observed,
        expected=judged.expected,
        score=judged.score,
        severity=judged.severity,
        confidence=judged.confidence,
        direction=judged.direction,
        reason=judged.reason,
        evidence=evidence,
        sample_event_ids=sample_event_ids,
        sample_trace_ids=sample_trace_ids,
        breakdown=breakdown,
        lane=source.lane,
        offset=source.offset,
        ordinal=source.ordinal,
        first=judged.first,
    )


def change_record(
    changed: Changed,
    subject: Subject,
    source: Source,
    *,
    metric: str,
    rule: str | None = None,
    event_time: int,
) -> SignalChange:
    """The record of what became of a signal of this metric and rule, at this event time, µs."""
    return SignalChange(
        tenant=subject.tenant,
        application=subject.application,
        model=subject.model,
        user=subject.user,
        rule=rule,
        metric=metric,
        detector=source.detector,
        status=changed.status,
        event_time=event_time,
        since=changed.since,
        settings_version=source.settings_version,
        reason=changed.reason,
        lane=source.lane,
        offset=source.offset,
        ordinal=source.ordinal,
    )
