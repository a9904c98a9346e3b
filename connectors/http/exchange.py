"""The values of one HTTP attempt: its limits, and an answer or a fault."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from schemas.errors import UserError


@dataclass(frozen=True, slots=True)
class OutboundLimits:
    """How much time and memory one attempt may take."""

    connect_s: float = 5.0
    """Seconds to resolve the name and to connect."""

    total_s: float = 10.0
    """Seconds for the whole attempt."""

    answer_bytes: int = 65_536
    """Most bytes of the answer's body that are read."""


class Fault(StrEnum):
    """Faults before an answer has a status. The texts go to logs and records: they stay."""

    NAME = "name not resolved"
    CONNECT = "no connection"
    TLS = "TLS failed"
    TIMEOUT = "timeout"
    RESET = "connection lost"
    BAD_ANSWER = "answer is not HTTP"


class ForbiddenTarget(UserError, ValueError):
    """The target's URL, or the address that its name resolves to, is not allowed."""


class NoAnswer(Exception):
    """The attempt got no status."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault: Final = fault


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as far as it came: the status decides, what follows it may be missing."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    """At most `answer_bytes` of it, as sent: not decompressed."""
    is_complete: bool
    """Whether `body` is all that was sent."""
