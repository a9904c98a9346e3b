"""An HTTP proxy before Elasticsearch, that does to requests what overloaded clusters, load
balancers and networks do.
"""

import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Self

import aiohttp
from aiohttp import web

from schemas.documents import Kind
from tests.harness.exactness.storing import Refusal

_MOST_BYTES: Final = 16_000_000
_OF_ONE_CONNECTION: Final = frozenset(
    {"host", "connection", "keep-alive", "transfer-encoding", "content-length"}
)
"""Headers that are not passed on."""


@dataclass(frozen=True, slots=True)
class Item:
    """One document of a bulk request, as its two lines."""

    action: bytes
    source: bytes

    @property
    def what(self) -> tuple[str, dict[str, object]]:
        """The operation, and where it writes."""
        ((operation, place),) = json.loads(self.action).items()
        return operation, place

    @property
    def name(self) -> tuple[str, str, int]:
        """Index, id and revision of the document."""
        _, place = self.what
        revision = place.get("version", 0)
        assert isinstance(revision, int)
        return str(place["_index"]), str(place["_id"]), revision


@dataclass(slots=True)
class Trip:
    """One request on its way to the server."""

    request: web.Request
    body: bytes
    server: str
    session: aiohttp.ClientSession

    @property
    def is_bulk(self) -> bool:
        """Whether it writes documents."""
        return self.request.path.endswith("/_bulk")

    @property
    def items(self) -> list[Item]:
        """What it writes."""
        lines = self.body.splitlines()
        return [Item(*pair) for pair in zip(lines[::2], lines[1::2], strict=True)]

    async def forward(self, items: list[Item] | None = None) -> web.Response:
        """What the server answers, to the request as it is or to these items alone. Raises
        ClientError.
        """
        body = (
            self.body
            if items is None
            else b"".join(b"%s\n%s\n" % (one.action, one.source) for one in items)
        )
        headers = {
            name: value
            for name, value in self.request.headers.items()
            if name.lower() not in _OF_ONE_CONNECTION
        }
        url = self.server + self.request.raw_path
        async with self.session.request(
            self.request.method, url, data=body, headers=headers
        ) as answer:
            told = {
                name: value
                for name, value in answer.headers.items()
                if name.lower() not in _OF_ONE_CONNECTION
            }
            return web.Response(status=answer.status, headers=told, body=await answer.read())

    async def cut(self, answer: web.Response) -> web.StreamResponse:
        """Half of the answer, and then the connection is gone."""
        assert isinstance(answer.body, bytes)
        begun = web.StreamResponse(status=answer.status, headers=answer.headers)
        begun.content_length = len(answer.body)
        await begun.prepare(self.request)
        await begun.write(answer.body[: len(answer.body) // 2])
        return self.gone(begun)

    def gone(self, answer: web.StreamResponse | None = None) -> web.StreamResponse:
        """The connection is broken off."""
        if self.request.transport is not None:
            self.request.transport.abort()
        return answer or web.Response(status=500)


Mood = Callable[[Trip], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Front:
    """Listens on a free port of loopback while entered, before whatever `server` names."""

    server: str = ""
    """Where requests go, as `http://host:port`."""
    url: str = ""
    mood: Mood | None = None
    """What becomes of each request; None passes it on."""
    refused: set[Refusal] = field(default_factory=set)
    """Documents that were spoiled on their way, so that the server refuses them."""
    seen: set[tuple[str, str, int]] = field(default_factory=set)
    """Documents that came here before, and may be stored."""
    _runner: web.AppRunner | None = None
    _session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # Answers are passed on as they come, and some are read here.
        self._session = aiohttp.ClientSession(headers={"Accept-Encoding": "identity"})
        app = web.Application(client_max_size=_MOST_BYTES)
        app.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *args: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        assert self._session is not None
        trip = Trip(request, await request.read(), self.server, self._session)
        try:
            answer = await (trip.forward() if self.mood is None else self.mood(trip))
            if trip.is_bulk:
                self.seen |= {one.name for one in trip.items}
            return answer
        except (aiohttp.ClientError, ConnectionError):
            # Whatever ended the connection on one side ends it on the other.
            return trip.gone()

    def spoiled(self, prefix: str, items: list[Item], kinds: dict[Kind, int]) -> Iterator[Item]:
        """The items, of which as many as are said of each kind have an invalid time, from now on
        and whenever they come again: of those that were not stored before.
        """
        for one in items:
            index, key, revision = this = one.name
            kind = Kind(index.removeprefix(prefix).split("-")[0])
            if this not in self.seen and sum(each == kind for each, *_ in self.refused) < kinds.get(
                kind, 0
            ):
                self.refused.add((kind, key, revision))
            if (kind, key, revision) in self.refused:
                yield Item(
                    one.action,
                    json.dumps({**json.loads(one.source), "@timestamp": "at no time"}).encode(),
                )
            else:
                yield one
