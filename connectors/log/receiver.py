"""A receiver that writes each message as one line of the log."""

from typing import Any, Final, Protocol

from connectors.facts import facts
from connectors.http.answers import ReceiverAnswer
from connectors.rendering import rendered
from schemas.messages import IncidentMessage, Message

_OF_INCIDENT: Final = ("tenant", "id", "application", "state", "severity", "title")
_OF_SUMMARY: Final = ("tenant", "count", "open", "resolved")


class Log(Protocol):
    """What is needed of a structured logger."""

    def info(self, event: str | None = None, *args: object, **fields: object) -> object:
        """Write one line."""


class LogReceiver:
    """Writes one `notification` line per message: receiver, message id, type, timestamp and what
    `data` says in short, not the whole body.

    Fields of the incident, or of the summary, are named `incident_…` or `summary_…`.
    """

    def __init__(self, name: str, log: Log) -> None:
        self._name: Final = name
        self._log: Final = log

    async def deliver(
        self, notification_id: str, body: bytes, now: int, thread: str = ""
    ) -> ReceiverAnswer:
        """Always taken, if it can be rendered."""
        line = rendered(body, log_line)
        if isinstance(line, ReceiverAnswer):
            return line
        self._log.info("notification", receiver=self._name, notification_id=notification_id, **line)
        return ReceiverAnswer()

    async def close(self) -> None:
        """Nothing to let go of."""


def log_line(message: Message) -> dict[str, Any]:
    """The fields of the message's line."""
    head = {"type": message.type, "timestamp": message.timestamp}
    if isinstance(message, IncidentMessage):
        named = {name: getattr(message.incident, name) for name in _OF_INCIDENT} | dict(
            facts(message.incident)
        )
        return head | {f"incident_{name}": value for name, value in named.items()}
    return head | {f"summary_{name}": getattr(message, name) for name in _OF_SUMMARY}
