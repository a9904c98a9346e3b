"""A receiver that writes each message as one line of the log."""

from typing import Final, Protocol

from connectors.http.answers import ReceiverAnswer
from connectors.log.message import log_line
from connectors.rendering import rendered


class Log(Protocol):
    """The part of a structured logger that is needed."""

    def info(self, event: str | None = None, *args: object, **fields: object) -> object:
        """Write one line."""


class LogReceiver:
    """Writes one `notification` line per message: receiver, message id, type, timestamp and the
    fields of `log_line`, not the whole body.
    """

    def __init__(self, name: str, log: Log | None = None) -> None:
        self._name: Final = name
        self._log = log

    async def deliver(
        self, notification_id: str, body: bytes, now: int, thread: str = ""
    ) -> ReceiverAnswer:
        """Always accepted, if it can be rendered."""
        line = rendered(body, log_line)
        if isinstance(line, ReceiverAnswer):
            return line
        if self._log is None:
            # With the first message, not with the settings' check: importing takes half a second.
            import structlog

            self._log = structlog.get_logger("sentinel.notifications")
        self._log.info("notification", receiver=self._name, notification_id=notification_id, **line)
        return ReceiverAnswer()

    async def close(self) -> None:
        """Nothing to close."""
