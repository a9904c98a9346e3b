"""Documents in Elasticsearch 9, through the official client."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final, TypeVar

import elastic_transport
from elasticsearch import ApiError, AsyncElasticsearch, UnsupportedProductError

from connectors.store.adding import Part, part_fields, points
from connectors.store.asking import check_metric, checked, cursor
from connectors.store.elasticsearch.answers import meaning
from connectors.store.elasticsearch.bulk import bulk, requests_of
from connectors.store.elasticsearch.checking import (
    check_future_index,
    check_indices,
    prepare,
)
from connectors.store.elasticsearch.coding import document_of
from connectors.store.elasticsearch.node import Node
from connectors.store.elasticsearch.templates import (
    KEY,
    OWN,
    TIME,
    index_ends,
    index_of,
    indices,
)
from connectors.store.port import MAX_POINTS, MAX_SUBJECTS, Page, Point, Search, Subject
from connectors.store.retrying import retried
from connectors.store.settings import StoreSettings
from schemas.documents import NO_LANE, SPECS, Document, Kind, Refused, StoreRefused, document_key

T = TypeVar("T")

_DAY_US: Final = 86_400_000_000
_AT_A_TIME: Final = 3
"""Two are worked on by two cores, and the next is there when one is done."""


class ElasticStore:
    """See `connectors.store.port.Store`. An index for each kind and month, aggregates and events
    each day; one template for each kind.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._prefix = settings.index_prefix
        self._client: AsyncElasticsearch | None = None
        self._sound: set[str] = set()
        """Indices that are, or will be made, as documents need them."""
        self._looked = False

    async def start(self) -> None:
        """Connects, makes missing templates, and looks whether what the cluster has lets documents
        be found.
        """
        now = time.time_ns() // 1000
        for kind in Kind:
            replicas = self._settings.replicas
            await self._do(partial(prepare, prefix=self._prefix, kind=kind, replicas=replicas))
            of_kind, newest = indices(self._prefix, kind), index_of(self._prefix, kind, now)
            self._sound |= await self._do(partial(check_indices, kind=kind, index=of_kind))
            await self._do(partial(check_future_index, kind=kind, index=newest))
        self._looked = True

    async def write(self, documents: Sequence[Document]) -> list[Refused]:
        """Bulk requests of at most BULK_BYTES, a few at a time; each item's own answer counts."""
        await self._look_before(documents)
        refused: list[Refused] = []
        requests = requests_of(self._prefix, documents)

        async def send() -> None:
            for lines in requests:
                await self._do(partial(bulk, lines=lines, refused=refused))

        # Elasticsearch works on each request in one thread. In which order they end does not
        # matter: the highest revision wins.
        for fault in await asyncio.gather(
            *[send() for _ in range(_AT_A_TIME)], return_exceptions=True
        ):
            if fault is not None:
                raise fault
        return sorted(refused, key=lambda each: each.index)

    async def search(self, search: Search) -> Page:
        """Newest first, by search_after."""
        after = checked(search)
        sort = [{TIME: "desc"}, {KEY: "desc"}]
        answer = await self._ask(
            lambda client: client.search(
                index=indices(self._prefix, search.kind),
                query={"bool": {"filter": _filters(search)}},
                sort=sort,
                size=search.limit + 1,
                search_after=None if after is None else list(after),
                track_total_hits=False,
            )
        )
        found = [document_of(search.kind, hit["_source"]) for hit in answer["hits"]["hits"]]
        documents = found[: search.limit]
        more = len(found) > search.limit
        return Page(documents, cursor(documents[-1].time, documents[-1].key) if more else None)

    async def get(self, kind: Kind, tenant: str, id: str) -> Document | None:
        """By key, in whichever index it is."""
        query = {
            "bool": {
                "filter": [
                    {"ids": {"values": [document_key(tenant, id)]}},
                    {"term": {"tenant": tenant}},
                ]
            }
        }
        answer = await self._ask(
            lambda client: client.search(index=indices(self._prefix, kind), query=query, size=1)
        )
        hits = answer["hits"]["hits"]
        return document_of(kind, hits[0]["_source"]) if hits else None

    async def series(
        self, tenant: str, application: str, model: str, metric: str, since: int, until: int
    ) -> list[Point]:
        """From aggregates."""
        check_metric(metric)
        names = part_fields(metric)
        terms = (
            {"term": {name: value}}
            for name, value in (("tenant", tenant), ("application", application), ("model", model))
        )
        query = {"bool": {"filter": [*terms, {"range": {TIME: {"gte": since, "lt": until}}}]}}
        parts: list[Part] = []
        starts: set[int] = set()
        after: list[Any] | None = None
        while True:
            answer = await self._ask(
                partial(
                    _parts,
                    index=indices(self._prefix, Kind.AGGREGATE),
                    query=query,
                    names=names,
                    after=after,
                )
            )
            hits = answer["hits"]["hits"]
            parts += [_part(document_of(Kind.AGGREGATE, hit["_source"]), names) for hit in hits]
            starts.update(part.window_start for part in parts[-len(hits) :])
            # One bucket more than is wanted: the last of a page may go on in the next.
            if len(hits) < MAX_POINTS or len(starts) > MAX_POINTS:
                return list(islice(points(metric, parts), MAX_POINTS))[::-1]
            after = hits[-1]["sort"]

    async def tenants(self) -> list[str]:
        """By terms of what is indexed."""
        kinds = [kind for kind, spec in SPECS.items() if spec.names_tenants]
        names = {"terms": {"field": "tenant", "size": MAX_SUBJECTS, "order": {"_key": "asc"}}}
        answer = await self._ask(
            lambda client: client.search(
                index=",".join(indices(self._prefix, kind) for kind in kinds),
                size=0,
                aggs={"tenants": names},
            )
        )
        return [
            bucket["key"]
            for bucket in answer.get("aggregations", {}).get("tenants", {}).get("buckets", ())
        ]

    async def subjects(self, tenant: str) -> list[Subject]:
        """By a composite aggregation, which is in the order of names."""
        parts = [{name: {"terms": {"field": name}}} for name in ("application", "model")]
        named = {
            "composite": {"size": MAX_SUBJECTS, "sources": parts},
            "aggs": {"newest": {"max": {"field": TIME}}},
        }
        answer = await self._ask(
            lambda client: client.search(
                index=indices(self._prefix, Kind.AGGREGATE),
                query={"term": {"tenant": tenant}},
                size=0,
                aggs={"subjects": named},
            )
        )
        buckets = answer.get("aggregations", {}).get("subjects", {}).get("buckets", ())
        return [
            Subject(one["key"]["application"], one["key"]["model"], int(one["newest"]["value"]))
            for one in buckets
        ]

    async def purge(self, kind: Kind, before: int) -> int:
        """Whole indices, which costs nothing; none that may hold a later document."""
        pattern = indices(self._prefix, kind)
        answer = await self._do(
            lambda client: client.indices.stats(
                index=pattern, metric="docs", expand_wildcards="open"
            )
        )
        forgotten = 0
        for index, stats in answer["indices"].items():
            ends = index_ends(self._prefix, kind, index)
            if ends is not None and ends <= before:
                await self._do(partial(_delete, index=index))
                forgotten += stats["primaries"]["docs"]["count"]
        return forgotten

    async def tend(self) -> int:
        """Elasticsearch does it itself."""
        return 0

    async def close(self) -> None:
        """Disconnects."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _ask(self, work: Callable[[AsyncElasticsearch], Awaitable[T]]) -> T:
        """A question, after what `start` looks at was well once: of indices that are not as they
        must be, the answer is that there is nothing.
        """
        if not self._looked:
            await self.start()
        return await self._do(work)

    async def _do(self, work: Callable[[AsyncElasticsearch], Awaitable[T]]) -> T:
        client = self._client = self._client or _client(self._settings)

        async def once() -> T:
            try:
                return await work(client)
            except (ApiError, elastic_transport.TransportError, UnsupportedProductError) as fault:
                raise meaning(self._settings, fault) from fault

        return await retried(once, self._settings.deadline_s)

    async def _look_before(self, documents: Sequence[Document]) -> None:
        """Before the first document goes to an index: it may have been made, or a template for it,
        since the start.
        """
        days = {(each.kind, each.time // _DAY_US): each.time for each in documents}
        wanted = {index_of(self._prefix, kind, moment): kind for (kind, _), moment in days.items()}
        for index in sorted(wanted.keys() - self._sound):
            kind = wanted[index]
            self._sound |= await self._do(partial(check_indices, kind=kind, index=index))
            if index not in self._sound:
                await self._do(partial(check_future_index, kind=kind, index=index))
                self._sound.add(index)


def _client(settings: StoreSettings) -> AsyncElasticsearch:
    options: dict[str, Any] = {}
    if settings.api_key:
        options["api_key"] = settings.api_key.reveal()
    elif settings.username is not None:
        options["basic_auth"] = (settings.username, settings.password.reveal())
    if any(url.startswith("https:") for url in settings.urls):
        try:
            options["ssl_context"] = ssl.create_default_context(cafile=settings.tls_ca_file)
        except (OSError, ssl.SSLError) as fault:
            raise StoreRefused(
                f"store.tls_ca_file {settings.tls_ca_file} cannot be read: {fault}"
            ) from fault
    return AsyncElasticsearch(
        list(settings.urls),
        node_class=Node,
        request_timeout=settings.timeout_s,
        # The one retry loop is ours: it knows which items are done.
        max_retries=0,
        retry_on_timeout=False,
        **options,
    )


async def _delete(client: AsyncElasticsearch, index: str) -> None:
    await client.indices.delete(index=index, ignore_unavailable=True)


def _filters(search: Search) -> list[dict[str, Any]]:
    filters: list[dict[str, Any]] = (
        [] if search.tenant is None else [{"term": {"tenant": search.tenant}}]
    )
    span = {
        name: time
        for name, time in (("gte", search.since), ("lt", search.until))
        if time is not None
    }
    if span:
        filters.append({"range": {TIME: span}})
    if search.application is not None:
        filters.append({"term": {"application": search.application}})
    if search.severities:
        filters.append({"terms": {"severity": sorted(search.severities)}})
    filters += [{"term": {name: value}} for name, value in search.equal.items()]
    return filters


async def _parts(
    client: AsyncElasticsearch,
    index: str,
    query: Mapping[str, Any],
    names: Sequence[str],
    after: list[Any] | None,
) -> Any:
    """A page of buckets, the newest first, after the place that the page before ended at."""
    return await client.search(
        index=index,
        query=query,
        sort=[{TIME: "desc"}, {KEY: "desc"}],
        size=MAX_POINTS,
        source_includes=[*OWN, "tenant", *names],
        track_total_hits=False,
        search_after=after,
    )


def _part(given: Document, names: Sequence[str]) -> Part:
    ends, lane, *numbers = (given.body.get(name) for name in names)
    assert isinstance(ends, int)
    events, observed, expected, low, high = [
        value if isinstance(value, int | float) else None for value in numbers
    ]
    # Buckets of before lanes were written down have none.
    return Part(
        given.time,
        ends,
        lane if isinstance(lane, int) else NO_LANE,
        events,
        observed,
        expected,
        low,
        high,
    )
