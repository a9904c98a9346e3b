"""Settings of a receiver of the kind `pagerduty`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from schemas.secrets import Secret

if TYPE_CHECKING:
    from connectors.http.rate_limit import Paces
    from connectors.pagerduty.receiver import PagerDutyReceiver


@dataclass(frozen=True, kw_only=True)
class PagerDutySettings:
    """Sends events to an integration of PagerDuty's Events API v2."""

    kind: Literal["pagerduty"] = "pagerduty"

    url: str | None = None
    """Address of the Events API. None means `https://events.pagerduty.com/v2/enqueue`; the European
    service is `https://events.eu.pagerduty.com/v2/enqueue`.
    """

    secret: Secret = field(default_factory=lambda: Secret(""))
    """Routing key of the integration, 32 characters. Required."""

    allow_private: bool = False
    """Whether events may go to a loopback or private address, such as a proxy's."""

    def check(self) -> None:
        """Raise ValueError where a required value is missing."""
        if not self.secret:
            raise ValueError("pagerduty needs a secret: the integration's routing key")

    def hints(self) -> Iterator[str]:
        """An address that is not PagerDuty's."""
        if self.url is None or self.allow_private:
            return
        host = urlsplit(self.url).hostname or ""
        if not host.endswith("pagerduty.com"):
            from connectors.pagerduty.receiver import EUROPEAN_URL, URL

            yield f"the url is at {host}; PagerDuty's are {URL} and {EUROPEAN_URL}"

    def receiver(self, name: str, paces: "Paces") -> "PagerDutyReceiver":
        """Make the receiver. Raises ValueError where URL or routing key are not allowed."""
        from connectors.pagerduty.receiver import CALLS_PER_MINUTE, URL, PagerDutyReceiver

        url = self.url or URL
        # PagerDuty counts by routing key, so receivers with the same one share a pace; one at
        # another address is counted on its own.
        pace = paces.shared(("pagerduty", self.secret, url), CALLS_PER_MINUTE, 60.0)
        return PagerDutyReceiver(self.secret, pace, url=url, allow_private=self.allow_private)

    def preview(self, notification_id: str, body: bytes) -> dict[str, Any]:
        """The event that a message becomes, with the routing key hidden."""
        from connectors.pagerduty.message import pagerduty_event
        from schemas.messages.message import parse

        return pagerduty_event(notification_id, parse(body)) | {"routing_key": "***"}
