"""What a replay found, held against the labels of its trace.

A label is **found** by the first anomaly about its application (and its model or user, where both
name one) in a metric and on a side in which a fault of its kind shows, from its start to `GRACE_S`
after its end. An anomaly that says again what was said within `ECHO_S` before the start finds
nothing. An incident is **matched** when it was opened, about the label's application (and model or
user), from a label's start to `GRACE_S` after its end, whatever its metric: a fault disturbs more
than where it shows first. An incident that was open before stays unmatched when a fault joins it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from topology.backtesting.labels import Label
from topology.backtesting.replay import Found, Told

GRACE_S: Final = 120
"""Seconds of event time after a fault's end that still count as it: calls that began in it end
after it, and the bucket has to close.
"""

ECHO_S: Final = 130
"""Seconds before a fault's start in which an anomaly makes a later one of the same signal its
echo.
"""

_GRACE_US: Final = GRACE_S * 1_000_000
_ECHO_US: Final = ECHO_S * 1_000_000

Application = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Match:
    """What came of one label."""

    label: Label
    found_by: Found | None
    incident: Told | None
    """The one that the anomaly belongs to."""


@dataclass(frozen=True, slots=True)
class Matches:
    """What came of all labels, in their order, and which incidents have one."""

    labels: Sequence[Match]
    incidents: Sequence[tuple[Told, bool]]
    """In the order of opening; whether each is matched."""


def match(
    labels: Sequence[Label], anomalies: Sequence[Found], incidents: Mapping[str, Told]
) -> Matches:
    """Holds what was found against the labels. Anomalies may come in any order."""
    by_application: dict[str, list[Found]] = {}
    for anomaly in sorted(anomalies, key=lambda one: (one.event_time, one.id)):
        by_application.setdefault(anomaly.application, []).append(anomaly)
    told: dict[Application, list[Told]] = {}
    for one in incidents.values():
        told.setdefault((one.last.tenant, one.last.application), []).append(one)
    labels_of: dict[str, list[Label]] = {}
    for label in labels:
        labels_of.setdefault(label.application, []).append(label)
    return Matches(
        [_matched(label, by_application.get(label.application, []), told) for label in labels],
        [
            (one, any(_explains(label, one) for label in labels_of.get(one.last.application, [])))
            for one in incidents.values()
        ],
    )


def _matched(
    label: Label, anomalies: Sequence[Found], told: Mapping[Application, Sequence[Told]]
) -> Match:
    last: dict[tuple[str | None, ...], int] = {}
    for anomaly in anomalies:
        is_its = label.is_about(
            anomaly.tenant, anomaly.application, anomaly.model, anomaly.user
        ) and label.shows_in(anomaly.metric, anomaly.direction)
        if not is_its:
            continue
        if anomaly.event_time > label.end + _GRACE_US:
            break
        if anomaly.event_time <= label.start:
            last[anomaly.signal] = anomaly.event_time
        elif last.get(anomaly.signal, label.start - _ECHO_US - 1) < label.start - _ECHO_US:
            return Match(label, anomaly, _incident_of(anomaly, told))
    return Match(label, None, None)


def _incident_of(anomaly: Found, told: Mapping[Application, Sequence[Told]]) -> Told | None:
    """The incident that names the anomaly, or that was open then: it lists the first anomalies
    alone.
    """
    known = told.get((anomaly.tenant, anomaly.application), ())
    for one in known:
        if anomaly.id in one.last.anomaly_ids:
            return one
    for one in reversed(known):
        ended = one.last.resolved_at
        if one.last.opened_at <= anomaly.event_time and (
            ended is None or anomaly.event_time <= ended
        ):
            return one
    return None


def _explains(label: Label, one: Told) -> bool:
    opened = one.opened
    return label.start < opened.opened_at <= label.end + _GRACE_US and any(
        label.is_about(opened.tenant, opened.application, model, user)
        for model in opened.models or (None,)
        for user in opened.users or (None,)
    )
