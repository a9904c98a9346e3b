"""What a question of the API is: a path, what it takes, what it answers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel

from topology.api import queries

Answer = Callable[[web.Request], Awaitable[object]]


class Shape(Enum):
    """What a 2xx answer holds."""

    ONE = auto()
    """A record."""
    PAGE = auto()
    """`items`, records, and `next`."""
    NOTHING = auto()
    """An empty object: it was taken, and what comes of it is told elsewhere."""


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

    @property
    def handler(self) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Answers as JSON."""

        async def handle(request: web.Request) -> web.StreamResponse:
            body = orjson.dumps(await self.answer(request))
            return web.Response(status=self.status, body=body, content_type="application/json")

        return handle
