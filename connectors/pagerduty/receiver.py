"""PagerDuty by its Events API v2: https://developer.pagerduty.com/docs/events-api-v2-overview

A message about an incident becomes an event under the incident's own `dedup_key`: its start and
each rise trigger, its end resolves, so what pages once closes by itself. A summary triggers an
alert of its own, which a person closes.
"""

from functools import partial
from typing import Any, Final

import orjson

from connectors.facts import facts
from connectors.http.answers import ReceiverAnswer
from connectors.http.exchange import Answer, ForbiddenTarget, NoAnswer, OutboundLimits
from connectors.http.outbound import OutboundTarget
from connectors.http.rate_limit import Pace
from connectors.rendering import rendered
from connectors.texts import plain
from connectors.webhook.receiver import retry_after_s
from schemas.ids import record_id
from schemas.messages import IncidentPart, Message, SummaryMessage
from schemas.secrets import Secret

URL: Final = "https://events.pagerduty.com/v2/enqueue"
CALLS_A_MINUTE: Final = 120
"""What PagerDuty takes for one routing key."""

_LIMITS: Final = OutboundLimits()
_MOST_SUMMARY: Final = 1024
_MOST_DEDUP_KEY: Final = 255
_MOST_FIELD: Final = 255
_MOST_LISTED: Final = 20
_SEVERITIES: Final = {
    "critical": "critical",
    "high": "error",
    "medium": "warning",
    "low": "info",
    "info": "info",
}
_UNKNOWN_SEVERITY: Final = "critical"
"""A severity that this program does not know is told, with its own name in the details, and not as
less than it may be.
"""
_GRADES: Final = ("critical", "error", "warning", "info")
_ACTIONS: Final = {
    "incident.resolved": "resolve",
    "incident.closed": "resolve",
    "incident.acknowledged": "acknowledge",
}
"""What was given up is not resolved: its alert stays, and a person ends it."""
_TOLD: Final = ("opened_at", "updated_at", "resolved_at", "revision", "anomaly_count")
_LISTED: Final = ("models", "users", "metrics", "detectors")


class PagerDutyReceiver:
    """Sends events to one integration. What can go wrong is in the answer; nothing is retried here.

    `pace` is shared by receivers with one routing key. Raises ForbiddenTarget or ValueError when
    the URL or the key are not allowed.
    """

    def __init__(
        self,
        routing_key: Secret,
        pace: Pace,
        *,
        url: str = URL,
        allow_private: bool = False,
        limits: OutboundLimits = _LIMITS,
    ) -> None:
        if not (len(routing_key.reveal()) == 32 and routing_key.reveal().isalnum()):
            raise ValueError(
                "a PagerDuty routing key has 32 letters and digits (Events API v2 integration key)"
            )
        self._key: Final = routing_key
        self._pace: Final = pace
        self._target: Final = OutboundTarget(url, allow_private=allow_private, limits=limits)

    async def deliver(
        self, notification_id: str, body: bytes, now: int, thread: str = ""
    ) -> ReceiverAnswer:
        """One attempt, when its turn has come. Taken is 202 alone."""
        event = rendered(body, partial(pagerduty_event, notification_id))
        if isinstance(event, ReceiverAnswer):
            return event
        event["routing_key"] = self._key.reveal()
        await self._pace.turn()
        try:
            answer = await self._target.post(
                orjson.dumps(event), {"content-type": "application/json"}
            )
        except ForbiddenTarget as error:
            return ReceiverAnswer(fault=str(error), refused=True)
        except NoAnswer as error:
            return ReceiverAnswer(fault=error.fault)
        wait_s = retry_after_s(answer.headers.get("Retry-After"), now)
        return ReceiverAnswer(answer.status, retry_after_s=wait_s, error=_error(answer))

    async def close(self) -> None:
        """Close the connections."""
        await self._target.close()


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
        return event
    links = [] if incident.link is None else [_link(incident.link, "Incident in Sentinel")]
    links += [_link(href, "Trace of a call") for href in incident.trace_links]
    linked: dict[str, Any] = {} if incident.link is None else {"client_url": incident.link}
    linked |= {"links": links} if links else {}
    return event | {
        "client": "Sentinel",
        **linked,
        "payload": {
            "summary": plain(incident.title, _MOST_SUMMARY) or "incident without a title",
            "source": plain(incident.application, _MOST_FIELD) or "unknown",
            "severity": _SEVERITIES.get(incident.severity, _UNKNOWN_SEVERITY),
            "timestamp": incident.updated_at or message.timestamp,
            "group": plain(incident.tenant, _MOST_FIELD),
            "class": ", ".join(incident.metrics)[:_MOST_FIELD],
            "custom_details": _details(incident),
        },
    }


def _details(incident: IncidentPart) -> dict[str, Any]:
    """The evidence first, then who cares for it, then the machinery."""
    first = {name: plain(value, _MOST_FIELD) for name, value in facts(incident)}
    details = {name: value for name in _TOLD if (value := getattr(incident, name)) is not None}
    for name in _LISTED:
        details[name] = ", ".join(
            plain(item, _MOST_FIELD) for item in getattr(incident, name)[:_MOST_LISTED]
        )
    return (
        first
        | details
        | {
            "tenant": plain(incident.tenant, _MOST_FIELD),
            "incident": incident.id,
            "severity": plain(incident.severity, _MOST_FIELD),
        }
    )


def dedup_key(tenant: str, incident_id: str) -> str:
    """Under which PagerDuty puts all events of one incident together: at most 255 characters, never
    the same for two incidents.

    >>> dedup_key("acme", "4f"), len(dedup_key("a" * 300, "4f"))
    ('sentinel/acme/4f', 41)
    """
    whole = f"sentinel/{tenant}/{incident_id}"
    return whole if len(whole) <= _MOST_DEDUP_KEY else f"sentinel/{record_id(tenant, incident_id)}"


def _summary_event(notification_id: str, message: SummaryMessage) -> dict[str, Any]:
    grades = {_SEVERITIES.get(item.severity, _UNKNOWN_SEVERITY) for item in message.incidents}
    gravest = next((grade for grade in _GRADES if grade in grades), "info")
    told = (
        f"{message.count} incidents of {message.tenant}: {message.open} open, {message.resolved}"
        " resolved"
    )
    details = {
        item.id: plain(
            f"{item.state} {item.severity} {item.application}: {item.title}", _MOST_FIELD
        )
        for item in message.incidents[:_MOST_LISTED]
    }
    return {
        "event_action": "trigger",
        "dedup_key": f"sentinel/summary/{notification_id}"[:_MOST_DEDUP_KEY],
        "client": "Sentinel",
        "payload": {
            "summary": plain(told, _MOST_SUMMARY),
            "source": "sentinel",
            "severity": gravest if message.open else "info",
            "timestamp": message.timestamp,
            "group": plain(message.tenant, _MOST_FIELD),
            "custom_details": details,
        },
    }


def _link(url: str, text: str) -> dict[str, str]:
    return {"href": url, "text": text}


def _error(answer: Answer) -> str | None:
    """What PagerDuty says is wrong, in its words; a 200 that is not its own is something in between
    that did not hand the event on.
    """
    if answer.status == 202:
        return None
    try:
        said = orjson.loads(answer.body)
        words = "; ".join([str(said["message"]), *map(str, said.get("errors", ()))])
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return "not the answer of PagerDuty, which is 202" if 200 <= answer.status < 300 else None
    return plain(words, 200)
