"""The record of a command's outcome."""

from dataclasses import dataclass
from typing import Final

from schemas.ids import record_id
from schemas.records.control import Audit, AuditOutcome, Command

_MAX_DETAIL: Final = 2000


@dataclass(frozen=True, slots=True)
class Asked:
    """A command, and its position on `commands`."""

    command: Command
    partition: int
    offset: int
    is_answered_here: bool
    """Whether this lane writes the audit record: one lane answers a command, though every lane may
    obey it.
    """


def audit(asked: Asked, outcome: AuditOutcome, detail: str, now: int) -> Audit:
    """The audit record of its outcome, decided at `now`, µs."""
    command = asked.command
    return Audit(
        id=record_id("audit", command.tenant, command.id, asked.partition, asked.offset),
        tenant=command.tenant,
        command_id=command.id,
        action=command.kind,
        author=command.author,
        asked_at=command.at,
        at=now,
        target=command.target or command.id,
        outcome=outcome,
        detail=detail[:_MAX_DETAIL],
    )
