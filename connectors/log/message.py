"""A message as one line of the log."""

from typing import Any, Final

from connectors.facts import facts
from schemas.messages.message import IncidentMessage, Message

_OF_INCIDENT: Final = ("tenant", "id", "application", "state", "severity", "title")
_OF_SUMMARY: Final = ("tenant", "count", "open", "resolved")


def log_line(message: Message) -> dict[str, Any]:
    """The fields of the line: those of an incident begin with `incident_`, a summary's with
    `summary_`.
    """
    head = {"type": message.type, "timestamp": message.timestamp}
    if isinstance(message, IncidentMessage):
        named = {name: getattr(message.incident, name) for name in _OF_INCIDENT} | dict(
            facts(message.incident)
        )
        return head | {f"incident_{name}": value for name, value in named.items()}
    return head | {f"summary_{name}": getattr(message, name) for name in _OF_SUMMARY}
