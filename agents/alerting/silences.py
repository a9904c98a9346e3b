"""Silences: they hold back messages about some incidents of a tenant for a time."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final, Self

import orjson

from agents.alerting.matching import Matcher
from agents.alerting.schedule import Schedule
from schemas.records.control import AuditOutcome, Command
from schemas.records.incidents import Incident
from streams.state.chunks import seal, unseal
from streams.state.rows import Rows, by_row_key

_VERSION: Final = 1
_KEY: Final = b"silence/"

MAX_SILENCES: Final = 1000
"""Most silences of one tenant at a time: a program in a loop must not fill the state."""


@dataclass(slots=True)
class Silence:
    """From `starts_at` until before `ends_at` (wall clock, µs), for incidents that all matchers
    hold for.
    """

    id: str
    tenant: str
    author: str
    matchers: list[str]
    starts_at: int
    ends_at: int
    expired: bool = False
    """Expired before its time. It is kept until then, so that a repeated command cannot restore
    it.
    """

    def row(self) -> bytes:
        """As a row of a lane's state."""
        return seal(_VERSION, orjson.dumps(asdict(self)))

    @classmethod
    def from_row(cls, value: bytes) -> Self:
        """What `row` gave. Raises NewerState."""
        return cls(**orjson.loads(unseal(value, _VERSION, "silences")[1]))


class Silences:
    """The silences of all tenants that have not ended."""

    def __init__(self) -> None:
        self._silences: Final = Rows(by_row_key(_KEY, Silence.row, Silence.from_row))
        self._of_tenant: dict[str, dict[bytes, Silence]] = {}
        self._ends: Schedule[bytes] = Schedule()
        self._matchers: dict[str, tuple[Matcher, ...]] = {}

    def add(self, command: Command, now: int) -> tuple[AuditOutcome, str]:
        """Obey a command that silences; returns its outcome and the reason. A repeated command
        changes nothing.
        """
        if (known := self._silences.get(_key(command.id))) is not None:
            is_own = known.tenant == command.tenant
            return (
                (AuditOutcome.REPEATED, "already in effect")
                if is_own
                else (AuditOutcome.REFUSED, "the id is in use")
            )
        # Without a start it holds from when it was asked for, not from when it came.
        starts_at, ends_at = command.starts_at or command.at, command.ends_at
        if ends_at is None or ends_at <= max(now, starts_at):
            return AuditOutcome.REFUSED, "it ends in the past, or before it begins"
        if len(self._of_tenant.get(command.tenant, ())) >= MAX_SILENCES:
            return AuditOutcome.REFUSED, f"the tenant has {MAX_SILENCES} silences already"
        silence = Silence(
            command.id, command.tenant, command.author, list(command.matchers), starts_at, ends_at
        )
        # A signed command may still have matchers of another release, with other fields.
        try:
            self._index(silence)
        except ValueError as fault:
            return AuditOutcome.REFUSED, str(fault)
        self._silences[_key(silence.id)] = silence
        return AuditOutcome.APPLIED, " ".join(silence.matchers) or "every incident"

    def expire(self, command: Command) -> tuple[AuditOutcome, str]:
        """Obey a command that expires a silence of the same tenant."""
        silence = self._silences.get(_key(command.target))
        if silence is None or silence.tenant != command.tenant:
            return AuditOutcome.REFUSED, "no silence of this tenant has this id, or it has ended"
        if silence.expired:
            return AuditOutcome.REPEATED, "already expired"
        silence.expired = True
        return AuditOutcome.APPLIED, ""

    def of(self, incident: Incident, now: int) -> Silence | None:
        """The silence that holds back messages about the incident now; of several the one that ends
        last.
        """
        holding = [
            silence
            for silence in self._of_tenant.get(incident.tenant, {}).values()
            if not silence.expired
            and silence.starts_at <= now < silence.ends_at
            and all(matcher.matches(incident) for matcher in self._matchers[silence.id])
        ]
        return max(holding, key=lambda silence: (silence.ends_at, silence.id), default=None)

    def next_end(self) -> int | None:
        """When the next one ends; None without any."""
        return self._ends.next()

    def forget_ended(self, now: int) -> bool:
        """Drop the silences that have ended; whether there were any."""
        ended = self._ends.pop_due(now)
        for key in ended:
            silence = self._silences.pop(key)
            del self._matchers[silence.id]
            of_tenant = self._of_tenant[silence.tenant]
            del of_tenant[key]
            if not of_tenant:
                del self._of_tenant[silence.tenant]
        return bool(ended)

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Restore its rows of these, as `changes` returned them. Raises NewerState."""
        self._silences.restore(rows)
        for silence in self._silences.view().values():
            self._index(silence)

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """Rows that changed since the last call; None for one that is gone."""
        return self._silences.changes()

    def _index(self, silence: Silence) -> None:
        """Make the silence findable. Raises ValueError when a matcher is malformed."""
        self._matchers[silence.id] = tuple(Matcher.parse(text) for text in silence.matchers)
        key = _key(silence.id)
        self._of_tenant.setdefault(silence.tenant, {})[key] = silence
        self._ends.put(key, silence.ends_at)


def is_row(key: bytes) -> bool:
    """Whether the row under this key belongs to Silences."""
    return key.startswith(_KEY)


def _key(silence_id: str) -> bytes:
    return _KEY + silence_id.encode()
