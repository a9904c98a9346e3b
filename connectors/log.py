"""A receiver that writes each message as one line of the log."""

from typing import Final, Protocol

import orjson

from connectors.answers import ReceiverAnswer

_TOLD: Final = ("tenant", "id", "application", "state", "severity", "title", "count", "open", "resolved")


class Log(Protocol):
    """What is needed of a structured logger."""

    def info(self, event: str | None = None, *args: object, **fields: object) -> object:
        """Write one line."""


class LogReceiver:
    """Writes one `notification` line per message: receiver, message id, type, timestamp and what `data` says in short, not the whole body.

    Fields of the incident, or of the summary, are named `incident_…` or `summary_…`.
    """

    def __init__(self, name: str, log: Log) -> None:
        self._name: Final = name
        self._log: Final = log

    async def deliver(self, notification_id: str, body: bytes, now: int) -> ReceiverAnswer:
        """Always taken."""
        message = orjson.loads(body)
        incident = message["data"].get("incident")
        kind, told = ("summary", message["data"]) if incident is None else ("incident", incident)
        self._log.info(
            "notification",
            receiver=self._name,
            notification_id=notification_id,
            type=message["type"],
            timestamp=message["timestamp"],
            **{f"{kind}_{name}": told[name] for name in _TOLD if name in told},
        )
        return ReceiverAnswer()

    async def close(self) -> None:
        """Nothing to let go of."""
