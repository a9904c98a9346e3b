"""Slack, by an incoming webhook or by a bot:
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks

`connectors.slack.message` makes the messages.
"""

import re
from dataclasses import replace
from typing import Any, Final

import orjson

from connectors.http.answers import ReceiverAnswer
from connectors.http.exchange import Answer, ForbiddenTarget, NoAnswer, OutboundLimits
from connectors.http.outbound import OutboundTarget
from connectors.http.retry_after import retry_after_s
from connectors.rendering import rendered
from connectors.slack.message import slack_message, slack_reply
from connectors.texts import plain
from schemas.messages.message import parse
from schemas.secrets import Secret

BOT_URL: Final = "https://slack.com/api/chat.postMessage"

_LIMITS: Final = OutboundLimits()
_TOKEN: Final = re.compile(r"xox[a-z]-[A-Za-z0-9-]+")
_TEMPORARY: Final = frozenset(
    {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"}
)
"""Temporary errors of the Web API:
https://docs.slack.dev/reference/methods/chat.postMessage
"""


_CANNOT_CHANGE: Final = frozenset(
    {
        "message_not_found",
        "cant_update_message",
        "edit_window_closed",
        "channel_not_found",
        "is_inactive",
    }
)
"""Errors of chat.update after which a new message must be posted."""
_BROADCAST: Final = frozenset({"incident.escalated", "incident.repeated"})
"""News that is posted to the channel too, and not only to the thread."""


class SlackReceiver:
    """Posts to one channel. Faults are in the answer; nothing is retried here.

    With `channel`, `secret` is a bot's token; without, the address of an incoming webhook. Raises
    ForbiddenTarget or ValueError when the address or the secret are not allowed; neither is shown.
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
                "without a channel the secret is the address of an incoming webhook, which begins"
                " with https://"
            )
        self._channel: Final = channel
        self._headers: Final = {"content-type": "application/json; charset=utf-8"}
        if channel is not None:
            self._headers["authorization"] = f"Bearer {text}"
        self._target: Final = OutboundTarget(
            text if channel is None else url, allow_private=allow_private, limits=limits
        )
        self._changes: Final = OutboundTarget(
            text if channel is None else f"{url.rpartition('/')[0]}/chat.update",
            allow_private=allow_private,
            limits=limits,
        )

    async def deliver(
        self, notification_id: str, body: bytes, now: int, thread: str = ""
    ) -> ReceiverAnswer:
        """Make one attempt. A bot's answer counts by its body, not by its status.

        A bot keeps one message for each incident: later news updates it to the incident's state of
        now, and is posted to its thread. A message that cannot be updated any more, since it was
        deleted or is too old for the workspace, is followed by a new one. An incoming webhook
        cannot change what it posted: each news is a message of its own.
        """
        whole = rendered(body, slack_message)
        if isinstance(whole, ReceiverAnswer):
            return whole
        if self._channel is None:
            return await self._call(self._target, whole, now)
        channel, _, ts = thread.partition("/")
        if ts:
            changed = await self._call(self._changes, whole | {"channel": channel, "ts": ts}, now)
            if changed.error is None and changed.status == 200:
                reply = rendered(body, slack_reply)
                if isinstance(reply, ReceiverAnswer):
                    return reply
                posted = {
                    "channel": channel,
                    "thread_ts": ts,
                    "reply_broadcast": parse(body).type in _BROADCAST,
                }
                # The thread stays that of the first message, not that of its reply.
                return replace(await self._call(self._target, reply | posted, now), thread="")
            if changed.error not in _CANNOT_CHANGE:
                return changed
        return await self._call(self._target, whole | {"channel": self._channel}, now)

    async def _call(
        self, target: OutboundTarget, message: dict[str, Any], now: int
    ) -> ReceiverAnswer:
        try:
            answer = await target.post(orjson.dumps(message), self._headers)
        except ForbiddenTarget as error:
            return ReceiverAnswer(fault=str(error), refused=True)
        except NoAnswer as error:
            return ReceiverAnswer(fault=error.fault)
        wait_s = retry_after_s(answer.headers.get("Retry-After"), now)
        return self._answered(answer, wait_s)

    async def close(self) -> None:
        """Close the connections."""
        await self._target.close()
        await self._changes.close()

    def _answered(self, answer: Answer, wait_s: float | None) -> ReceiverAnswer:
        if self._channel is None:
            # Incoming webhooks answer in plain text, `ok` or a word for the error.
            error = (
                None
                if answer.status == 200
                else plain(answer.body.decode(errors="replace"), 100) or None
            )
            return ReceiverAnswer(answer.status, retry_after_s=wait_s, error=error)
        if not 200 <= answer.status < 300:
            return ReceiverAnswer(answer.status, retry_after_s=wait_s)
        error = _bot_error(answer.body)
        # A bot's API answers 200 even to an error; only the body tells what can be retried.
        if error in _TEMPORARY:
            return ReceiverAnswer(fault=error)
        if error in ("ratelimited", "rate_limited"):
            return ReceiverAnswer(429, retry_after_s=wait_s, error=error)
        return ReceiverAnswer(
            answer.status, error=error, thread="" if error else _thread(answer.body)
        )


def _bot_error(body: bytes) -> str | None:
    try:
        said = orjson.loads(body)
        return None if said["ok"] is True else plain(str(said["error"]), 100)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "not an answer of Slack's API"


def _thread(body: bytes) -> str:
    """Channel id and time stamp of the message, which name it in later calls."""
    said = orjson.loads(body)
    channel, ts = said.get("channel"), said.get("ts")
    return f"{channel}/{ts}" if isinstance(channel, str) and isinstance(ts, str) else ""
