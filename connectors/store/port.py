"""The port of every store, in three parts, one for each of its users.

One contract suite (tests/store) holds both implementations to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from schemas.documents import Document, Kind, Refused
from schemas.records.anomalies import Severity

VERSION: Final = 1
"""Of the layout of documents in a store. A store of another version is not touched."""

MAX_POINTS: Final = 10_000
"""Points of one answer: more than a day of buckets of 10 s."""

MAX_PAGE: Final = 1_000
"""Documents of one page."""

MAX_SUBJECTS: Final = 1_000
"""Tenants, and subjects of a tenant, that are listed to choose from."""


class BadSearch(ValueError):
    """A search that is wrong itself, whatever the store; the text says how to correct it."""


@dataclass(frozen=True, slots=True)
class Search:
    """Conditions that all must hold, and the page that is wanted, newest documents first."""

    kind: Kind
    tenant: str | None
    """Whose documents; None for all tenants', which is for operators only."""
    since: int | None = None
    """Documents of this time or later, µs; None for all."""
    until: int | None = None
    """Documents before this time, µs; None for all."""
    application: str | None = None
    severities: frozenset[Severity] = frozenset()
    """Any of these; empty for all."""
    equal: Mapping[str, str] = field(default_factory=dict)
    """Further fields of the kind's schema, texts or enums, each with the one value that it must
    have: {"state": "open"}.
    """
    limit: int = 50
    """Documents of a page, 1 to MAX_PAGE."""
    cursor: str | None = None
    """Of the page before, for the next one."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some documents, and how to go on. Documents that are added meanwhile neither repeat nor hide
    others.
    """

    documents: list[Document]
    cursor: str | None
    """None when these were the last."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An application and model that have series."""

    application: str
    model: str
    newest: int
    """When its newest bucket began, µs."""


@dataclass(frozen=True, slots=True)
class Point:
    """One bucket of a series, in the metric's unit; None where it is not known. Buckets of several
    lanes are added up (`connectors.store.adding`).
    """

    window_start: int
    window_end: int
    observed: float | None
    expected: float | None
    low: float | None
    high: float | None
    lanes: int = 1
    """How many lanes counted events of the bucket. More than one means that its application is not
    sent to one partition, and that each lane expected what it had seen alone.
    """


class DocumentWriter(Protocol):
    """Writes documents: what the sink needs."""

    async def write(self, documents: Sequence[Document]) -> list[Refused]:
        """Returns when all are durable except the refused ones, which never will be. A document
        that exists already stays as it is, unless the new one has a higher revision. May be called
        again with the same documents, whatever the outcome of the call before.

        Raises StoreUnavailable after the deadline, StoreRefused when a person has to act.
        """
        ...


class DocumentQueries(Protocol):
    """Answers questions: what page, API and command line need. Every question names the tenant, or
    says that all are meant.

    All methods raise StoreUnavailable when there is no answer within the deadline, and StoreRefused
    when a person has to act first.
    """

    async def search(self, search: Search) -> Page:
        """A page of the documents that match, newest first. What was written within the last second
        may be missing. Raises BadSearch.
        """
        ...

    async def get(self, kind: Kind, tenant: str, id: str) -> Document | None:
        """The document; None when the tenant has none of this id."""
        ...

    async def series(
        self, tenant: str, application: str, model: str, metric: str, since: int, until: int
    ) -> list[Point]:
        """Buckets that begin in [since, until), µs, in order, each once, however many lanes counted
        it; of more than MAX_POINTS the newest. Raises BadSearch for an unknown metric.
        """
        ...

    async def tenants(self) -> list[str]:
        """Tenants that have anomalies, incidents or aggregates, by name; the first MAX_SUBJECTS."""
        ...

    async def subjects(self, tenant: str) -> list[Subject]:
        """A tenant's subjects, by name; the first MAX_SUBJECTS."""
        ...


class DocumentRetention(Protocol):
    """Keeps a store from growing: what runs beside the sink. Raises as DocumentQueries does."""

    async def purge(self, kind: Kind, before: int) -> int:
        """Delete documents of a time before this, µs, of all tenants; return how many. A document
        that shares a month (aggregates and events: a day) with later ones may stay until that ends.
        """
        ...

    async def tend(self) -> int:
        """Clean up what writes left behind; the process that writes calls it every few seconds.
        Returns the bytes that are stored twice for now, 0 for a store that stores nothing twice.
        """
        ...


class Store(DocumentWriter, DocumentQueries, DocumentRetention, Protocol):
    """A store as its owner opens and closes it. Everything else takes the part that it uses."""

    async def start(self) -> None:
        """Connect, and make templates or tables if they are missing. Raises StoreRefused when the
        store holds another version.
        """
        ...

    async def close(self) -> None:
        """Disconnect. Closing twice is fine."""
        ...
