"""Settings of a receiver of the kind `slack`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from schemas.secrets import Secret

if TYPE_CHECKING:
    from connectors.http.rate_limit import Paces
    from connectors.slack.receiver import SlackReceiver

_WEBHOOK_HOSTS: Final = ("hooks.slack.com", "hooks.slack-gov.com")
_WEBHOOK_PATHS: Final = ("/services/", "/workflows/", "/triggers/")


@dataclass(frozen=True, kw_only=True)
class SlackSettings:
    """Posts to one Slack channel, by a bot or by an incoming webhook."""

    kind: Literal["slack"] = "slack"

    url: str | None = None
    """Address at which a bot posts. None means Slack's own, `https://slack.com/api/chat.postMessage`.
    Not used by an incoming webhook.
    """

    secret: Secret = field(default_factory=lambda: Secret(""))
    """Token of a bot (`xoxb-`) if `channel` is given, otherwise the whole address of an incoming
    webhook, which is a secret itself. Required.
    """

    channel: str | None = None
    """Channel, by id or name, to which a bot posts: one message for each incident, changed as the
    incident changes, with the news in its thread. None means an incoming webhook, which has its
    channel already and cannot change what it posted: each news is a message of its own.
    """

    allow_private: bool = False
    """Whether messages may go to a loopback or private address, such as a proxy's."""

    def check(self) -> None:
        """Raise ValueError where a required value is missing."""
        if not self.secret:
            raise ValueError(
                "slack needs a secret: the address of an incoming webhook, or a bot's token and a"
                " channel"
            )

    def hints(self) -> Iterator[str]:
        """A secret of another form than Slack gives out; no hint shows it."""
        if self.channel is not None:
            if not self.secret.reveal().startswith("xoxb-"):
                yield (
                    "the secret is not the token of a bot, which begins with xoxb-; other tokens"
                    " stop working when the person they belong to leaves"
                )
            return
        address = urlsplit(self.secret.reveal())
        if self.allow_private:
            return
        if address.hostname not in _WEBHOOK_HOSTS:
            yield (
                f"the secret is an address at {address.hostname}; Slack's begin with"
                " https://hooks.slack.com/"
            )
        elif not address.path.startswith(_WEBHOOK_PATHS):
            yield (
                "the secret is not a whole address of an incoming webhook:"
                " https://hooks.slack.com/services/T…/B…/…"
            )

    def receiver(self, name: str, paces: "Paces") -> "SlackReceiver":
        """Make the receiver. Raises ValueError where the address or the secret are not allowed."""
        from connectors.slack.receiver import BOT_URL, SlackReceiver

        return SlackReceiver(
            self.secret,
            self.channel,
            url=self.url or BOT_URL,
            allow_private=self.allow_private,
        )

    def preview(self, notification_id: str, body: bytes) -> dict[str, Any]:
        """The first message about an incident, as Slack's API takes it."""
        from connectors.slack.message import slack_message
        from schemas.messages.message import parse

        channel = {} if self.channel is None else {"channel": self.channel}
        return slack_message(parse(body)) | channel
