"""What a question of the API is: a path, who may ask it, what it takes, what it answers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel

from topology.api import access, acting, queries, times
from topology.api.problems import Problem

Answer = Callable[..., Awaitable[object]]
"""Takes the request and its query, and its body where the route has one."""


class Shape(Enum):
    """What a 2xx answer holds."""

    ONE = auto()
    """A record."""
    PAGE = auto()
    """`items`, records, and `next`."""


class Access(Enum):
    """Who may ask. Every route has one, and `Route.handler` is the one place that holds it."""

    READ = auto()
    """Every token, and on loopback without tokens everybody: what a tenant's token shows is that
    tenant's.
    """
    OPERATORS = auto()
    """Operators: what is shown is of all tenants."""
    ACT = auto()
    """Every token, when the API can sign commands."""


@dataclass(frozen=True, slots=True)
class Route:
    """One question. It answers records (`record`) in a `shape`."""

    path: str
    summary: str
    query: type[queries.Query]
    record: type[Any]
    shape: Shape
    answer: Answer
    method: str = "GET"
    body: type[BaseModel] | None = None
    """What it takes as JSON; None when it takes nothing."""
    status: int = 200
    access: Access = Access.READ

    @property
    def handler(self) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Checks who asks and everything that is given, then answers as JSON."""

        async def handle(request: web.Request) -> web.StreamResponse:
            _allow(request, self.access)
            query = queries.asked(request, self.query)
            given = [] if self.body is None else [await queries.asked_in_body(request, self.body)]
            answer = times.written(await self.answer(request, query, *given), query.times)
            return web.Response(
                status=self.status, body=orjson.dumps(answer), content_type="application/json"
            )

        return handle


def _allow(request: web.Request, wanted: Access) -> None:
    """Raises Problem when this request's token does not allow it."""
    asker = request[access.ASKER]
    if wanted is Access.OPERATORS and asker.tenant is not None:
        raise Problem(403, "this is about all tenants; an operator's token is needed")
    if wanted is Access.ACT and (why := acting.why_not(request)):
        raise Problem(403 if asker.has_token else 401, why)
