"""One message for what is too old, or too much, to be told singly."""

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

_VERSION: Final = 3
"""2 added `not_before`, 3 the delivery's `thread`: an older row has their defaults."""
_KEY: Final = b"summary/"


@dataclass(slots=True)
class _Collected:
    """A summary that is not sent yet. Wall clock, µs."""

    id: str
    incident_id: str
    incident_revision: int
    first_at: int
    due_at: int
    not_before: int = 0
    """It is not due before: summaries of what a cap holds back keep their distance."""
    listings: list[Listing] = field(default_factory=list)
    unlisted: int = 0

    def put(self, incident: Incident) -> bool:
        """Tell how a listed incident stands now; false when it is not listed."""
        for place, listing in enumerate(self.listings):
            if listing.id == incident.id:
                self.listings[place] = Listing.of(incident)
                return True
        return False


@dataclass(slots=True)
class _Place:
    """The summaries of one tenant to one receiver: at most one collects, at most one is being
    delivered.
    """

    tenant: str
    receiver: str
    collected: _Collected | None = None
    sending: Delivery | None = None

    def row(self) -> bytes:
        return seal(_VERSION, orjson.dumps(asdict(self)))

    @classmethod
    def from_row(cls, value: bytes) -> Self:
        fields = orjson.loads(unseal(value, _VERSION, "summaries")[1])
        if fields["collected"] is not None:
            listings = [Listing(**listing) for listing in fields["collected"].pop("listings")]
            fields["collected"] = _Collected(**fields["collected"], listings=listings)
        if fields["sending"] is not None:
            fields["sending"] = delivery_of(fields["sending"])
        return cls(**fields)


class Summaries:
    """All summaries of a lane, one row for each tenant and receiver; tenants are never mixed.

    A summary is due `summary_wait_s` after the last incident that was listed for it,
    `summary_max_wait_s` after the first at the latest, and not before the outcome of the one before
    is known. All times wall clock, µs.
    """

    def __init__(self, settings: AlertSettings) -> None:
        self._settings: Final = settings
        self._wait_us: Final = round(settings.summary_wait_s * 1e6)
        self._max_wait_us: Final = round(settings.summary_max_wait_s * 1e6)
        self._places: dict[bytes, _Place] = {}
        self._due: Schedule[bytes] = Schedule()
        self._sending: dict[str, bytes] = {}
        """Key of the place of each summary that is being delivered, by its id."""
        self._touched: set[bytes] = set()

    def add(
        self, incident: Incident, receiver: str, *, is_first: bool, now: int, not_before: int = 0
    ) -> str | None:
        """List an incident in the summary that collects, or begin one, not to be due before
        `not_before`; returns its id.

        None where it lists `summary_listed` others already: then it counts the incident, if
        `is_first` says that nothing told of it before.
        """
        key = _key(incident.tenant, receiver)
        place = self._places.setdefault(key, _Place(incident.tenant, receiver))
        self._touched.add(key)
        if place.collected is None:
            place.collected = _Collected(
                summary_id(incident, receiver, now),
                incident.id,
                incident.revision,
                first_at=now,
                due_at=now,
                not_before=not_before,
            )
        collected = place.collected
        collected.due_at = max(
            min(now + self._wait_us, collected.first_at + self._max_wait_us), collected.not_before
        )
        self._schedule(key)
        if collected.put(incident):
            return collected.id
        if len(collected.listings) >= self._settings.summary_listed:
            collected.unlisted += is_first
            return None
        collected.listings.append(Listing.of(incident))
        return collected.id

    def refresh(self, incident: Incident, receiver: str) -> None:
        """Let the summary that collects say how the incident stands now, if it lists it; that does
        not put it off.
        """
        key = _key(incident.tenant, receiver)
        place = self._places.get(key)
        if place is not None and place.collected is not None and place.collected.put(incident):
            self._touched.add(key)

    def collecting(self, tenant: str, receiver: str) -> str | None:
        """Id of the summary that collects."""
        place = self._places.get(_key(tenant, receiver))
        return place.collected.id if place is not None and place.collected is not None else None

    def next_due(self) -> int | None:
        """When the next summary is due; None while none can become due by time alone."""
        return self._due.next()

    def take_due(self, now: int) -> list[Delivery]:
        """The summaries that are due, as deliveries that have begun."""
        taken = []
        for key in self._due.take_due(now):
            place = self._places[key]
            collected = place.collected
            assert collected is not None
            place.sending = Delivery(
                notification_id=collected.id,
                tenant=place.tenant,
                incident_id=collected.incident_id,
                incident_revision=collected.incident_revision,
                receiver=place.receiver,
                reason=Reason.SUMMARY,
                body=summary_message(
                    place.tenant, collected.listings, collected.unlisted, self._settings.page_url
                ),
                decided_at=now,
            )
            place.collected = None
            self._sending[collected.id] = key
            self._touched.add(key)
            taken.append(place.sending)
        return taken

    def sending(self) -> list[Delivery]:
        """The summaries that are being delivered."""
        keys = sorted(self._sending.values())
        return [
            place.sending
            for place in map(self._places.__getitem__, keys)
            if place.sending is not None
        ]

    def is_sending(self, notification_id: str) -> bool:
        """Whether this summary is being delivered."""
        return notification_id in self._sending

    def settle(self, notification_id: str) -> Delivery | None:
        """A summary's outcome is known: forget it. None when no summary of this id is being
        delivered.
        """
        key = self._sending.pop(notification_id, None)
        if key is None:
            return None
        place = self._places[key]
        done, place.sending = place.sending, None
        self._touched.add(key)
        self._schedule(key)
        if place.collected is None:
            del self._places[key]
        return done

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over the rows that `changed` gave. Raises NewerState."""
        self._places = {key: _Place.from_row(value) for key, value in rows}
        for key, place in self._places.items():
            if place.sending is not None:
                self._sending[place.sending.notification_id] = key
            self._schedule(key)

    def drop(self, receivers: frozenset[str]) -> list[Delivery]:
        """Forget these receivers' summaries; returns what was being delivered."""
        gone = {
            key: place for key, place in sorted(self._places.items()) if place.receiver in receivers
        }
        for key, place in gone.items():
            del self._places[key]
            self._due.put(key, None)
            if place.sending is not None:
                del self._sending[place.sending.notification_id]
            self._touched.add(key)
        return [place.sending for place in gone.values() if place.sending is not None]

    def receivers(self) -> frozenset[str]:
        """Names of the receivers that have one."""
        return frozenset(place.receiver for place in self._places.values())

    def _schedule(self, key: bytes) -> None:
        """One that collects is due by time alone, unless the one before it is being delivered."""
        place = self._places[key]
        collected = None if place.sending is not None else place.collected
        self._due.put(key, None if collected is None else collected.due_at)

    def changed(self) -> list[tuple[bytes, bytes | None]]:
        """The rows that changed since the last call; None for one that is gone."""
        rows = [
            (key, self._places[key].row() if key in self._places else None)
            for key in sorted(self._touched)
        ]
        self._touched.clear()
        return rows


def is_row(key: bytes) -> bool:
    """Whether the row under this key belongs to Summaries."""
    return key.startswith(_KEY)


def _key(tenant: str, receiver: str) -> bytes:
    return _KEY + record_id(tenant, receiver).encode()
