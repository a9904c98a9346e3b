"""What a store can do, whichever it is. One contract suite (tests/store) holds both implementations
to this.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from schemas.documents import Document, Kind, Refused
from schemas.records.anomalies import Severity

VERSION: Final = 1
"""Of how documents lie in a store. A store that holds another one is not touched."""

MAX_POINTS: Final = 10_000
"""Most points of a series at once: a day of buckets of 10 s, and more."""

MAX_PAGE: Final = 1_000
"""Most documents of a page."""

MAX_SUBJECTS: Final = 1_000
"""Most subjects of a tenant, and most tenants, that are listed to choose from."""

METRICS: Final = ("latency", "time_to_first_token", "tokens", "cost", "error_rate", "request_rate")
"""What a series can be of."""


class BadSearch(ValueError):
    """A search that no store answers; the text says what is wrong with it. What a person asked is
    at fault, not the store.
    """


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for. Everything that is given must hold; what comes is the newest first."""

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
    """What has series."""

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


class Store(Protocol):
    """A place for documents. Every question names the tenant, or says that all are meant.

    All methods raise StoreUnavailable when there is no answer within the deadline, and StoreRefused
    when there will be none as things are.
    """

    async def start(self) -> None:
        """Connects, and makes templates or tables if they are missing. Raises StoreRefused when it
        holds another version.
        """
        ...

    async def write(self, documents: Sequence[Document]) -> list[Refused]:
        """Returns when all are durable but those that it answers with, which never will be. A
        document that is there already is left as it is, but for an incident of a lower revision.
        May be called again with the same documents, whatever became of the call before.
        """
        ...

    async def search(self, search: Search) -> Page:
        """A page of what is looked for, newest first. What was written may be missing for a second.
        Raises BadSearch.
        """
        ...

    async def get(self, kind: Kind, tenant: str, id: str) -> Document | None:
        """The document; None when the tenant has none of this id."""
        ...

    async def series(
        self, tenant: str, application: str, model: str, metric: str, since: int, until: int
    ) -> list[Point]:
        """Buckets that begin in [since, until), µs, in order, each once, whatever number of lanes
        counted it; of more than MAX_POINTS the newest. Raises BadSearch for a metric that is none
        of METRICS.
        """
        ...

    async def tenants(self) -> list[str]:
        """Who has anomalies, incidents or aggregates, by name; the first MAX_SUBJECTS."""
        ...

    async def subjects(self, tenant: str) -> list[Subject]:
        """A tenant's subjects, by name; the first MAX_SUBJECTS."""
        ...

    async def purge(self, kind: Kind, before: int) -> int:
        """Forgets documents of a time before this, µs, of all tenants; what shares a month
        (aggregates and events: a day) with later ones may stay until that is over. Returns how many
        were forgotten.
        """
        ...

    async def tend(self) -> int:
        """Looks after what writes left behind; to be called every few seconds by whoever writes.
        Bytes that a store keeps twice for now, 0 for one that does not.
        """
        ...

    async def close(self) -> None:
        """Disconnects. Closing twice is fine."""
        ...
