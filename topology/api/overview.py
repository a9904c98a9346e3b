"""How things are, and how far that can be believed: one answer for the page's state and for
scripts.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from aiohttp import web

from connectors.store.port import DocumentQueries, Search
from schemas.documents import Kind
from schemas.records.incidents import IncidentState
from topology.api import judging, queries
from topology.api.access import ASKER
from topology.api.live import Following
from topology.api.pipeline import Workers
from topology.api.shapes import DataState, LastEvent, Overview, Pipeline

KEPT_S: Final = 1.0
"""For so long the same answer is given to everybody: a hundred open pages ask the store no more
often than one.
"""
_COUNTED: Final = 100
"""Open incidents that are counted."""
_TENANTS: Final = 100
"""Tenants whose applications are looked at when all tenants are meant."""
_LISTED: Final = 1000


class Overviews:
    """Answers of the last moment, by tenant."""

    def __init__(
        self, store: DocumentQueries, workers: Workers, following: Following, stale_after_s: float
    ) -> None:
        self._store, self._workers, self._following = store, workers, following
        self._stale_after_s = stale_after_s
        self._newest: dict[str | None, tuple[float, Overview]] = {}

    async def ask(self, tenant: str | None) -> Overview:
        """Of one tenant, or of all."""
        now = time.monotonic()
        self._newest = {name: one for name, one in self._newest.items() if now - one[0] <= KEPT_S}
        if tenant not in self._newest:
            self._newest[tenant] = now, await self._found(tenant)
        return self._newest[tenant][1]

    async def _found(self, tenant: str | None) -> Overview:
        wanted = Search(
            Kind.INCIDENT, tenant, equal={"state": IncidentState.OPEN.value}, limit=_COUNTED
        )
        pipeline, newest, found = await asyncio.gather(
            self._workers.ask(), _newest(self._store, tenant), self._store.search(wanted)
        )
        now = time.time_ns() // 1000
        events = tuple(
            LastEvent(*place, at, _age_s(at, now)) for place, at in sorted(newest.items())
        )
        latest = max(newest.values(), default=None)
        age_s = None if latest is None else _age_s(latest, now)
        state, why = judging.judged(
            (pipeline.state, pipeline.why),
            self._following.silent_s(),
            age_s,
            _waiting(pipeline),
            self._stale_after_s,
        )
        count = len(found.documents)
        clear = state is DataState.LIVE and not count
        return Overview(
            now, state, why, clear, count, latest, age_s, pipeline.stages, events[:_LISTED]
        )


OVERVIEWS: Final = web.AppKey("overviews", Overviews)


async def overview(request: web.Request, query: queries.OfTenants) -> Overview:
    """Whether the data are fresh, every stage works, and no incident is open. An empty list of
    incidents alone does not show that all is clear.
    """
    found = await request.app[OVERVIEWS].ask(query.tenant)
    if request[ASKER].tenant is None or found.state is DataState.LIVE:
        return found
    # Addresses and lanes are the operators'.
    stalled = found.state in (DataState.STALLED, DataState.UNKNOWN)
    why = "Sentinel is not known to work; an operator's token shows why" if stalled else found.why
    return replace(found, why=why, stages=judging.for_tenants(found.stages))


async def _newest(store: DocumentQueries, tenant: str | None) -> dict[tuple[str, str], int]:
    """When each application's newest bucket began, by tenant and application."""
    names: Sequence[str] = [tenant] if tenant is not None else (await store.tenants())[:_TENANTS]
    newest: dict[tuple[str, str], int] = {}
    for name in names:
        for one in await store.subjects(name):
            place = name, one.application
            newest[place] = max(newest.get(place, one.newest), one.newest)
    return newest


def _age_s(at: int, now: int) -> float:
    return max(0, now - at) / 1e6


def _waiting(pipeline: Pipeline) -> int:
    return sum(max(0, lane.lag) for worker in pipeline.workers for lane in worker.lanes)
