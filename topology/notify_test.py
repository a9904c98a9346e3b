"""The messages of `sentinel notify-test`: made and sent as alert would, of an invented incident."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from agents.alerting.matching import Matcher
from agents.alerting.messages import incident_message, message_id
from agents.alerting.reasons import Reason
from agents.alerting.retrying import Delivered, after_attempt
from agents.alerting.routing import Router
from schemas.ids import record_id
from schemas.records.anomalies import Severity
from schemas.records.incidents import Incident, IncidentChange, IncidentState
from topology.settings.receivers import AlertingSettings, ConnectedReceiver
from topology.stages.receivers import receivers_of

TITLE = "This is a test by `sentinel notify-test`; nothing is wrong"


class NotAccepted(Exception):
    """The receiver did not accept a message; the text is one plain line with its answer."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One message with its reason and id."""

    reason: Reason
    notification_id: str
    body: str


def sample_messages(settings: AlertingSettings) -> list[Sample]:
    """The messages about the start and the end of an incident of now."""
    now = time.time_ns() // 1000
    opened = _incident(now)
    ended = replace(
        opened,
        state=IncidentState.RESOLVED,
        revision=2,
        change=IncidentChange.RESOLVED,
        resolved_at=now,
        ordinal=1,
    )
    return [
        Sample(
            reason,
            message_id(incident, "notify-test"),
            incident_message(incident, reason, settings.page_url),
        )
        for incident, reason in ((opened, Reason.OPENED), (ended, Reason.RESOLVED))
    ]


def _incident(now: int) -> Incident:
    return Incident(
        id=record_id("notify-test", now),
        tenant="notify-test",
        application="notify-test",
        state=IncidentState.OPEN,
        revision=1,
        change=IncidentChange.OPENED,
        severity=Severity.LOW,
        title=TITLE,
        opened_at=now,
        updated_at=now,
        anomaly_count=1,
        models=(),
        users=(),
        metrics=(),
        detectors=(),
        anomaly_ids=(),
        settings_version="0",
        lane=0,
        offset=0,
        ordinal=0,
    )


def shown(receiver: ConnectedReceiver, message: Sample) -> str:
    """The message as the receiver would get it, as indented JSON without secrets."""
    said = receiver.preview(message.notification_id, message.body.encode())
    return orjson.dumps(said, option=orjson.OPT_INDENT_2).decode()


def reached(settings: AlertingSettings, conditions: Sequence[str]) -> list[tuple[str, str]]:
    """Each receiver's name, and whether it would get an incident like this when it opens, with the
    reason; silences and caps do not count.

    `conditions` describe the incident: `tenant=acme`, `application=checkout`, `severity=high`, and
    so on, one for each value that it names. The default severity is critical. Raises ValueError for
    a condition that does not describe an incident.
    """
    named: dict[str, list[str]] = {}
    for text in conditions:
        matcher = Matcher.parse(text, knows_tenant=True)
        if matcher.operator != "=":
            raise ValueError(f"{text!r} does not describe an incident; write {matcher.field}=VALUE")
        named.setdefault(matcher.field, []).append(matcher.value)
    for name in ("tenant", "application", "severity", "incident"):
        if len(named.get(name, ())) > 1:
            raise ValueError(f"an incident has one {name}, not {len(named[name])}")
    incident = replace(
        _incident(time.time_ns() // 1000),
        id=named.get("incident", ["notify-test"])[0],
        tenant=named.get("tenant", ["notify-test"])[0],
        application=named.get("application", ["notify-test"])[0],
        severity=Severity(named.get("severity", [Severity.CRITICAL])[0]),
        models=tuple(named.get("model", ())),
        users=tuple(named.get("user", ())),
        metrics=tuple(named.get("metric", ())),
        detectors=tuple(named.get("detector", ())),
    )
    return [
        (route.receiver.name, f"{'sent' if route.is_open else 'not sent'}: {route.reason}")
        for route in Router(settings.receivers).routes(incident)
    ]


async def send(settings: AlertingSettings, name: str, messages: list[Sample]) -> list[str]:
    """Make one attempt for each message, in order; returns a line about each.

    Raises NotAccepted at the first that was not accepted, Refused for settings that are refused.
    """
    only = replace(settings, receivers=tuple(r for r in settings.receivers if r.name == name))
    receiver = receivers_of(only)[name]
    lines = []
    try:
        for message in messages:
            now = time.time_ns() // 1000
            answer = await receiver.deliver(message.notification_id, message.body.encode(), now)
            verdict = after_attempt(
                answer,
                notification_id=message.notification_id,
                attempt=1,
                decided_at=now,
                now=now,
                retry=settings.retry,
            )
            if not isinstance(verdict, Delivered):
                raise NotAccepted(
                    f"{name} did not accept the test message ({message.reason}): {verdict.reason},"
                    f" {verdict.detail}"
                )
            lines.append(f"{name} accepted the test message ({message.reason}): {verdict.detail}")
    finally:
        await receiver.close()
    return lines
