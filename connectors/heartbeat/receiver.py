"""A ping of an address that identifies its sender, as monitors of dead man's switches give out."""

from typing import Final

from connectors.http.answers import ReceiverAnswer
from connectors.http.exchange import ForbiddenTarget, NoAnswer, OutboundLimits
from connectors.http.outbound import OutboundTarget
from schemas.secrets import Secret

_LIMITS: Final = OutboundLimits()


class PingReceiver:
    """Posts to one address, unsigned. Raises ForbiddenTarget when it is not allowed; the text shows
    only its host.
    """

    def __init__(
        self, url: Secret, *, allow_private: bool = False, limits: OutboundLimits = _LIMITS
    ) -> None:
        self._target: Final = OutboundTarget(
            url.reveal(), allow_private=allow_private, limits=limits
        )

    async def deliver(
        self, notification_id: str, body: bytes, now: int, thread: str = ""
    ) -> ReceiverAnswer:
        """One attempt."""
        try:
            answer = await self._target.post(body, {"content-type": "application/json"})
        except ForbiddenTarget as error:
            return ReceiverAnswer(fault=str(error), refused=True)
        except NoAnswer as error:
            return ReceiverAnswer(fault=error.fault)
        return ReceiverAnswer(answer.status)

    async def close(self) -> None:
        """Close the connections."""
        await self._target.close()
