"""Slack, by an incoming webhook or by a bot: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks

What comes from telemetry stands in plain text blocks, where Slack reads no markup, with & < > escaped, so that nobody can be called (`<!channel>`)
and no link forged by the name of a model. The only markup is the link to the incident, which is ours.
"""

import re
from typing import Any, Final

import orjson

from connectors.answers import ReceiverAnswer
from connectors.outbound import Answer, ForbiddenTarget, NoAnswer, OutboundLimits, OutboundTarget
from connectors.rendering import rendered
from connectors.texts import plain
from connectors.webhook import retry_after_s
from schemas.messages import Message, SummaryMessage
from schemas.secrets import Secret

BOT_URL: Final = "https://slack.com/api/chat.postMessage"

WEBHOOK_HOSTS: Final = ("hooks.slack.com", "hooks.slack-gov.com")

_LIMITS: Final = OutboundLimits()
_TOKEN: Final = re.compile(r"xox[a-z]-[A-Za-z0-9-]+")
_MOST_HEADER: Final = 150
_MOST_TEXT: Final = 3000
_MOST_FIELD: Final = 2000
_MOST_LINE: Final = 200
_MOST_LISTED: Final = 20
_WORDS: Final = {
    "incident.opened": "Open",
    "incident.escalated": "Escalated",
    "incident.extended": "Scope extended",
    "incident.repeated": "Still open",
    "incident.acknowledged": "Acknowledged",
    "incident.new_level": "Still so, taken as the new level",
    "incident.resolved": "Resolved",
    "incident.given_up": "Given up, no data",
    "incident.closed": "Closed",
}
_TEMPORARY: Final = frozenset(
    {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"}
)
"""Errors of the Web API that pass by themselves: https://docs.slack.dev/reference/methods/chat.postMessage"""


class SlackReceiver:
    """Posts to one channel. What can go wrong is in the answer; nothing is retried here.

    With `channel`, `secret` is a bot's token; without, the address of an incoming webhook. Raises ForbiddenTarget or ValueError when the address or
    the secret are not allowed; neither is shown.
    """

    def __init__(
        self,
        secret: Secret,
        channel: str | None = None,
        *,
        url: str = BOT_URL,
        allow_private: bool = False,
        limits: OutboundLimits = _LIMITS,
    ) -> None:
        text = secret.reveal()
        if channel is not None and not _TOKEN.fullmatch(text):
            raise ValueError("with a channel the secret is a bot's token, which begins with xoxb-")
        if channel is None and not text.startswith(("https://", "http://")):
            raise ValueError(
                "without a channel the secret is the address of an incoming webhook, which begins with https://"
            )
        self._channel: Final = channel
        self._headers: Final = {"content-type": "application/json; charset=utf-8"}
        if channel is not None:
            self._headers["authorization"] = f"Bearer {text}"
        self._target: Final = OutboundTarget(
            text if channel is None else url, allow_private=allow_private, limits=limits
        )

    async def deliver(self, notification_id: str, body: bytes, now: int) -> ReceiverAnswer:
        """One attempt. A bot's answer counts by what it says, not by its status."""
        message = rendered(body, slack_message)
        if isinstance(message, ReceiverAnswer):
            return message
        if self._channel is not None:
            message["channel"] = self._channel
        try:
            answer = await self._target.post(orjson.dumps(message), self._headers)
        except ForbiddenTarget as error:
            return ReceiverAnswer(fault=str(error), refused=True)
        except NoAnswer as error:
            return ReceiverAnswer(fault=error.fault)
        wait_s = retry_after_s(answer.headers.get("Retry-After"), now)
        return self._answered(answer, wait_s)

    async def close(self) -> None:
        """Close the connections."""
        await self._target.close()

    def _answered(self, answer: Answer, wait_s: float | None) -> ReceiverAnswer:
        if self._channel is None:
            error = None if answer.status == 200 else plain(answer.body.decode(errors="replace"), 100) or None
            return ReceiverAnswer(answer.status, retry_after_s=wait_s, error=error)
        if not 200 <= answer.status < 300:
            return ReceiverAnswer(answer.status, retry_after_s=wait_s)
        error = _bot_error(answer.body)
        if error in _TEMPORARY:
            return ReceiverAnswer(fault=error)
        if error in ("ratelimited", "rate_limited"):
            return ReceiverAnswer(429, retry_after_s=wait_s, error=error)
        return ReceiverAnswer(answer.status, error=error)


def slack_message(message: Message) -> dict[str, Any]:
    """The message as Slack takes it, without a channel."""
    if isinstance(message, SummaryMessage):
        return _summary(message)
    incident = message.incident
    head = f"{_WORDS.get(message.type, message.type)}: {incident.severity}, {incident.application}"
    blocks = [_header(head), _plain_section(plain(incident.title, _MOST_TEXT // 5))]
    told = {"Tenant": incident.tenant, "Since": incident.opened_at, "Anomalies": str(incident.anomaly_count)}
    told |= {"Models": ", ".join(incident.models), "Metrics": ", ".join(incident.metrics)}
    fields = [_text(f"{name}: {plain(text, _MOST_FIELD // 5 - 20)}") for name, text in told.items() if text]
    blocks.append({"type": "section", "fields": fields})
    if incident.link is not None:
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": f"<{incident.link}|Open the incident>"}})
    return _whole(f"{head}: {incident.title}", blocks)


def escaped(text: str) -> str:
    """`&`, `<` and `>` as Slack wants them: without, `<!channel>` calls everybody.

    >>> escaped("a < b & <!channel>")
    'a &lt; b &amp; &lt;!channel&gt;'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _summary(message: SummaryMessage) -> dict[str, Any]:
    head = f"{message.count} incidents of {message.tenant}: {message.open} open, {message.resolved} resolved"
    lines = [
        plain(f"{item.state}, {item.severity}, {item.application}: {item.title}", _MOST_LINE)
        for item in message.incidents[:_MOST_LISTED]
    ]
    blocks = [_header(head)]
    # One block a line: 20 lines of 200 characters would be too long for one when escaped.
    blocks += [_plain_section(line) for line in lines]
    if (more := message.count - len(lines)) > 0:
        blocks.append(_plain_section(f"and {more} more"))
    return _whole(head, blocks)


def _whole(text: str, blocks: list[dict[str, Any]]) -> dict[str, Any]:
    # The text is for notifications and screen readers, where Slack does read markup: so it is told not to.
    return {
        "text": escaped(plain(text, _MOST_TEXT // 5)),
        "blocks": blocks,
        "mrkdwn": False,
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _header(text: str) -> dict[str, Any]:
    line = escaped(plain(text, _MOST_HEADER))
    # Escaping lengthens; a header that is too long is refused, so one that would be stands cut, without its last signs.
    most = _MOST_HEADER
    while len(line) > _MOST_HEADER:
        most -= 1
        line = escaped(plain(text, most))
    return {"type": "header", "text": {"type": "plain_text", "text": line, "emoji": False}}


def _plain_section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _text(text or "(no text)")}


def _text(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": escaped(text), "emoji": False}


def _bot_error(body: bytes) -> str | None:
    try:
        said = orjson.loads(body)
        return None if said["ok"] is True else plain(str(said["error"]), 100)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "not the answer of Slack's API"
