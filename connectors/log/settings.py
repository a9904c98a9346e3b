"""Settings of a receiver of the kind `log`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from schemas.secrets import Secret

if TYPE_CHECKING:
    from connectors.http.rate_limit import Paces
    from connectors.log.receiver import LogReceiver


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """Writes one line per message to the log of the alert worker.

    Its keys have no effect: with them, a webhook can be switched to the log and back.
    """

    kind: Literal["log"] = "log"

    url: str | None = None
    """Not used."""

    secret: Secret = field(default_factory=lambda: Secret(""))
    """Not used."""

    allow_private: bool = False
    """Not used."""

    def check(self) -> None:
        """Nothing is required."""

    def hints(self) -> Iterator[str]:
        """Nothing can look wrong."""
        return iter(())

    def receiver(self, name: str, paces: "Paces") -> "LogReceiver":
        """Make the receiver, which writes its `name` into each line."""
        from connectors.log.receiver import LogReceiver

        return LogReceiver(name)

    def preview(self, notification_id: str, body: bytes) -> dict[str, Any]:
        """The fields of a message's line."""
        from connectors.log.message import log_line
        from schemas.messages.message import parse

        return log_line(parse(body))
