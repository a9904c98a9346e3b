"""Receivers as settings have them: the common part joined with each connector's own.

To add a kind, write its folder in `connectors` and register it here: a class and its place in
`AnyReceiver`.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import Field

from agents.alerting.ports import Receiver
from agents.alerting.settings import AlertSettings, ReceiverSettings
from connectors.http.rate_limit import Paces
from connectors.log.settings import LogSettings
from connectors.pagerduty.settings import PagerDutySettings
from connectors.slack.settings import SlackSettings
from connectors.webhook.settings import WebhookSettings


@dataclass(frozen=True, kw_only=True)
class ConnectedReceiver(ReceiverSettings):
    """A receiver with what its connector must offer; `connectors.*.settings` implement it."""

    def __post_init__(self) -> None:
        # What all kinds have first: a connector's fault is reported under the receiver's name.
        super().__post_init__()
        try:
            self.check()
        except ValueError as fault:
            raise ValueError(f"receiver {self.name!r}: {fault}") from fault

    @abstractmethod
    def check(self) -> None:
        """Raise ValueError where a required value is missing."""

    @abstractmethod
    def hints(self) -> Iterator[str]:
        """What is allowed but looks wrong, a line each; no line shows a secret."""

    @abstractmethod
    def receiver(self, name: str, paces: Paces) -> Receiver:
        """Make the receiver, without network. Raises ValueError for a value that is not allowed."""

    @abstractmethod
    def preview(self, notification_id: str, body: bytes) -> dict[str, Any]:
        """What a message becomes, without secrets."""


@dataclass(frozen=True, kw_only=True)
class Log(LogSettings, ConnectedReceiver):
    __doc__ = LogSettings.__doc__


@dataclass(frozen=True, kw_only=True)
class Webhook(WebhookSettings, ConnectedReceiver):
    __doc__ = WebhookSettings.__doc__


@dataclass(frozen=True, kw_only=True)
class PagerDuty(PagerDutySettings, ConnectedReceiver):
    __doc__ = PagerDutySettings.__doc__


@dataclass(frozen=True, kw_only=True)
class Slack(SlackSettings, ConnectedReceiver):
    __doc__ = SlackSettings.__doc__


AnyReceiver: TypeAlias = Annotated[
    Log | Webhook | PagerDuty | Slack,
    Field(discriminator="kind"),
]
"""The first one is meant where no `kind` is given."""


@dataclass(frozen=True, slots=True)
class AlertingSettings(AlertSettings):
    """Which incidents are sent to which receivers."""

    receivers: tuple[AnyReceiver, ...] = (Log(name="log"),)
    """All receivers; each gets every incident from its severity on. The default writes to the log
    of the alert worker.
    """
