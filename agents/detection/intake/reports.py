"""Reports of records that do not count as they should, and the records made of them."""

from dataclasses import dataclass
from typing import Final

from agents.detection.anomaly_records import Source, Subject, anomaly_record, change_record
from agents.detection.intake.faults import Fault
from agents.detection.intake.placement import Key, Verdict
from agents.detection.intake.report_reasons import (
    AHEAD_EVENTS,
    BAD_RECORDS,
    by_count,
    fault_reason,
    placement_reason,
)
from schemas.ids import record_id
from schemas.records.anomalies import (
    INTAKE,
    Anomaly,
    Breakdown,
    Direction,
    Evidence,
    Severity,
    SignalChange,
    SignalStatus,
)
from streams.settings import Lanes

_DETECTOR_VERSION: Final = 2

MISPLACED_EVENTS: Final = "misplaced_events"

NO_APPLICATION: Final = "(intake)"
"""Application of an anomaly about records that do not say theirs, or about several applications'
records.
"""


@dataclass(frozen=True, slots=True)
class Report:
    """Something begins, or something becomes of it, at the record of this offset
    (anomaly_records: `Judged`).
    """

    offset: int
    tenant: str
    application: str
    metric: str
    begins: bool
    observed: float
    score: float
    severity: Severity
    reason: str
    evidence: tuple[Evidence, ...]
    breakdown: tuple[Breakdown, ...] = ()
    append_time: int = 0
    """Of the last faulty record, µs."""
    status: SignalStatus = SignalStatus.NORMAL
    """What became of it, where it does not begin."""
    since: int | None = None
    """Event time since which that is so, µs."""
    first: bool = True
    """Whether it was not reported before."""
    rule: None = None
    expected: float = 0.0
    confidence: float = 1.0
    direction: Direction = Direction.ABOVE


def of_fault(metric: str, fault: Fault, lane: int, limits: Lanes) -> Report:
    """The report of a fault's beginning or end in a lane."""
    seen = fault.seen
    share = seen.faulty / max(seen.total, 1)
    evidence = [Evidence("faulty", float(seen.faulty)), Evidence("records", float(seen.total))]
    if seen.timed and metric != BAD_RECORDS:
        sign = -1 if metric == AHEAD_EVENTS else 1
        lowest, highest = sorted((sign * seen.min_skew_us, sign * seen.max_skew_us))
        evidence += [Evidence("least_us", float(lowest)), Evidence("most_us", float(highest))]
    kinds = by_count(seen) if metric == BAD_RECORDS else []
    is_without_data = fault.status is SignalStatus.NO_DATA
    return Report(
        offset=fault.offset,
        tenant=fault.tenant,
        application=fault.application or NO_APPLICATION,
        metric=metric,
        begins=fault.begins,
        observed=share,
        score=round(2 * share, 6),
        severity=Severity.HIGH,
        reason=fault_reason(metric, fault, lane, limits),
        evidence=tuple(evidence),
        breakdown=tuple(Breakdown("reason", kind, count) for kind, count in kinds),
        append_time=seen.append_time,
        status=fault.status,
        since=seen.bucket * limits.bucket_s * 1_000_000 if is_without_data else None,
        first=not fault.again,
    )


def of_placement(verdict: Verdict, offset: int, lane: int, partitions: int) -> Report:
    """The report of an application in a lane that is not its own; a key that is right may still put
    all of it on one lane, others never do.
    """
    is_spread = verdict.key is not Key.OWN or verdict.partitioner is None
    breakdown = [Breakdown("key", verdict.key.value, verdict.events)]
    if verdict.partitioner:
        breakdown.append(Breakdown("partitioner", verdict.partitioner.value, verdict.events))
    return Report(
        offset=offset,
        tenant=verdict.tenant,
        application=verdict.application,
        metric=MISPLACED_EVENTS,
        begins=verdict.begins,
        observed=float(verdict.events),
        score=1.0,
        severity=Severity.MEDIUM if is_spread else Severity.LOW,
        reason=placement_reason(verdict, lane, partitions),
        evidence=(
            Evidence("events", float(verdict.events)),
            Evidence("partition", float(lane)),
            Evidence("own_partition", float(verdict.own_lane)),
            Evidence("partitions", float(partitions)),
        ),
        breakdown=tuple(breakdown),
    )


def intake_anomaly(
    report: Report, time: int, bucket_us: int, settings_version: str, position: tuple[int, int, int]
) -> Anomaly:
    """The record of a report. `time` is the lane's there (`Clock.at`), µs, since the times of
    faulty records may mean nothing. `position` is lane, offset and ordinal.
    """
    start = time // bucket_us * bucket_us
    about = (report.tenant, INTAKE, settings_version, report.application, report.metric)
    return anomaly_record(
        report,
        Subject(report.tenant, report.application),
        _source(settings_version, position),
        id=record_id(*about, *position),
        detector_version=_DETECTOR_VERSION,
        window=(start, start + bucket_us),
        event_time=time,
        evidence=report.evidence,
        breakdown=report.breakdown,
    )


def intake_change(
    report: Report, time: int, settings_version: str, position: tuple[int, int, int]
) -> SignalChange:
    """The record of a report of what became of something; `time` and `position` as for
    `intake_anomaly`.
    """
    return change_record(
        report,
        Subject(report.tenant, report.application),
        _source(settings_version, position),
        metric=report.metric,
        event_time=time,
    )


def _source(settings_version: str, position: tuple[int, int, int]) -> Source:
    return Source(INTAKE, settings_version, *position)
