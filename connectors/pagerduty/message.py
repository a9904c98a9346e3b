"""A message as an event of PagerDuty's Events API v2:
https://developer.pagerduty.com/docs/events-api-v2-overview

A message about an incident becomes an event under the incident's own `dedup_key`: its start and
each escalation trigger, its end resolves, so what pages once closes by itself. A summary triggers
an alert of its own, which a person closes.
"""

from typing import Any, Final

from connectors.facts import facts
from connectors.texts import plain
from schemas.ids import record_id
from schemas.messages.message import IncidentPart, Message, SummaryMessage

_MAX_SUMMARY: Final = 1024
_MAX_DEDUP_KEY: Final = 255
_MAX_FIELD: Final = 255
_MAX_LISTED: Final = 20
_SEVERITIES: Final = {
    "critical": "critical",
    "high": "error",
    "medium": "warning",
    "low": "info",
    "info": "info",
}
_UNKNOWN_SEVERITY: Final = "critical"
"""For a severity that this program does not know: better an alarm too loud than one too quiet. The
details have its own name.
"""
_MOST_SEVERE_FIRST: Final = ("critical", "error", "warning", "info")
_ACTIONS: Final = {
    "incident.resolved": "resolve",
    "incident.closed": "resolve",
    "incident.acknowledged": "acknowledge",
}
"""All other messages trigger. An incident that was given up is not resolved: its alert stays, and a
person ends it.
"""
_DETAILS: Final = ("opened_at", "updated_at", "resolved_at", "revision", "anomaly_count")
_LISTS: Final = ("models", "users", "metrics", "detectors")


def pagerduty_event(notification_id: str, message: Message) -> dict[str, Any]:
    """The event of a message, without the routing key."""
    if isinstance(message, SummaryMessage):
        return _summary_event(notification_id, message)
    incident = message.incident
    event: dict[str, Any] = {
        "event_action": _ACTIONS.get(message.type, "trigger"),
        "dedup_key": dedup_key(incident.tenant, incident.id),
    }
    if event["event_action"] != "trigger":
        # PagerDuty ignores a payload here.
        return event
    links = [] if incident.link is None else [_link(incident.link, "Incident in Sentinel")]
    links += [_link(href, "Trace of a call") for href in incident.trace_links]
    linked: dict[str, Any] = {} if incident.link is None else {"client_url": incident.link}
    linked |= {"links": links} if links else {}
    return event | {
        "client": "Sentinel",
        **linked,
        "payload": {
            "summary": plain(incident.title, _MAX_SUMMARY) or "incident without a title",
            "source": plain(incident.application, _MAX_FIELD) or "unknown",
            "severity": _SEVERITIES.get(incident.severity, _UNKNOWN_SEVERITY),
            "timestamp": incident.updated_at or message.timestamp,
            "group": plain(incident.tenant, _MAX_FIELD),
            "class": ", ".join(incident.metrics)[:_MAX_FIELD],
            "custom_details": _details(incident),
        },
    }


def _details(incident: IncidentPart) -> dict[str, Any]:
    """Custom details: the evidence first, then the acknowledgement, then the bookkeeping."""
    first = {name: plain(value, _MAX_FIELD) for name, value in facts(incident)}
    details = {name: value for name in _DETAILS if (value := getattr(incident, name)) is not None}
    for name in _LISTS:
        details[name] = ", ".join(
            plain(item, _MAX_FIELD) for item in getattr(incident, name)[:_MAX_LISTED]
        )
    return (
        first
        | details
        | {
            "tenant": plain(incident.tenant, _MAX_FIELD),
            "incident": incident.id,
            "severity": plain(incident.severity, _MAX_FIELD),
        }
    )


def dedup_key(tenant: str, incident_id: str) -> str:
    """The key under which PagerDuty groups all events of one incident; never that of another one.

    At most 255 characters, which is PagerDuty's limit: longer keys are hashed.

    >>> dedup_key("acme", "4f"), len(dedup_key("a" * 300, "4f"))
    ('sentinel/acme/4f', 41)
    """
    whole = f"sentinel/{tenant}/{incident_id}"
    return whole if len(whole) <= _MAX_DEDUP_KEY else f"sentinel/{record_id(tenant, incident_id)}"


def _summary_event(notification_id: str, message: SummaryMessage) -> dict[str, Any]:
    severities = {_SEVERITIES.get(item.severity, _UNKNOWN_SEVERITY) for item in message.incidents}
    # PagerDuty shows one severity: that of the most severe incident, while any is open.
    worst = next((severity for severity in _MOST_SEVERE_FIRST if severity in severities), "info")
    title = (
        f"{message.count} incidents of {message.tenant}: {message.open} open, {message.resolved}"
        " resolved"
    )
    details = {
        item.id: plain(f"{item.state} {item.severity} {item.application}: {item.title}", _MAX_FIELD)
        for item in message.incidents[:_MAX_LISTED]
    }
    return {
        "event_action": "trigger",
        "dedup_key": f"sentinel/summary/{notification_id}"[:_MAX_DEDUP_KEY],
        "client": "Sentinel",
        "payload": {
            "summary": plain(title, _MAX_SUMMARY),
            "source": "sentinel",
            "severity": worst if message.open else "info",
            "timestamp": message.timestamp,
            "group": plain(message.tenant, _MAX_FIELD),
            "custom_details": details,
        },
    }


def _link(url: str, text: str) -> dict[str, str]:
    return {"href": url, "text": text}
