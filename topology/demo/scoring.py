"""Scores how labelled faults were found: which, how fast, with which messages and false alarms.

Pure: labels on one side, the records of the topics on the other. No worker uses it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from schemas.records.anomalies import Anomaly
from schemas.records.incidents import Incident, IncidentChange
from schemas.records.notifications import Notification, NotificationOutcome

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

GRACE_S: Final = 120
"""Seconds of event time after a fault's end in which an anomaly still counts for it: calls that
began in it end after it, the bucket has to close, and the return to normal is a change as well.
"""

MAX_FALSE_ALARMS: Final = 3
"""Acceptable false alarms in an hour."""


class Family(StrEnum):
    """What a metric is about, whatever a detector calls it."""

    LATENCY = "latency"
    FIRST_TOKEN = "time to first token"
    TOKENS = "tokens"
    COST = "cost"
    ERRORS = "errors"
    REQUESTS = "requests"
    RETRIES = "retries"
    OTHER = "other"


_WORDS: Final = (
    ("first_token", Family.FIRST_TOKEN),
    ("ttft", Family.FIRST_TOKEN),
    ("latency", Family.LATENCY),
    ("output_token", Family.LATENCY),
    ("queue_time", Family.LATENCY),
    ("token", Family.TOKENS),
    ("cost", Family.COST),
    ("error", Family.ERRORS),
    ("fail", Family.ERRORS),
    ("status", Family.ERRORS),
    ("timeout", Family.ERRORS),
    ("retr", Family.RETRIES),
    ("request", Family.REQUESTS),
    ("silen", Family.REQUESTS),
)


def family(metric: str) -> Family:
    """The family of a metric by the first known word in its name.

    >>> metrics = ("time_to_first_token_us", "user_tokens", "http_status", "request_rate")
    >>> [str(family(metric)) for metric in metrics]
    ['time to first token', 'tokens', 'errors', 'requests']
    """
    return next((found for word, found in _WORDS if word in metric.lower()), Family.OTHER)


@dataclass(frozen=True, slots=True)
class Label:
    """One fault that is known to be in the data. Times are event time, µs."""

    name: str
    application: str
    model: str | None
    """The one model that it is about; None when it is about the application."""
    user: str | None
    """The one user that it is about; None when it is about no single one."""
    shows: frozenset[Family]
    """Where it shows: an anomaly in one of these finds it."""
    knock_on: frozenset[Family]
    """What it disturbs besides: an anomaly here does not find it, but is no false alarm either."""
    start: int
    end: int

    def covers(self, at: int, grace: int) -> bool:
        """Whether this moment lies in the fault or at most `grace` µs after it."""
        return self.start <= at <= self.end + grace

    def is_about(self, application: str, model: str | None, user: str | None) -> bool:
        """Whether a subject is the fault's. A subject that names no model (or user) means all
        of its application's.
        """
        return (
            application == self.application
            and (self.model is None or model is None or model == self.model)
            and (self.user is None or user is None or user == self.user)
        )


def delay_s(label: Label, anomaly: Anomaly) -> float:
    """Seconds of event time from the moment from which calls meet the fault, to the close of the
    bucket whose verdict this is (of a rule, to the end of the call that broke it). A call is known
    when it ends: of slow ones the first seconds of a fault hold none.
    """
    return (anomaly.event_time - label.start) / 1e6


def finds(label: Label, anomaly: Anomaly, grace_s: float = GRACE_S) -> bool:
    """Whether this anomaly finds the fault."""
    return _finds(label, anomaly, round(grace_s * 1e6))


@dataclass(frozen=True, slots=True)
class Score:
    """What was found of one fault."""

    label: Label
    found_by: Anomaly | None
    """The first anomaly, in event time, that finds it; None when none does."""
    incidents: tuple[str, ...]
    """Ids of the incidents about it, in any of their states, in order of opening."""
    messages: tuple[Notification, ...]
    """Messages about these incidents that reached a receiver, one per message and receiver."""

    @property
    def delay_s(self) -> float | None:
        """`delay_s` of the first anomaly."""
        return None if self.found_by is None else delay_s(self.label, self.found_by)


@dataclass(frozen=True, slots=True)
class Scores:
    """What was found of all faults, and what was found where there is none."""

    faults: tuple[Score, ...]
    false_alarms: tuple[Incident, ...]
    """Incidents, as they were opened, that no fault explains at that moment. One that a fault joins
    later stays false.
    """
    false_anomalies: tuple[Anomaly, ...]
    messages: tuple[Notification, ...]
    """All messages that reached a receiver."""

    @property
    def are_good(self) -> bool:
        """Whether every fault was found, with no more than `MAX_FALSE_ALARMS`."""
        return (
            all(fault.found_by is not None for fault in self.faults)
            and len(self.false_alarms) <= MAX_FALSE_ALARMS
        )


def score(
    labels: Sequence[Label],
    anomalies: Iterable[Anomaly],
    incidents: Iterable[Incident],
    notifications: Iterable[Notification],
    grace_s: float = GRACE_S,
) -> Scores:
    """Compares the records with the labels. They may come in any order and more than once.

    An incident counts by its first state: later states add to it, they do not excuse it.
    """
    grace = round(grace_s * 1e6)
    # Topics may hold a record twice, and partitions are read in any order.
    in_time = sorted({a.id: a for a in anomalies}.values(), key=lambda a: (a.event_time, a.id))
    known = {a.id: a for a in in_time}
    states = sorted(
        {(i.id, i.revision): i for i in incidents}.values(),
        key=lambda i: (i.opened_at, i.id, i.revision),
    )
    opened = [state for state in states if state.change is IncidentChange.OPENED]
    # A message may be sent twice under its id; it counts once.
    delivered = {n.id: n for n in notifications if n.outcome is NotificationOutcome.DELIVERED}
    messages = tuple(sorted(delivered.values(), key=lambda n: (n.at, n.id)))
    return Scores(
        faults=tuple(_score(label, in_time, known, states, messages, grace) for label in labels),
        false_alarms=tuple(
            i for i in opened if not any(_explains(label, i, known, grace) for label in labels)
        ),
        false_anomalies=tuple(
            a for a in in_time if not any(_accounts_for(label, a, grace) for label in labels)
        ),
        messages=messages,
    )


def report(scores: Scores, events: int) -> dict[str, Json]:
    """The scores as one JSON object: `events`, `faults`, `false_alarms`, `notifications`, and what
    helps to read them.

    `delay_s` is seconds of event time to a tenth, null where the fault was missed; `notifications`
    counts messages that reached a receiver.
    """
    return {
        "events": events,
        "faults": [_fault_report(fault) for fault in scores.faults],
        "found": sum(fault.found_by is not None for fault in scores.faults),
        "false_alarms": len(scores.false_alarms),
        "false_alarm_titles": [incident.title for incident in scores.false_alarms],
        "false_anomalies": len(scores.false_anomalies),
        "notifications": len(scores.messages),
    }


def _fault_report(fault: Score) -> dict[str, Json]:
    by = fault.found_by
    return {
        "name": fault.label.name,
        "found": by is not None,
        "delay_s": None if fault.delay_s is None else round(fault.delay_s, 1),
        "metric": None if by is None else by.metric,
        "detector": None if by is None else by.detector,
        "severity": None if by is None else by.severity.value,
        "incidents": len(fault.incidents),
        "messages": [
            f"{m.incident_id}/{m.incident_revision} to {m.receiver}" for m in fault.messages
        ],
    }


def _score(
    label: Label,
    in_time: Sequence[Anomaly],
    known: Mapping[str, Anomaly],
    states: Sequence[Incident],
    messages: Sequence[Notification],
    grace: int,
) -> Score:
    incidents = dict.fromkeys(state.id for state in states if _explains(label, state, known, grace))
    return Score(
        label=label,
        # A knock-on metric explains an anomaly but does not find the fault.
        found_by=next((a for a in in_time if _finds(label, a, grace)), None),
        incidents=tuple(incidents),
        messages=tuple(m for m in messages if m.incident_id in incidents),
    )


def _finds(label: Label, anomaly: Anomaly, grace: int) -> bool:
    return family(anomaly.metric) in label.shows and _accounts_for(label, anomaly, grace)


def _accounts_for(label: Label, anomaly: Anomaly, grace: int) -> bool:
    return (
        label.covers(anomaly.event_time, grace)
        and label.is_about(anomaly.application, anomaly.model, anomaly.user)
        and family(anomaly.metric) in label.shows | label.knock_on
    )


def _explains(label: Label, state: Incident, known: Mapping[str, Anomaly], grace: int) -> bool:
    """Whether a fault is behind this state of an incident: by its anomalies, or, if none of them is
    to hand, by what the state itself says.
    """
    parts = [known[anomaly_id] for anomaly_id in state.anomaly_ids if anomaly_id in known]
    # One explained anomaly is enough: an incident may join a fault and something else.
    if parts:
        return any(_accounts_for(label, anomaly, grace) for anomaly in parts)
    return (
        label.covers(state.updated_at, grace)
        and any(label.is_about(state.application, model, None) for model in state.models or (None,))
        and any(label.is_about(state.application, None, user) for user in state.users or (None,))
        and any(family(metric) in label.shows | label.knock_on for metric in state.metrics)
    )
