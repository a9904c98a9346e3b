"""The records of what a detector found, for the lane to write."""

from collections.abc import Callable

from agents.detection.anomaly_records import Source, Subject, anomaly_record, change_record
from agents.detection.failed_calls import Failed, FailedCalls
from agents.detectors.contract import Change, Finding, Kind
from schemas.ids import record_id
from schemas.records.anomalies import Anomaly, Evidence, SignalChange


def anomaly(
    finding: Finding,
    name: tuple[str, ...],
    detector: tuple[str, int],
    settings_version: str,
    position: tuple[int, int, int],
    samples: Callable[[int], str],
    failed: Failed | None = None,
) -> Anomaly:
    """The record of a finding about the subject of that name. `position` is lane, offset and
    ordinal; `samples` returns the event id at an index of the segment; `failed` are the failed
    calls of the subject in the window, for findings about them.

    The id is made from what the record says, so that a replay makes the same one: tenant, rule or
    detector, settings version, subject, metric, window, and the lane, since events of one subject
    may be on several.
    """
    subject = _subject(finding.kind, name)
    return anomaly_record(
        finding,
        subject,
        Source(detector[0], settings_version, *position),
        detector_version=detector[1],
        id=record_id(
            subject.tenant,
            finding.rule if finding.rule is not None else detector[0],
            settings_version,
            finding.kind.value,
            subject.application,
            (*name, "")[2],
            finding.metric,
            finding.window_start,
            position[0],
        ),
        window=(finding.window_start, finding.window_end),
        event_time=finding.event_time,
        evidence=tuple(Evidence(key, value) for key, value in finding.evidence),
        sample_event_ids=_samples(finding, samples, failed),
        sample_trace_ids=()
        if failed is None
        else tuple(trace for _, trace in failed.samples if trace),
        breakdown=() if failed is None else failed.breakdown(),
    )


def signal_change(
    change: Change,
    name: tuple[str, ...],
    detector: str,
    settings_version: str,
    event_time: int,
    position: tuple[int, int, int],
) -> SignalChange:
    """The record of what became of a signal; subject, metric, rule and detector are those of its
    anomalies.
    """
    return change_record(
        change,
        _subject(change.signal.kind, name),
        Source(detector, settings_version, *position),
        metric=change.signal.metric,
        rule=change.signal.rule,
        event_time=event_time,
    )


def failed_calls(finding: Finding, failures: FailedCalls) -> Failed | None:
    """Of a finding about failures, those of its subject in the window."""
    is_about = finding.kind is Kind.SERIES and finding.metric == "error_rate"
    return failures.of(finding.row) if is_about else None


def _subject(kind: Kind, name: tuple[str, ...]) -> Subject:
    """The subject of this kind whose name is tenant, application and, but for an application, model
    or user.
    """
    tenant, application, last = (*name, "")[:3]
    return Subject(
        tenant,
        application,
        model=last if kind is Kind.SERIES else None,
        user=last if kind is Kind.USER else None,
    )


def _samples(
    finding: Finding, samples: Callable[[int], str], failed: Failed | None
) -> tuple[str, ...]:
    if finding.position is not None:
        return (samples(finding.position),)
    return () if failed is None else tuple(event for event, _ in failed.samples)
