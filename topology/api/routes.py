"""What a question of the API is: a path, who may ask it, what it takes, what it answers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel

from topology.api import queries, times
from topology.api.permissions import Access

Answer = Callable[..., Awaitable[object]]
"""Takes the request and its query, and its body where the route has one."""


class Shape(Enum):
    """What a 2xx answer holds."""

    ONE = auto()
    """A record."""
    PAGE = auto()
    """`items`, records, and `next`."""


@dataclass(frozen=True, slots=True)
class Route:
    """One question. It answers records (`record`) in a `shape`."""

    path: str
    access: Access
    summary: str
    query: type[queries.Query]
    record: type[Any]
    shape: Shape
    answer: Answer
    method: str = "GET"
    body: type[BaseModel] | None = None
    """What it takes as JSON; None when it takes nothing."""
    status: int = 200

    @property
    def handler(self) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Checks everything that is given, then answers as JSON. Who asks is checked before."""

        async def handle(request: web.Request) -> web.StreamResponse:
            query = queries.asked(request, self.query)
            given = [] if self.body is None else [await queries.asked_in_body(request, self.body)]
            answer = times.written(await self.answer(request, query, *given), query.times)
            return web.Response(
                status=self.status, body=orjson.dumps(answer), content_type="application/json"
            )

        return handle
