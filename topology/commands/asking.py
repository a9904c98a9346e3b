"""Documents for the command line: from the store itself, or from an API that reads it.

The store is read directly unless an API is given, so that the commands work while the API is down.
Both return the fields of records, with times as RFC 3339.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from connectors.store.port import MAX_PAGE, Page, Search
from connectors.store.settings import StoreKind, StoreSettings
from schemas.documents import SPECS, Kind, StoreRefused, StoreUnavailable
from schemas.errors import UserError
from schemas.records.anomalies import Severity
from schemas.secrets import Secret

if TYPE_CHECKING:
    from urllib.error import HTTPError

Item: TypeAlias = dict[str, Any]

TIMEOUT_S: Final = 30.0
"""Seconds that the API may take to answer."""

TIMES: Final = frozenset(
    {
        "at",
        "asked_at",
        "opened_at",
        "updated_at",
        "resolved_at",
        "event_time",
        "window_start",
        "window_end",
        "no_data_since",
    }
    | {"new_level_since", "started_at"}
)
"""Fields with a moment: µs since 1970 in the records."""


@dataclass(frozen=True, slots=True)
class Question:
    """A search. All given conditions must hold; the newest documents come first."""

    kind: Kind
    tenant: str | None = None
    """None for all tenants that may be seen."""
    since: int | None = None
    """µs; None for all."""
    application: str | None = None
    severities: tuple[Severity, ...] = ()
    """Any of these; empty for all."""
    equal: Mapping[str, str] = field(default_factory=dict)
    """Further fields, each with its value."""
    limit: int = 50

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_PAGE:
            raise UserError(f"--limit is {self.limit}; it must be 1 to {MAX_PAGE}")


class Source(Protocol):
    """A source of documents."""

    def ask(self, question: Question) -> list[Item]:
        """The newest documents. Raises UserError."""


@dataclass(frozen=True, slots=True)
class FromStore:
    """The store that the settings name, read as the API reads it."""

    settings: StoreSettings

    def ask(self, question: Question) -> list[Item]:
        """The newest documents. Raises UserError."""
        if self.settings.kind is StoreKind.NONE:
            raise UserError(
                "there is no store to read: set store.kind to embedded or elasticsearch, or name an"
                " API with --api"
            )
        if self.settings.kind is StoreKind.EMBEDDED and not Path(self.settings.path).is_file():
            raise UserError(
                f"there is no store at {self.settings.path} yet; the stage `sink` makes it"
                " (store.path)"
            )
        try:
            return asyncio.run(self._asked(question))
        except (StoreRefused, StoreUnavailable) as fault:
            raise UserError(str(fault)) from fault

    async def _asked(self, question: Question) -> list[Item]:
        from connectors.store.opening import store_of

        store = store_of(self.settings)
        assert store is not None
        try:
            tenants = await store.tenants() if question.tenant is None else [question.tenant]
            pages: list[Page] = [
                await store.search(_search(question, tenant)) for tenant in tenants
            ]
        finally:
            await store.close()
        return _newest(
            question, (dict(document.body) for page in pages for document in page.documents)
        )


def _search(question: Question, tenant: str) -> Search:
    return Search(
        question.kind,
        tenant,
        question.since,
        None,
        question.application,
        frozenset(question.severities),
        question.equal,
        question.limit,
    )


@dataclass(frozen=True, slots=True)
class FromApi:
    """An API at an address (`https://sentinel.example.org`), with a token that it knows."""

    url: str
    token: Secret
    ca_file: str | None = None

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise UserError(f"--api must begin with https:// or http://, unlike {self.url}")
        if not all("!" <= character <= "~" for character in self.token.reveal()):
            # Checked here: the error of the HTTP client would show the token.
            raise UserError(
                "the token for --api must be one word of ASCII, with neither spaces nor a second"
                " line"
            )

    def ask(self, question: Question) -> list[Item]:
        """The newest documents. Raises UserError."""
        tenants = (
            [question.tenant]
            if question.tenant is not None
            else [str(one.get("tenant")) for one in self._items("tenants", [])]
        )
        items: list[Item] = []
        for tenant in tenants:
            items += self._items(SPECS[question.kind].topic, _parameters(question, tenant))
        return _newest(question, items)

    def _items(self, path: str, parameters: Sequence[tuple[str, str]]) -> list[Item]:
        # Imported here: reading the store needs none of them, and imports are most of a command's
        # time.
        import http.client
        import ssl
        import urllib.error
        import urllib.parse
        import urllib.request

        query = urllib.parse.urlencode([*parameters, ("times", "us")])
        url = f"{self.url.rstrip('/')}/api/v1/{path}?{query}"
        headers = {"Authorization": f"Bearer {self.token.reveal()}"} if self.token else {}
        context = (
            ssl.create_default_context(cafile=self.ca_file) if url.startswith("https:") else None
        )
        try:
            request = urllib.request.Request(url, headers=headers)
            with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as answer:
                items: list[Item] = json.load(answer)["items"]
            if not all(isinstance(item, dict) for item in items):
                raise TypeError("its items are not records")
        except urllib.error.HTTPError as refused:
            raise UserError(
                f"the API at {self.url} answers {refused.code}: {_detail(refused)}"
            ) from refused
        except (
            OSError,
            ValueError,
            LookupError,
            TypeError,
            RecursionError,
            http.client.HTTPException,
        ) as fault:
            why = " ".join(str(getattr(fault, "reason", fault)).split())
            raise UserError(f"no Sentinel API answers at {self.url}: {why}") from fault
        return items


def _parameters(question: Question, tenant: str) -> list[tuple[str, str]]:
    given = {
        "tenant": tenant,
        "since": None if question.since is None else str(question.since),
        "application": question.application,
        "limit": str(question.limit),
        **question.equal,
    }
    severities = [("severity", severity.value) for severity in question.severities]
    return [(name, value) for name, value in given.items() if value is not None] + severities


def _detail(refused: "HTTPError") -> str:
    import http.client

    try:
        problem = json.load(refused)
        return str(problem.get("detail") or problem.get("title"))
    except (OSError, ValueError, AttributeError, RecursionError, http.client.HTTPException):
        return str(refused.reason)


def _newest(question: Question, items: Iterable[Item]) -> list[Item]:
    shown = [with_iso_times(item) for item in items]
    shown.sort(key=lambda item: str(item.get(SPECS[question.kind].time)), reverse=True)
    return shown[: question.limit]


def with_iso_times(item: Mapping[str, Any]) -> Item:
    """The fields of a record, with its times as people and programs elsewhere write them.

    >>> with_iso_times({"id": "a", "at": 1_700_000_000_123_456})
    {'id': 'a', 'at': '2023-11-14T22:13:20.123456Z'}
    """
    return {
        name: iso(value) if name in TIMES and isinstance(value, int) else value
        for name, value in item.items()
    }


def iso(at: int) -> str:
    """A moment in µs since 1970 as RFC 3339; the number itself if it is out of range, since records
    on the topics may have any value.

    >>> iso(10**18)
    '1000000000000000000'
    """
    try:
        whole = datetime.fromtimestamp(at // 1_000_000, UTC)
    except (ValueError, OverflowError, OSError):
        return str(at)
    return whole.strftime("%Y-%m-%dT%H:%M:%S") + f".{at % 1_000_000:06d}Z"
