"""Records as documents of a store: of several kinds, each with an id, a time and a tenant.

Both the sink, which writes documents, and the stores, which keep them, use this.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from types import MappingProxyType
from typing import Final

from schemas.avro import coding, packaged
from schemas.avro.fitting import fits
from schemas.avro.schema import Record
from schemas.bounds import MAX_EVENT_TIME, MAX_ID_BYTES, MIN_EVENT_TIME
from schemas.errors import BadRecord, Reason
from schemas.ids import record_id
from schemas.records.plausible import check_number, check_text

NO_LANE: Final = -1
"""Lane of an aggregate that was written before aggregates had one."""


class Kind(StrEnum):
    """Kinds of document."""

    ANOMALY = "anomaly"
    INCIDENT = "incident"
    NOTIFICATION = "notification"
    AGGREGATE = "aggregate"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Document:
    """One document.

    Ids are unique among a tenant's documents of a kind. An incident has one document, of its newest
    state; other documents never change.
    """

    kind: Kind
    id: str
    """Incidents, anomalies and events: the record's own. A notification's is made of message,
    outcome and time, an aggregate's of series, bucket and lane.
    """
    tenant: str
    time: int
    """Time for searches and retention, µs: the event time of anomalies and events, `opened_at` of
    incidents (so that it never changes), `at` of notifications, `window_start` of aggregates.
    """
    body: Mapping[str, object]
    """The record's fields as Avro has them: times in µs, enums as texts, records as mappings.
    Numbers that are not finite are None.
    """
    revision: int = 0
    """The highest wins; 0 for what never changes."""

    @property
    def key(self) -> str:
        """Its key in a store, made of tenant and id, so that no tenant can overwrite another's
        document.
        """
        return document_key(self.tenant, self.id)


@dataclass(frozen=True, slots=True)
class Refused:
    """A document that the store will never accept."""

    index: int
    """Position among the given documents."""
    reason: str
    """Why, in one line."""


class StoreUnavailable(Exception):
    """The store did not write or answer within the deadline, but may later. One line of text."""


class TooSlow(StoreUnavailable):
    """A query exceeded its time limit. It would do so again, so it is not repeated."""


class StoreRefused(Exception):
    """The store must not be used as it is: wrong credentials, another version. The text is one line
    that says what to do.
    """


class Rotation(Enum):
    """Time that one index of a store covers, if it keeps documents in several."""

    MONTH = auto()
    DAY = auto()
    """For kinds of many documents."""


@dataclass(frozen=True, slots=True)
class DocumentSpec:
    """The properties of a kind. Topics, tables, templates and searches are derived from it.

    To add a kind: a member of `Kind`, its spec in `SPECS`, and `Retention.<kind>_days`.
    """

    record: str
    """Name of its Avro record."""
    topic: str
    """Name of the topic without the prefix; also of its listing in the API, where it has one."""
    time: str
    """Field with the time for searches and retention."""
    id_parts: tuple[str, ...] = ("id",)
    """Fields that form its id: one field is the id itself, several are hashed."""
    revision: str | None = None
    """Field whose highest value wins; None for documents that never change."""
    rotation: Rotation = Rotation.MONTH
    texts: frozenset[str] = frozenset()
    """Fields with sentences: searched by word, not by value."""
    unsearched: frozenset[str] = frozenset()
    """Fields that are stored and never searched."""
    indexed: tuple[str, ...] = ()
    """Further fields with an index, besides tenant, time, application and model."""
    names_tenants: bool = False
    """Whether its tenants are listed. False for kinds whose tenants another kind lists, and for
    events, of which there are too many.
    """
    is_live: bool = False
    """Whether open pages are notified of new ones."""
    has_page: bool = False
    """Whether the page has an address for each, to which stores may link."""


SPECS: Final = MappingProxyType(
    {
        Kind.ANOMALY: DocumentSpec(
            record="Anomaly",
            topic="anomalies",
            time="event_time",
            texts=frozenset({"reason"}),
            names_tenants=True,
            is_live=True,
        ),
        Kind.INCIDENT: DocumentSpec(
            record="Incident",
            topic="incidents",
            time="opened_at",
            revision="revision",
            texts=frozenset({"title"}),
            names_tenants=True,
            is_live=True,
            has_page=True,
        ),
        Kind.NOTIFICATION: DocumentSpec(
            record="Notification",
            topic="notifications",
            time="at",
            id_parts=("id", "outcome", "attempt", "at"),
            texts=frozenset({"reason", "detail"}),
            unsearched=frozenset({"body"}),
            indexed=("incident_id",),
            is_live=True,
        ),
        Kind.AGGREGATE: DocumentSpec(
            record="Aggregate",
            topic="aggregates",
            time="window_start",
            id_parts=("application", "model", "window_start", "window_end", "lane"),
            rotation=Rotation.DAY,
            names_tenants=True,
        ),
        Kind.EVENT: DocumentSpec(
            record="TelemetryEvent",
            topic="telemetry",
            time="event_time",
            id_parts=("event_id",),
            rotation=Rotation.DAY,
            texts=frozenset({"prompt_text", "response_text"}),
        ),
    }
)
"""The spec of every kind, in display order."""


def document_key(tenant: str, id: str) -> str:
    """Key of a tenant's document in a store: 32 hexadecimal digits."""
    return record_id(tenant, id)


def schema_of(kind: Kind) -> Record:
    """The newest schema of a kind's record."""
    return packaged.schema(packaged.newest(SPECS[kind].record))


def document(kind: Kind, value: bytes) -> Document:
    """The document of one framed record.

    Raises:
        BadRecord: it does not decode, its time is not within the years 2000 to 2099, its tenant or
            id is empty or too long, or its revision is negative.
    """
    spec = SPECS[kind]
    body = coding.read(spec.record, value)
    time = body[spec.time]
    assert isinstance(time, int)
    check_number(spec.time, time, MIN_EVENT_TIME, MAX_EVENT_TIME)
    # Records from before there was a lane in them keep the id under which they were stored.
    parts = [_part(body, name) for name in spec.id_parts if name != "lane" or body[name] != NO_LANE]
    own_id = parts[0] if len(parts) == 1 else record_id(*parts)
    revision = body[spec.revision] if spec.revision else 0
    assert isinstance(own_id, str)
    assert isinstance(revision, int)
    if spec.revision:
        check_number(spec.revision, revision, 0, 2**63 - 1)
    return Document(kind, own_id, str(_part(body, "tenant")), time, _finite(body), revision)


def _part(body: Mapping[str, object], name: str) -> str | int:
    part = body[name]
    assert isinstance(part, str | int)
    if isinstance(part, str):
        if not part:
            raise BadRecord(Reason.BLANK, name)
        check_text(name, part, MAX_ID_BYTES)
    return part


def _finite(body: dict[str, object]) -> dict[str, object]:
    """The body, changed in place: stores and JSON have no infinities, and NaN means unknown."""
    for name, value in body.items():
        if type(value) is float:
            # Not 0 for infinities and NaN. Inline, since it runs for every stored number.
            if value - value != 0.0:
                body[name] = None
        elif type(value) is list and value and type(value[0]) is dict:
            for item in value:
                _finite(item)
    return body


def misfit(given: Document) -> str | None:
    """What in a body contradicts its schema, in a few words; None if nothing does. For stores that
    do not check it themselves.
    """
    fields = {field.name: field.type for field in schema_of(given.kind).fields}
    for name, value in given.body.items():
        if name not in fields:
            return f"field {name} is not in the schema"
        if not (value is None or fits(fields[name], value)):
            return f"field {name} is a {type(value).__name__}, which its type does not take"
    return None
