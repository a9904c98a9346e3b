"""A lane of telemetry, slowly: one record at a time, with dicts and whole numbers, written from the
rules and not from the code that it checks.

It knows time, ticks, control records, dead letters, buckets and threshold rules. What detectors
learn it does not know.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Final

from agents.detectors.settings import Comparison, Rule
from schemas.errors import BadRecord
from schemas.ids import record_id
from schemas.records.aggregates import Aggregate
from schemas.records.anomalies import Anomaly, Direction, Evidence
from schemas.records.telemetry import Status, TelemetryEvent
from schemas.units import quantity
from tests.harness.reference.reading import Stored
from tests.harness.reference.sums import Subject, Sums

_WHOLE: Final = (
    "latency_us",
    "time_to_first_token_us",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost_nano",
    "time_per_output_token_us",
    "queue_time_us",
    "http_status",
    "retries",
)


_QUIET_BUCKETS: Final = 18
"""Buckets with events over which a rule must be kept: detection's `rule_quiet_buckets`."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a lane says, beside its closed buckets."""

    anomalies: list[Anomaly] = field(default_factory=list)
    """Of rules; ordinals are not known here and are 0."""
    ends: list[tuple[int, Subject, str, str]] = field(default_factory=list)
    """Of rules: offset of the record that ended it, whose, which rule, and how: `normal` or
    `retired`.
    """
    watermarks: list[tuple[int, int]] = field(default_factory=list)
    """Offset of the record that moved it, and µs."""
    dead: dict[int, str] = field(default_factory=dict)
    """Offset to reason."""


@dataclass(frozen=True, slots=True)
class Times:
    """What a lane knows of time; µs."""

    bucket: int
    lateness: int
    max_ahead: int


class SlowLane:
    """One partition, from its first record on. `rules` are those of each settings version that a
    control record may name, `skips` the offsets of records that kill a decoder.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        times: Times,
        key: str,
        rules: Mapping[str, Sequence[Rule]],
        skips: Set[int] = frozenset(),
    ) -> None:
        self._skips = skips
        self._topic, self._partition, self._key, self._rules = topic, partition, key, rules
        self.times = times
        self.version = "0"
        self.number = 0
        """Of the publication that is in effect; 0 while none had a number."""
        self.time = 0
        """Latest min(event time, append time), moved on by ticks."""
        self.appended = 0
        self.open_from: int | None = None
        """The first bucket that is still open; None before the first event."""
        self.newest = 0
        """The newest bucket that had an event."""
        self.open: dict[int, dict[Subject, Sums]] = {}
        self.closed: list[Aggregate] = []
        self.told = Told()
        self.events = self.late = 0
        self._fired: dict[Subject, tuple[tuple[Rule, ...], dict[str, int]]] = {}
        self._broken: dict[tuple[Subject, str, str], tuple[int, int | None]] = {}
        """Rules that are not known to be kept again, by whose, name and metric: the bucket in which
        it fired last, and the first one after that in which it was kept.
        """
        self._judged: dict[tuple[Subject, str, str], int] = {}
        """Of the same: the newest bucket with an event that had the metric, from the event on that
        broke the rule.
        """

    def take(self, record: Stored) -> None:
        """The next record of the partition."""
        headers = dict(record.headers)
        if record.value is None and "sentinel-tick" in headers:
            self._tick(record)
        elif "sentinel-settings" in headers:
            self._control(record, headers.get("sentinel-number"), headers.get("sentinel-signature"))
        elif record.offset in self._skips:
            self.told.dead[record.offset] = "kills the decoder"
        else:
            try:
                self._event(_read(record, self.times.max_ahead), record)
            except BadRecord as bad:
                self.told.dead[record.offset] = bad.reason

    def _control(self, record: Stored, number: bytes | None, signature: bytes | None) -> None:
        """The greater number counts, of two that are equal the greater version, and none behind one
        that has a number.
        """
        if not self._is_signed(record, number, signature):
            self.told.dead[record.offset] = "control record without a valid signature"
            return
        version, said = (record.value or b"").decode(), int(number or b"0")
        if (
            (said == self.number == 0)
            or said > self.number
            or (said == self.number and version > self.version)
        ):
            self.number = said
            self._switch(version, record.offset)
        else:
            self.told.dead[record.offset] = "control record not newer than the settings in effect"

    def _event(self, event: TelemetryEvent, record: Stored) -> None:
        appended = record.timestamp * 1000
        if min(event.event_time, appended) > self.time:
            self.time, self.appended = min(event.event_time, appended), appended
        self._pass(record.offset, is_event=True)
        assert self.open_from is not None
        bucket = event.event_time // self.times.bucket
        if bucket < self.open_from:
            self.late += 1
            return
        self.events += 1
        self.newest = max(self.newest, bucket)
        subject = (event.tenant, event.application, event.model)
        self._judge(event, subject, bucket, record.offset)
        self.open.setdefault(bucket, {}).setdefault(subject, Sums()).count(event)

    def _tick(self, record: Stored) -> None:
        appended = record.timestamp * 1000
        said = dict(record.headers).get("sentinel-passed")
        passed = min(max(appended - self.appended, 0), 2_000_000 if said is None else int(said))
        if self.time:
            self.time += passed
            self.appended = min(self.appended + passed, appended)
            self._pass(record.offset, is_event=False)

    def _pass(self, offset: int, *, is_event: bool) -> None:
        """Closes what lies before the watermark."""
        open_from = (self.time - self.times.lateness) // self.times.bucket
        if self.open_from is None:
            # Where the first event stands is where it begins: nothing closes.
            self.open_from = open_from if is_event else None
            return
        if open_from <= self.open_from:
            return
        width = self.times.bucket
        for bucket in sorted(bucket for bucket in self.open if bucket < open_from):
            for subject, sums in sorted(self.open.pop(bucket).items()):
                start, end = bucket * width, (bucket + 1) * width
                self.closed.append(
                    sums.aggregate(subject, start, end, self.version, self._partition)
                )
                self._settle(subject, bucket, offset)
        self.open_from = open_from
        self.told.watermarks.append((offset, open_from * width))

    def _settle(self, subject: Subject, bucket: int, offset: int) -> None:
        """A bucket in which the subject had events is closed: rules that it had the metric for, and
        that nothing in it broke, are kept since then, or for long enough.
        """
        for key, (fired, kept_from) in list(self._broken.items()):
            if (
                key[0] != subject
                or self._judged[key] < bucket
                or (kept_from is None and fired >= bucket)
            ):
                continue
            kept_from = bucket if kept_from is None else kept_from
            self._broken[key] = fired, kept_from
            if bucket - kept_from + 1 >= _QUIET_BUCKETS:
                del self._broken[key], self._judged[key]
                self.told.ends.append((offset, subject, key[1], "normal"))

    def _switch(self, version: str, offset: int) -> None:
        """Other rules: what they do not have, or have for others, is retired; what they do goes on
        as if it had been kept after the bucket in which it fired.
        """
        self.version = version
        for key, (fired, kept_from) in list(self._broken.items()):
            rules = [rule for rule in self._rules[version] if (rule.name, rule.metric) == key[1:]]
            if any(_is_about(rule, key[0]) for rule in rules):
                self._broken[key] = fired, fired + 1 if kept_from is None else kept_from
            else:
                del self._broken[key], self._judged[key]
                self.told.ends.append((offset, key[0], key[1], "retired"))

    def _judge(self, event: TelemetryEvent, subject: Subject, bucket: int, offset: int) -> None:
        """A rule fires at the first event that breaks it in a bucket of the series newer than all
        in which it fired before.
        """
        rules = tuple(self._rules[self.version])
        for rule in rules:
            value, key = _metric(event, rule.metric), (subject, rule.name, rule.metric)
            if value is not None and _tells(rule, value) and key in self._broken:
                self._judged[key] = max(self._judged[key], bucket)
            if value is None or not _is_broken(rule, value):
                continue
            known, fired = self._fired.get(subject, ((), {}))
            if known != rules:
                fired = {}
                self._fired[subject] = (rules, fired)
            if _is_about(rule, subject) and bucket > fired.get(rule.name, -1):
                fired[rule.name] = bucket
                found = self._anomaly(rule, value, event, bucket, offset)
                self.told.anomalies.append(replace(found, first=key not in self._broken))
                self._broken[key] = bucket, None
                self._judged.setdefault(key, bucket)

    def _anomaly(
        self, rule: Rule, value: float, event: TelemetryEvent, bucket: int, offset: int
    ) -> Anomaly:
        start = bucket * self.times.bucket
        above = value > rule.threshold or rule.comparison in (Comparison.AT_LEAST, Comparison.EQUAL)
        named = (
            event.tenant,
            rule.name,
            self.version,
            "series",
            event.application,
            event.model,
            rule.metric,
            start,
        )
        return Anomaly(
            id=record_id(*named, self._partition),
            tenant=event.tenant,
            application=event.application,
            model=event.model,
            rule=rule.name,
            metric=rule.metric,
            detector="threshold",
            detector_version=1,
            settings_version=self.version,
            window_start=start,
            window_end=start + self.times.bucket,
            event_time=event.event_time,
            observed=value,
            expected=rule.threshold,
            score=float(f"{1.0 + abs(value - rule.threshold) / (abs(rule.threshold) or 1.0):.6g}"),
            severity=rule.severity,
            confidence=1.0,
            direction=Direction.ABOVE if above else Direction.BELOW,
            reason=(
                f"rule {rule.name}: {rule.metric} {quantity(rule.metric, value, 6)}"
                f" {rule.comparison} {quantity(rule.metric, rule.threshold, 6)}"
            ),
            evidence=(Evidence("value", value), Evidence("threshold", rule.threshold)),
            sample_event_ids=(event.event_id,),
            lane=self._partition,
            offset=offset,
            ordinal=0,
        )

    def _is_signed(self, record: Stored, number: bytes | None, signature: bytes | None) -> bool:
        parts = [
            b"sentinel-settings",
            self._topic.encode(),
            b"%d" % self._partition,
            record.value or b"",
        ]
        if number is not None:
            parts.append(number)
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        right = hmac.new(self._key.encode(), message, hashlib.sha256).hexdigest().encode()
        return (
            record.value is not None
            and signature is not None
            and hmac.compare_digest(right, signature)
        )


def _read(record: Stored, max_ahead: int) -> TelemetryEvent:
    """The event. Raises BadRecord for what belongs to dead-letters."""
    if record.value is None:
        raise BadRecord("no value")
    if len(record.value) > 262_144:
        raise BadRecord("record too large")
    event = TelemetryEvent.from_bytes(record.value)
    if not all((event.event_id, event.tenant, event.application, event.model)):
        raise BadRecord("empty text")
    if any((getattr(event, name) or 0) < 0 for name in _WHOLE):
        raise BadRecord("number out of range")
    if event.event_time - record.timestamp * 1000 > max_ahead:
        raise BadRecord("event time ahead of the clock")
    return event


def _metric(event: TelemetryEvent, metric: str) -> float | None:
    if metric == "failed":
        return float(event.status is not Status.SUCCESS)
    if metric == "tokens":
        return float(event.prompt_tokens + event.completion_tokens)
    value = getattr(event, metric)
    return None if value is None else float(value)


def _is_broken(rule: Rule, value: float) -> bool:
    match rule.comparison:
        case Comparison.ABOVE:
            return value > rule.threshold
        case Comparison.AT_LEAST:
            return value >= rule.threshold
        case Comparison.BELOW:
            return value < rule.threshold
        case Comparison.AT_MOST:
            return value <= rule.threshold
        case Comparison.EQUAL:
            return value == rule.threshold
        case Comparison.NOT_EQUAL:
            return value != rule.threshold


def _tells(rule: Rule, value: float) -> bool:
    """No tokens and no cost may mean that nobody knows them. They keep a rule only where a single
    one would break it.
    """
    may_be_unknown = (
        rule.metric in ("tokens", "prompt_tokens", "completion_tokens", "cost_nano") and value == 0
    )
    return not may_be_unknown or _is_broken(rule, 0.0) or _is_broken(rule, 1.0)


def _is_about(rule: Rule, subject: Subject) -> bool:
    wanted = (rule.tenant, rule.application, rule.model)
    return all(want is None or want == has for want, has in zip(wanted, subject, strict=True))
