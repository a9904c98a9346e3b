"""Webhooks, signed by Standard Webhooks: https://www.standardwebhooks.com (specification 1.0.0,
symmetric signatures).
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final

from connectors.http.answers import ReceiverAnswer
from connectors.http.exchange import Answer, ForbiddenTarget, NoAnswer, OutboundLimits
from connectors.http.outbound import OutboundTarget
from connectors.http.retry_after import date_s, retry_after_s
from schemas.secrets import Secret

_PREFIX: Final = "whsec_"
_LIMITS: Final = OutboundLimits()

_REFUSALS: Final = frozenset({400, 401, 403})
"""Statuses with which receivers answer a signature whose timestamp is too far from their clock."""
_TOLERANCE_US: Final = 60_000_000
"""How far two clocks may differ, µs. Receivers accept signatures up to five minutes old."""


class WebhookSigner:
    """Signs messages with a shared secret: `whsec_` and the base64 of 24 to 64 random bytes.

    Raises ValueError when the secret has another form; the message does not show it.
    """

    def __init__(self, secret: Secret) -> None:
        text = secret.reveal()
        try:
            key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            key = b""
        if not text.startswith(_PREFIX) or not 24 <= len(key) <= 64:
            raise ValueError("a webhook's secret is whsec_ and the base64 of 24 to 64 random bytes")
        self._key: Final = key

    def headers(self, notification_id: str, body: bytes, now: int) -> dict[str, str]:
        """The three headers of the specification for an attempt at `now`, µs. The id is the
        message's, the timestamp the attempt's.
        """
        # The attempt's time, not the message's: receivers refuse old signatures.
        timestamp = str(now // 1_000_000)
        signed = b".".join((notification_id.encode(), timestamp.encode(), body))
        digest = hmac.new(self._key, signed, hashlib.sha256).digest()
        return {
            "webhook-id": notification_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }


class WebhookReceiver:
    """Posts messages to one URL. Faults are in the answer; nothing is retried here.

    Raises ForbiddenTarget or ValueError when URL or secret are not allowed.
    """

    def __init__(
        self,
        url: str,
        secret: Secret,
        *,
        allow_private: bool = False,
        limits: OutboundLimits = _LIMITS,
    ) -> None:
        self._target: Final = OutboundTarget(url, allow_private=allow_private, limits=limits)
        self._signer: Final = WebhookSigner(secret)
        self._ahead_us = 0
        """How far the receiver's clock is ahead of ours, when they are too far apart."""

    async def deliver(
        self, notification_id: str, body: bytes, now: int, thread: str = ""
    ) -> ReceiverAnswer:
        """Make one attempt. A status counts as soon as it came, even if the answer breaks off.

        A receiver that refuses the signature, and whose clock differs from ours, gets the message
        once more, signed by its own clock: a page must not be lost because this machine's is wrong.
        """
        # A copy: a concurrent attempt may learn the receiver's clock meanwhile.
        ahead_us = self._ahead_us
        try:
            answer = await self._post(notification_id, body, now + ahead_us)
            theirs = _ahead_us(answer, now)
            if (
                answer.status in _REFUSALS
                and theirs is not None
                and abs(theirs - ahead_us) > _TOLERANCE_US
            ):
                self._sets_clock(theirs)
                answer = await self._post(notification_id, body, now + self._ahead_us)
        except ForbiddenTarget as error:
            return ReceiverAnswer(fault=str(error), refused=True)
        except NoAnswer as error:
            return ReceiverAnswer(fault=error.fault)
        return ReceiverAnswer(
            answer.status, retry_after_s=retry_after_s(answer.headers.get("Retry-After"), now)
        )

    async def _post(self, notification_id: str, body: bytes, at: int) -> Answer:
        signed = self._signer.headers(notification_id, body, at)
        return await self._target.post(body, {"content-type": "application/json", **signed})

    def _sets_clock(self, ahead_us: int) -> None:
        if abs(ahead_us - self._ahead_us) > _TOLERANCE_US:
            # Not before it is needed: importing takes half a second.
            import structlog

            structlog.get_logger("sentinel.webhook").warning(
                "webhook.clock_off", receiver_ahead_s=round(ahead_us / 1e6)
            )
        # Small differences are noise of the network: then our own clock is used again.
        self._ahead_us = ahead_us if abs(ahead_us) > _TOLERANCE_US else 0

    async def close(self) -> None:
        """Close the connections."""
        await self._target.close()


def _ahead_us(answer: Answer, now: int) -> int | None:
    """How far the receiver's clock is ahead, µs, by its header Date; None without one."""
    seconds = date_s(answer.headers.get("Date") or "")
    return None if seconds is None else int(seconds * 1e6) - now
