"""The questions of `/api/v1`, each with what it takes and what it answers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson
from aiohttp import web

from connectors.store.port import Page, Search, Store
from schemas import records
from schemas.documents import Document, Kind
from topology.api import queries
from topology.api.problems import Problem

STORE: Final = web.AppKey("store", Store)

Answer = Callable[[web.Request], Awaitable[Mapping[str, object]]]


@dataclass(frozen=True, slots=True)
class Route:
    """One question. What it answers is a document (`record`), or a page of them."""

    path: str
    summary: str
    query: type[queries.Query]
    record: type[Any]
    is_page: bool
    answer: Answer


async def incidents(request: web.Request) -> Mapping[str, object]:
    """A page of incidents, each in its newest state."""
    query = queries.asked(request, queries.Incidents)
    equal = {"state": query.state.value} if query.state else {}
    return _page(await request.app[STORE].search(_search(Kind.INCIDENT, query, query.severity, equal)))


async def incident(request: web.Request) -> Mapping[str, object]:
    """One incident."""
    return (await _found(request, Kind.INCIDENT)).body


async def anomalies_of_incident(request: web.Request) -> Mapping[str, object]:
    """Anomalies of an incident that are in the store, in the order in which they joined it; an incident names its first 100."""
    found = await _found(request, Kind.INCIDENT)
    ids = found.body["anomaly_ids"]
    assert isinstance(ids, list)
    store = request.app[STORE]
    all_of_them = await asyncio.gather(*[store.get(Kind.ANOMALY, found.tenant, id) for id in ids])
    return _page(Page([one for one in all_of_them if one is not None], None))


async def anomalies(request: web.Request) -> Mapping[str, object]:
    """A page of anomalies."""
    query = queries.asked(request, queries.Anomalies)
    wanted = {"detector": query.detector, "metric": query.metric, "model": query.model, "user": query.user}
    equal = {name: value for name, value in wanted.items() if value is not None}
    return _page(await request.app[STORE].search(_search(Kind.ANOMALY, query, query.severity, equal)))


async def anomaly(request: web.Request) -> Mapping[str, object]:
    """One anomaly with its evidence."""
    return (await _found(request, Kind.ANOMALY)).body


async def notifications(request: web.Request) -> Mapping[str, object]:
    """A page of what was decided to be sent, and of how delivery went."""
    query = queries.asked(request, queries.Notifications)
    wanted = {
        "incident_id": query.incident_id,
        "receiver": query.receiver,
        "outcome": query.outcome.value if query.outcome else None,
    }
    search = Search(
        Kind.NOTIFICATION,
        query.tenant,
        query.since,
        query.until,
        equal={name: value for name, value in wanted.items() if value is not None},
        limit=query.limit,
        cursor=query.cursor,
    )
    return _page(await request.app[STORE].search(search))


async def series(request: web.Request) -> Mapping[str, object]:
    """Points of a series with the band that was expected."""
    query = queries.asked(request, queries.Series)
    points = await request.app[STORE].series(
        query.tenant, query.application, query.model, query.metric, query.since, query.until
    )
    return {"items": [asdict(point) for point in points], "next": None}


def _search(
    kind: Kind,
    query: queries.Listing,
    severities: list[records.Severity],
    equal: Mapping[str, str],
) -> Search:
    return Search(
        kind,
        query.tenant,
        query.since,
        query.until,
        query.application,
        frozenset(severities),
        equal,
        query.limit,
        query.cursor,
    )


async def _found(request: web.Request, kind: Kind) -> Document:
    query = queries.asked(request, queries.Query)
    found = await request.app[STORE].get(kind, query.tenant, request.match_info["id"])
    if found is None:
        raise Problem(404, f"tenant {query.tenant} has no {kind} {request.match_info['id'][:100]}")
    return found


def _page(page: Page) -> Mapping[str, object]:
    return {"items": [document.body for document in page.documents], "next": page.cursor}


def handler(answer: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler that sends the answer as JSON."""

    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(await answer(request)), content_type="application/json")

    return handle
