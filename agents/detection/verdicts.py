"""From what a detector found to the anomaly that is told."""

from collections.abc import Callable

from agents.detection.failures import Failed, FailedCalls
from agents.detectors.contract import Change, Finding, Kind
from schemas.ids import record_id
from schemas.records.anomalies import Anomaly, Evidence, SignalChange


def anomaly(
    finding: Finding,
    name: tuple[str, ...],
    detector: tuple[str, int],
    settings_version: str,
    place: tuple[int, int, int],
    samples: Callable[[int], str],
    failed: Failed | None = None,
) -> Anomaly:
    """The record of a finding about the subject of that name. `place` is lane, offset and ordinal;
    `samples` gives the event id at a position; `failed` are the failed calls of the subject in the
    window, for findings about them.

    The id is made from what it says, so that a replay makes the same one: tenant, rule or detector,
    settings version, subject, metric, window, and the lane, since events of one subject may be on
    several.
    """
    tenant, application, last = (*name, "")[:3]
    lane, offset, ordinal = place
    rule = finding.rule if finding.rule is not None else detector[0]
    return Anomaly(
        id=record_id(
            tenant,
            rule,
            settings_version,
            finding.kind.value,
            application,
            last,
            finding.metric,
            finding.window_start,
            lane,
        ),
        tenant=tenant,
        application=application,
        model=last if finding.kind is Kind.SERIES else None,
        user=last if finding.kind is Kind.USER else None,
        rule=finding.rule,
        metric=finding.metric,
        detector=detector[0],
        detector_version=detector[1],
        settings_version=settings_version,
        window_start=finding.window_start,
        window_end=finding.window_end,
        event_time=finding.event_time,
        observed=finding.observed,
        expected=finding.expected,
        score=finding.score,
        severity=finding.severity,
        confidence=finding.confidence,
        direction=finding.direction,
        reason=finding.reason,
        evidence=tuple(Evidence(key, value) for key, value in finding.evidence),
        sample_event_ids=_samples(finding, samples, failed),
        sample_trace_ids=()
        if failed is None
        else tuple(trace for _, trace in failed.samples if trace),
        breakdown=() if failed is None else failed.breakdown(),
        lane=lane,
        offset=offset,
        ordinal=ordinal,
        first=finding.first,
    )


def signal_change(
    change: Change,
    name: tuple[str, ...],
    detector: str,
    settings_version: str,
    event_time: int,
    place: tuple[int, int, int],
) -> SignalChange:
    """The record of what became of a signal; subject, metric, rule and detector are those of its
    anomalies.
    """
    tenant, application, last = (*name, "")[:3]
    lane, offset, ordinal = place
    signal = change.signal
    return SignalChange(
        tenant=tenant,
        application=application,
        model=last if signal.kind is Kind.SERIES else None,
        user=last if signal.kind is Kind.USER else None,
        rule=signal.rule,
        metric=signal.metric,
        detector=detector,
        status=change.status,
        event_time=event_time,
        since=change.since,
        settings_version=settings_version,
        reason=change.reason,
        lane=lane,
        offset=offset,
        ordinal=ordinal,
    )


def failed_calls(finding: Finding, failures: FailedCalls) -> Failed | None:
    """Of a finding about failures, those of its subject in the window."""
    is_about = finding.kind is Kind.SERIES and finding.metric == "error_rate"
    return failures.of(finding.row) if is_about else None


def _samples(
    finding: Finding, samples: Callable[[int], str], failed: Failed | None
) -> tuple[str, ...]:
    if finding.position is not None:
        return (samples(finding.position),)
    return () if failed is None else tuple(event for event, _ in failed.samples)
