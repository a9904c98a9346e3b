"""Answers from the store: incidents, anomalies, notifications, subjects and series."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from aiohttp import web

from connectors.store.port import DocumentQueries, Page, Search
from schemas.documents import Document, Kind
from schemas.records.anomalies import Severity
from topology.api import queries
from topology.api.access import ASKER
from topology.api.problems import Problem
from topology.api.shapes import Tenant

STORE: Final = web.AppKey[DocumentQueries]("store")


async def incidents(request: web.Request, query: queries.Incidents) -> Mapping[str, object]:
    """A page of incidents, each in its newest state."""
    equal = {"state": query.state.value} if query.state else {}
    return _page(
        await request.app[STORE].search(_search(Kind.INCIDENT, query, query.severity, equal))
    )


async def incident(request: web.Request, query: queries.OfTenant) -> Mapping[str, object]:
    """One incident."""
    return (await found(request, Kind.INCIDENT, query.tenant)).body


async def anomalies_of_incident(
    request: web.Request, query: queries.OfTenant
) -> Mapping[str, object]:
    """Anomalies of an incident that are in the store, in the order in which they joined it; an
    incident names its first 100.
    """
    one = await found(request, Kind.INCIDENT, query.tenant)
    ids = one.body["anomaly_ids"]
    assert isinstance(ids, list)
    store = request.app[STORE]
    all_of_them = await asyncio.gather(*[store.get(Kind.ANOMALY, one.tenant, id) for id in ids])
    return _page(Page([each for each in all_of_them if each is not None], None))


async def anomalies(request: web.Request, query: queries.Anomalies) -> Mapping[str, object]:
    """A page of anomalies."""
    wanted = {
        "detector": query.detector,
        "metric": query.metric,
        "model": query.model,
        "user": query.user,
    }
    equal = {name: value for name, value in wanted.items() if value is not None}
    return _page(
        await request.app[STORE].search(_search(Kind.ANOMALY, query, query.severity, equal))
    )


async def anomaly(request: web.Request, query: queries.OfTenant) -> Mapping[str, object]:
    """One anomaly with its evidence."""
    return (await found(request, Kind.ANOMALY, query.tenant)).body


async def notifications(request: web.Request, query: queries.Notifications) -> Mapping[str, object]:
    """A page of decisions about messages, and of their deliveries."""
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


async def tenants(request: web.Request, query: queries.Query) -> Mapping[str, object]:
    """The tenants that this token may see: all that have documents, or the token's own."""
    own = request[ASKER].tenant
    names = [own] if own is not None else await request.app[STORE].tenants()
    return {"items": [Tenant(name) for name in names], "next": None}


async def subjects(request: web.Request, query: queries.OfTenant) -> Mapping[str, object]:
    """Applications with their models that have series, by name; at most 1,000."""
    return {"items": await request.app[STORE].subjects(query.tenant), "next": None}


async def series(request: web.Request, query: queries.Series) -> Mapping[str, object]:
    """Points of a series with the expected band."""
    points = await request.app[STORE].series(
        query.tenant, query.application, query.model, query.metric, query.since, query.until
    )
    return {"items": [asdict(point) for point in points], "next": None}


def _search(
    kind: Kind,
    query: queries.Listing,
    severities: list[Severity],
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


async def found(request: web.Request, kind: Kind, tenant: str) -> Document:
    """The document that the path names. Raises Problem when the tenant has none of that id."""
    document = await request.app[STORE].get(kind, tenant, request.match_info["id"])
    if document is None:
        raise Problem(404, f"tenant {tenant} has no {kind} {request.match_info['id'][:100]}")
    return document


def _page(page: Page) -> Mapping[str, object]:
    return {"items": [document.body for document in page.documents], "next": page.cursor}
