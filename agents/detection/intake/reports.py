"""What is said of records that do not count as they should: numbers, and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from agents.detection.intake.faults import OTHER, Fault, Level
from agents.detection.intake.placement import QUIET_BUCKETS, Key, Verdict
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
from schemas.units import quantity, utc
from streams.records.partitioners import Partitioner
from streams.settings import Lanes

BAD_RECORDS: Final = "bad_records"
AHEAD_EVENTS: Final = "ahead_events"
LATE_EVENTS: Final = "late_events"
MISPLACED_EVENTS: Final = "misplaced_events"
FAULTS: Final = (BAD_RECORDS, AHEAD_EVENTS, LATE_EVENTS)
"""Metrics whose anomalies are about a share of an application's records."""

NO_APPLICATION: Final = "(intake)"
"""Application of an anomaly about records that do not say theirs, or about several applications'
records.
"""

_HOUR_US: Final = 3_600_000_000
_NEAR_HOUR_US: Final = 300_000_000
"""What a time may be from a whole number of hours, to be taken for a time zone."""

_WORDS: Final = MappingProxyType(
    {
        BAD_RECORDS: "are refused: {kinds}",
        AHEAD_EVENTS: ("are {skew} ahead of their append time in Kafka and are refused: {advice}"),
        LATE_EVENTS: "arrived {skew} late and are not counted: {advice}",
    }
)

_ADVICE: Final[Mapping[Partitioner, str]] = MappingProxyType(
    {
        Partitioner.CRC32: (
            "its partition is that of librdkafka's default partitioner (confluent-kafka): set"
            " partitioner=murmur2_random"
        ),
        Partitioner.FNV1A: (
            "its partition is that of Sarama's default partitioner or kafka-go's Hash (FNV-1a):"
            " use murmur2, in kafka-go Murmur2Balancer"
        ),
        Partitioner.FNV1A_UNSIGNED: (
            "its partition is that of Sarama's or kafka-go's ReferenceHash (FNV-1a): use murmur2,"
            " in kafka-go Murmur2Balancer"
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Report:
    """Something begins, or something becomes of it, at the record of this offset."""

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
    """Of the last record that is faulty, µs."""
    status: SignalStatus = SignalStatus.NORMAL
    """What became of it, where it does not begin."""
    since: int | None = None
    """Event time since which that is so, µs."""
    first: bool = True
    """Whether it was not told before."""


def of_fault(metric: str, fault: Fault, lane: int, limits: Lanes) -> Report:
    """The report of a fault's beginning or end in a lane."""
    seen = fault.seen
    share = seen.faulty / max(seen.total, 1)
    since = seen.bucket * limits.bucket_s * 1_000_000
    whose = fault.tenant if fault.application == OTHER else f"{fault.tenant}/{fault.application}"
    evidence = [Evidence("faulty", float(seen.faulty)), Evidence("records", float(seen.total))]
    if seen.timed and metric != BAD_RECORDS:
        sign = -1 if metric == AHEAD_EVENTS else 1
        least, most = sorted((sign * seen.least, sign * seen.most))
        evidence += [Evidence("least_us", float(least)), Evidence("most_us", float(most))]
    if fault.begins:
        what = _WORDS[metric].format(
            kinds=_kinds(seen), skew=_skew(seen), advice=_skew_advice(metric, seen, limits)
        )
        reason = (
            f"{seen.faulty} of the last {seen.total} records of {whose} {what}; the last one is"
            f" telemetry/{lane}@{seen.offset}"
        )
        reason = f"after a time without records, {reason}" if fault.again else reason
    else:
        reason = _became(fault, whose, since)
    return Report(
        offset=fault.offset,
        tenant=fault.tenant,
        application=fault.application or NO_APPLICATION,
        metric=metric,
        begins=fault.begins,
        observed=share,
        score=round(2 * share, 6),
        severity=Severity.HIGH,
        reason=reason,
        evidence=tuple(evidence),
        breakdown=(
            ()
            if metric != BAD_RECORDS
            else tuple(Breakdown("reason", kind, n) for kind, n in _by_count(seen))
        ),
        append_time=seen.append_time,
        status=fault.status,
        since=since if fault.status is SignalStatus.NO_DATA else None,
        first=not fault.again,
    )


def _became(fault: Fault, whose: str, since: int) -> str:
    """Why it is over, or without data."""
    seen = fault.seen
    if fault.status is SignalStatus.NORMAL:
        return (
            f"{seen.total - seen.faulty} of the last {seen.total} records of {whose} are free of"
            " this fault"
        )
    if fault.status is SignalStatus.NO_DATA:
        return f"no record of {whose} since {utc(since)}"
    if seen.told:
        return (
            f"given up: {whose} are no longer counted together, since each can be counted on its"
            " own again; those that still fail are reported one by one"
        )
    return f"given up: no record of {whose} since {utc(since)}"


def of_placement(verdict: Verdict, offset: int, lane: int, partitions: int) -> Report:
    """The report of an application in a lane that is not its own; a key that is right may still put
    all of it on one lane, others never do.
    """
    whose = f"{verdict.tenant}/{verdict.application}"
    where = f"partition {lane} instead of {verdict.own_lane}"
    if verdict.begins:
        reason = f"events of {whose} are on {where} of {partitions}: {_cause(verdict)}"
    else:
        reason = (
            f"no event of {whose} came to {where} for {QUIET_BUCKETS} buckets; if more come, they"
            " are reported again"
        )
    spread = verdict.key is not Key.OWN or verdict.partitioner is None
    return Report(
        offset=offset,
        tenant=verdict.tenant,
        application=verdict.application,
        metric=MISPLACED_EVENTS,
        begins=verdict.begins,
        observed=float(verdict.events),
        score=1.0,
        severity=Severity.MEDIUM if spread else Severity.LOW,
        reason=reason,
        evidence=(
            Evidence("events", float(verdict.events)),
            Evidence("partition", float(lane)),
            Evidence("own_partition", float(verdict.own_lane)),
            Evidence("partitions", float(partitions)),
        ),
        breakdown=(
            Breakdown("key", verdict.key.value, verdict.events),
            *(
                [Breakdown("partitioner", verdict.partitioner.value, verdict.events)]
                if verdict.partitioner
                else []
            ),
        ),
    )


def intake_anomaly(
    report: Report, time: int, bucket_us: int, settings_version: str, place: tuple[int, int, int]
) -> Anomaly:
    """The record of a report; `time` is the lane's there (`Clock.at`), µs: theirs may mean nothing.
    `place` is lane, offset and ordinal.
    """
    start = time // bucket_us * bucket_us
    lane, offset, ordinal = place
    return Anomaly(
        id=record_id(
            report.tenant,
            INTAKE,
            settings_version,
            report.application,
            report.metric,
            lane,
            offset,
            ordinal,
        ),
        tenant=report.tenant,
        application=report.application,
        metric=report.metric,
        detector=INTAKE,
        detector_version=2,
        settings_version=settings_version,
        window_start=start,
        window_end=start + bucket_us,
        event_time=time,
        observed=report.observed,
        expected=0.0,
        score=report.score,
        severity=report.severity,
        confidence=1.0,
        direction=Direction.ABOVE,
        reason=report.reason,
        evidence=report.evidence,
        sample_event_ids=(),
        breakdown=report.breakdown,
        lane=lane,
        offset=offset,
        ordinal=ordinal,
        first=report.first,
    )


def intake_change(
    report: Report, time: int, settings_version: str, place: tuple[int, int, int]
) -> SignalChange:
    """The record of a report of what became of something; `time` and `place` as for
    `intake_anomaly`.
    """
    lane, offset, ordinal = place
    return SignalChange(
        tenant=report.tenant,
        application=report.application,
        metric=report.metric,
        detector=INTAKE,
        status=report.status,
        event_time=time,
        since=report.since,
        settings_version=settings_version,
        reason=report.reason,
        lane=lane,
        offset=offset,
        ordinal=ordinal,
    )


def _by_count(seen: Level) -> list[tuple[str, int]]:
    return sorted(seen.kinds.items(), key=lambda pair: (-pair[1], pair[0]))


def _kinds(seen: Level) -> str:
    return ", ".join(f"{kind} ({count})" for kind, count in _by_count(seen)[:3])


def _skew(seen: Level) -> str:
    """How far off, from the least to the most."""
    least, most = (
        quantity("latency", float(value)) for value in sorted((abs(seen.least), abs(seen.most)))
    )
    return least if least == most else f"{least} to {most}"


def _skew_advice(metric: str, seen: Level, limits: Lanes) -> str:
    """What makes events that much late or ahead."""
    least, most = sorted((abs(seen.least), abs(seen.most)))
    hours = round(most / _HOUR_US)
    if hours and all(abs(skew - hours * _HOUR_US) <= _NEAR_HOUR_US for skew in (least, most)):
        return f"they are off by {hours} h, which is a time zone: event_time must be in UTC"
    if metric == AHEAD_EVENTS:
        return "the producer's clock is ahead, or the broker's is behind"
    if most - least > max(least // 2, 2 * limits.bucket_s * 1_000_000):
        return (
            f"the producer delays them for longer than lanes.lateness_s ({limits.lateness_s:g} s),"
            " or resends old ones"
        )
    return (
        "the producer's clock is behind, or it delays them for longer than lanes.lateness_s"
        f" ({limits.lateness_s:g} s)"
    )


def _cause(verdict: Verdict) -> str:
    match verdict.key:
        case Key.NONE:
            return "the producer sends no key; send tenant/application"
        case Key.OTHER:
            return "the record's key is not tenant/application"
        case Key.UNSEEN:
            return (
                "the producer sends no key, or a key other than tenant/application, or does not"
                " partition by murmur2"
            )
    known = None if verdict.partitioner is None else _ADVICE.get(verdict.partitioner)
    return (
        "the key is correct, and"
        f" {known or 'no known partitioner maps it here (round robin?): partition by murmur2'}"
    )
