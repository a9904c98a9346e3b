"""PagerDuty by its Events API v2: https://developer.pagerduty.com/docs/events-api-v2-overview

`connectors.pagerduty.message` makes the events.
"""

from functools import partial
from typing import Final

import orjson

from connectors.http.answers import ReceiverAnswer
from connectors.http.exchange import Answer, ForbiddenTarget, NoAnswer, OutboundLimits
from connectors.http.outbound import OutboundTarget
from connectors.http.rate_limit import Pace
from connectors.http.retry_after import retry_after_s
from connectors.pagerduty.message import pagerduty_event
from connectors.rendering import rendered
from connectors.texts import plain
from schemas.secrets import Secret

URL: Final = "https://events.pagerduty.com/v2/enqueue"
EUROPEAN_URL: Final = "https://events.eu.pagerduty.com/v2/enqueue"
CALLS_PER_MINUTE: Final = 120
"""PagerDuty's rate limit for one routing key."""

_LIMITS: Final = OutboundLimits()
_MAX_ERROR: Final = 200


class PagerDutyReceiver:
    """Sends events to one integration. Faults are in the answer; nothing is retried here.

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
        """One attempt, within the rate limit. Only 202 means that PagerDuty accepted the event."""
        event = rendered(body, partial(pagerduty_event, notification_id))
        if isinstance(event, ReceiverAnswer):
            return event
        # Added last, so that no rendered event holds it.
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


def _error(answer: Answer) -> str | None:
    """PagerDuty's own words for what is wrong; None for an event that it accepted.

    Another status of the 200s comes from something in between that did not forward the event.
    """
    if answer.status == 202:
        return None
    try:
        said = orjson.loads(answer.body)
        words = "; ".join([str(said["message"]), *map(str, said.get("errors", ()))])
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return "not PagerDuty's answer, which is 202" if 200 <= answer.status < 300 else None
    return plain(words, _MAX_ERROR)
