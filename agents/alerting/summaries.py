"""Summaries: one message for incidents that are too old, or too many, for one each."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Final, Self

import orjson

from agents.alerting.messages import Delivery, Listing, summary_id, summary_message
from agents.alerting.reasons import Reason
from agents.alerting.schedule import Schedule
from agents.alerting.settings import AlertSettings
from agents.alerting.thread import delivery_of
from schemas.ids import record_id
from schemas.records.incidents import Incident
from streams.state.chunks import seal, unseal
from streams.state.rows import Rows, by_row_key

_VERSION: Final = 3
"""2 added `not_before`, 3 the delivery's `thread`: an older row has their defaults."""
_KEY: Final = b"summary/"


@dataclass(slots=True)
class _Collected:
    """A summary that collects incidents and is not sent yet. Times wall clock, µs."""

    id: str
    incident_id: str
    incident_revision: int
    first_at: int
    due_at: int
    not_before: int = 0
    """It is not due before: summaries of a rate limit are an hour apart."""
    listings: list[Listing] = field(default_factory=list)
    unlisted: int = 0

    def put(self, incident: Incident) -> bool:
        """Update a listed incident; false when it is not listed."""
        for index, listing in enumerate(self.listings):
            if listing.id == incident.id:
                self.listings[index] = Listing.of(incident)
                return True
        return False


@dataclass(slots=True)
class _Row:
    """The summaries of one tenant to one receiver: at most one collects, at most one is being
    delivered.
    """

    tenant: str
    receiver: str
    collected: _Collected | None = None
    sending: Delivery | None = None

    def to_bytes(self) -> bytes:
        return seal(_VERSION, orjson.dumps(asdict(self)))

    @classmethod
    def from_bytes(cls, value: bytes) -> Self:
        fields = orjson.loads(unseal(value, _VERSION, "summaries")[1])
        if fields["collected"] is not None:
            listings = [Listing(**listing) for listing in fields["collected"].pop("listings")]
            fields["collected"] = _Collected(**fields["collected"], listings=listings)
        if fields["sending"] is not None:
            fields["sending"] = delivery_of(fields["sending"])
        return cls(**fields)


class Summaries:
    """All summaries of a lane, one row for each tenant and receiver; tenants are never mixed.

    Summaries are debounced: one is due `summary_wait_s` after the last incident that joined it, at
    most `summary_max_wait_s` after the first, and not before the previous one has its outcome. All
    times wall clock, µs.
    """

    def __init__(self, settings: AlertSettings) -> None:
        self._settings: Final = settings
        self._wait_us: Final = round(settings.summary_wait_s * 1e6)
        self._max_wait_us: Final = round(settings.summary_max_wait_s * 1e6)
        self._rows: Final = Rows(by_row_key(_KEY, _Row.to_bytes, _Row.from_bytes))
        self._due: Schedule[bytes] = Schedule()
        self._sending: dict[str, bytes] = {}
        """Row key of each summary in delivery, by its id."""

    def add(
        self, incident: Incident, receiver: str, *, is_first: bool, now: int, not_before: int = 0
    ) -> str | None:
        """List an incident in the collecting summary, or begin one that is not due before
        `not_before`; returns the summary's id.

        Returns None if it lists `summary_listed` others already. Then it counts the incident if
        `is_first`: no message or summary named it before.
        """
        key = _key(incident.tenant, receiver)
        row = self._rows.setdefault(key, _Row(incident.tenant, receiver))
        if row.collected is None:
            row.collected = _Collected(
                summary_id(incident, receiver, now),
                incident.id,
                incident.revision,
                first_at=now,
                due_at=now,
                not_before=not_before,
            )
        collected = row.collected
        collected.due_at = max(
            min(now + self._wait_us, collected.first_at + self._max_wait_us), collected.not_before
        )
        self._schedule(key)
        # One that is listed already does not count against the limit.
        if collected.put(incident):
            return collected.id
        if len(collected.listings) >= self._settings.summary_listed:
            collected.unlisted += is_first
            return None
        collected.listings.append(Listing.of(incident))
        return collected.id

    def refresh(self, incident: Incident, receiver: str) -> None:
        """Update the incident in the collecting summary, if that lists it, without delaying it."""
        key = _key(incident.tenant, receiver)
        row = self._rows.get(key)
        if row is not None and row.collected is not None:
            row.collected.put(incident)

    def collecting(self, tenant: str, receiver: str) -> str | None:
        """Id of the collecting summary."""
        row = self._rows.view().get(_key(tenant, receiver))
        return row.collected.id if row is not None and row.collected is not None else None

    def next_due(self) -> int | None:
        """When the next summary is due; None while time alone makes none due."""
        return self._due.next()

    def begin_due(self, now: int) -> list[Delivery]:
        """Begin the delivery of the summaries that are due; returns their deliveries."""
        begun = []
        for key in self._due.pop_due(now):
            row = self._rows[key]
            collected = row.collected
            assert collected is not None
            row.sending = Delivery(
                notification_id=collected.id,
                tenant=row.tenant,
                incident_id=collected.incident_id,
                incident_revision=collected.incident_revision,
                receiver=row.receiver,
                reason=Reason.SUMMARY,
                body=summary_message(
                    row.tenant, collected.listings, collected.unlisted, self._settings.page_url
                ),
                decided_at=now,
            )
            row.collected = None
            # It is scheduled again when this one has its outcome, with what joined until then.
            self._sending[collected.id] = key
            begun.append(row.sending)
        return begun

    def sending(self) -> list[Delivery]:
        """The summaries in delivery."""
        rows = [self._rows.view()[key] for key in sorted(self._sending.values())]
        return [row.sending for row in rows if row.sending is not None]

    def is_sending(self, notification_id: str) -> bool:
        """Whether this summary is in delivery."""
        return notification_id in self._sending

    def settle(self, notification_id: str) -> Delivery | None:
        """Forget a summary that has its outcome; returns it, or None if none of this id is in
        delivery.
        """
        key = self._sending.pop(notification_id, None)
        if key is None:
            return None
        row = self._rows[key]
        done, row.sending = row.sending, None
        self._schedule(key)
        if row.collected is None:
            del self._rows[key]
        return done

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Restore its rows of these, as `changes` returned them. Raises NewerState."""
        self._rows.restore(rows)
        for key, row in self._rows.view().items():
            if row.sending is not None:
                self._sending[row.sending.notification_id] = key
            self._schedule(key)

    def drop(self, receivers: frozenset[str]) -> list[Delivery]:
        """Forget these receivers' summaries; returns those in delivery."""
        gone = {
            key: row for key, row in sorted(self._rows.view().items()) if row.receiver in receivers
        }
        for key, row in gone.items():
            del self._rows[key]
            self._due.put(key, None)
            if row.sending is not None:
                del self._sending[row.sending.notification_id]
        return [row.sending for row in gone.values() if row.sending is not None]

    def receivers(self) -> frozenset[str]:
        """Names of the receivers that have one."""
        return frozenset(row.receiver for row in self._rows.view().values())

    def _schedule(self, key: bytes) -> None:
        """Set when the collecting summary is due: never while the previous one is in delivery."""
        row = self._rows.view()[key]
        collected = None if row.sending is not None else row.collected
        self._due.put(key, None if collected is None else collected.due_at)

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """Rows that changed since the last call; None for one that is gone."""
        return self._rows.changes()


def is_row(key: bytes) -> bool:
    """Whether the row under this key belongs to Summaries."""
    return key.startswith(_KEY)


def _key(tenant: str, receiver: str) -> bytes:
    return _KEY + record_id(tenant, receiver).encode()
