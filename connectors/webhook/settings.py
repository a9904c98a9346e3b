"""Settings of a receiver of the kind `webhook`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from schemas.secrets import Secret

if TYPE_CHECKING:
    from connectors.http.rate_limit import Paces
    from connectors.webhook.receiver import WebhookReceiver


@dataclass(frozen=True, kw_only=True)
class WebhookSettings:
    """Posts JSON to one address, signed by Standard Webhooks."""

    kind: Literal["webhook"] = "webhook"

    url: str | None = None
    """Address of the webhook: https, or http for a loopback address with `allow_private`. Required.
    """

    secret: Secret = field(default_factory=lambda: Secret(""))
    """Standard Webhooks secret that signs the messages: `whsec_` and the base64 of 24 to 64 random
    bytes. Required.
    """

    allow_private: bool = False
    """Whether messages may go to a loopback or private address. Off, since a URL that somebody else
    chose could reach what only this machine can.
    """

    def check(self) -> None:
        """Raise ValueError where a required value is missing."""
        if not self.url:
            raise ValueError("a webhook needs a url")
        if not self.secret:
            raise ValueError(
                "a webhook needs a secret: whsec_ and the base64 of 24 random bytes or more"
            )

    def hints(self) -> Iterator[str]:
        """Nothing is suspicious: any address may be meant."""
        return iter(())

    def receiver(self, name: str, paces: "Paces") -> "WebhookReceiver":
        """Make the receiver. Raises ValueError where URL or secret are not allowed."""
        from connectors.webhook.receiver import WebhookReceiver

        return WebhookReceiver(self.url or "", self.secret, allow_private=self.allow_private)

    def preview(self, notification_id: str, body: bytes) -> dict[str, Any]:
        """The JSON that a message is posted as."""
        import orjson

        said: dict[str, Any] = orjson.loads(body)
        return said
