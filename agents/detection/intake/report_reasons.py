"""What is wrong with records that do not count, and what to do about it, in one sentence."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from agents.detection.intake.fault_level import Level
from agents.detection.intake.faults import Fault
from agents.detection.intake.faulty import OTHER
from agents.detection.intake.placement import QUIET_BUCKETS, Key, Verdict
from schemas.records.anomalies import SignalStatus
from schemas.units import quantity, utc
from streams.records.partitioners import Partitioner
from streams.settings import Lanes

BAD_RECORDS: Final = "bad_records"
AHEAD_EVENTS: Final = "ahead_events"
LATE_EVENTS: Final = "late_events"
MISPLACED_EVENTS: Final = "misplaced_events"
FAULTS: Final = (BAD_RECORDS, AHEAD_EVENTS, LATE_EVENTS)
"""Metrics whose anomalies are about a share of an application's records."""


_HOUR_US: Final = 3_600_000_000
_NEAR_HOUR_US: Final = 300_000_000
"""Distance from a whole number of hours up to which a skew counts as a time zone."""

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


def fault_reason(metric: str, fault: Fault, lane: int, limits: Lanes) -> str:
    """Why a fault is reported, or what became of it."""
    seen = fault.seen
    # The level that a tenant's applications share is reported as the tenant's.
    whose = fault.tenant if fault.application == OTHER else f"{fault.tenant}/{fault.application}"
    if not fault.begins:
        return _became(fault, whose, seen.bucket * limits.bucket_s * 1_000_000)
    what = _WORDS[metric].format(
        kinds=_kinds(seen), skew=_skew(seen), advice=_skew_advice(metric, seen, limits)
    )
    reason = (
        f"{seen.faulty} of the last {seen.total} records of {whose} {what}; the last one is"
        f" telemetry/{lane}@{seen.offset}"
    )
    return f"after a time without records, {reason}" if fault.again else reason


def placement_reason(verdict: Verdict, lane: int, partitions: int) -> str:
    """Why an application on another lane than its own is reported, or that it is over."""
    whose = f"{verdict.tenant}/{verdict.application}"
    where = f"partition {lane} instead of {verdict.own_lane}"
    if verdict.begins:
        return f"events of {whose} are on {where} of {partitions}: {_cause(verdict)}"
    return (
        f"no event of {whose} came to {where} for {QUIET_BUCKETS} buckets; if more come, they are"
        " reported again"
    )


def by_count(seen: Level) -> list[tuple[str, int]]:
    """Kinds of fault with their counts, the most frequent first."""
    return sorted(seen.kinds.items(), key=lambda pair: (-pair[1], pair[0]))


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
    if seen.reported:
        return (
            f"given up: {whose} are no longer counted together, since each can be counted on its"
            " own again; those that still fail are reported one by one"
        )
    return f"given up: no record of {whose} since {utc(since)}"


def _kinds(seen: Level) -> str:
    return ", ".join(f"{kind} ({count})" for kind, count in by_count(seen)[:3])


def _skew(seen: Level) -> str:
    """How far off they are."""
    lowest, highest = (quantity("latency", float(skew)) for skew in _absolute(seen))
    return lowest if lowest == highest else f"{lowest} to {highest}"


def _absolute(seen: Level) -> list[int]:
    """Lowest and highest skew, µs, late or ahead."""
    return sorted((abs(seen.min_skew_us), abs(seen.max_skew_us)))


def _skew_advice(metric: str, seen: Level, limits: Lanes) -> str:
    """What makes events late or ahead by that much."""
    lowest, highest = _absolute(seen)
    hours = round(highest / _HOUR_US)
    if hours and all(abs(skew - hours * _HOUR_US) <= _NEAR_HOUR_US for skew in (lowest, highest)):
        return f"they are off by {hours} h, which is a time zone: event_time must be in UTC"
    if metric == AHEAD_EVENTS:
        return "the producer's clock is ahead, or the broker's is behind"
    if highest - lowest > max(lowest // 2, 2 * limits.bucket_s * 1_000_000):
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
