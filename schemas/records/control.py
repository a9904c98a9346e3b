"""Control records: settings, commands of people, and the audit of their results."""

from dataclasses import dataclass
from enum import StrEnum

from schemas.avro.coding import Record


class CommandKind(StrEnum):
    """Kinds of command."""

    SILENCE = "silence"
    EXPIRE = "expire"
    ACKNOWLEDGE = "acknowledge"
    CLOSE = "close"


class AuditOutcome(StrEnum):
    """Results of a command."""

    APPLIED = "applied"
    REPEATED = "repeated"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Record):
    """One immutable version of the settings of detection."""

    version: str
    tenant: str | None = None
    author: str
    created_at: int
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Record):
    """A request by a person, or by a program for one. It is valid only with Sentinel's signature,
    and only for its own tenant.
    """

    id: str
    tenant: str
    kind: CommandKind
    author: str
    at: int
    target: str
    matchers: tuple[str, ...]
    starts_at: int | None = None
    ends_at: int | None = None
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit(Record):
    """Who did what, when, and the result."""

    id: str
    tenant: str
    command_id: str
    action: str
    author: str
    asked_at: int
    at: int
    target: str
    outcome: AuditOutcome
    detail: str
