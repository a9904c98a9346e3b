"""A receiver of webhooks on a free port of this machine, which behaves as badly as it is told
to.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class ReceivedPost:
    """One request as it came."""

    headers: dict[str, str]
    body: bytes
    path: str = ""


@dataclass
class BadReceiver:
    """Answers the n-th request by the n-th behaviour, later ones by the last."""

    behaviours: tuple[Behaviour, ...]
    url: str = ""
    received: list[ReceivedPost] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.received.append(
            ReceivedPost(dict(request.headers), await request.read(), request.path)
        )
        return await self.behaviours[min(len(self.received), len(self.behaviours)) - 1](request)


@asynccontextmanager
async def receiving(*behaviours: Behaviour) -> AsyncIterator[BadReceiver]:
    """The receiver while it runs."""
    receiver = BadReceiver(behaviours)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        receiver.url = f"http://{host}:{port}/hook"
        yield receiver
    finally:
        await runner.cleanup()


def answers(status: int, **headers: str) -> Behaviour:
    """This status, with headers whose names have _ for -."""

    async def behave(_: web.Request) -> web.StreamResponse:
        return web.Response(
            status=status,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    return behave


async def hangs(_: web.Request) -> web.StreamResponse:
    """No answer, ever."""
    await asyncio.Event().wait()
    raise AssertionError


async def resets(request: web.Request) -> web.StreamResponse:
    """The connection is cut instead of an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def talks_no_http(request: web.Request) -> web.StreamResponse:
    """Bytes that are no answer."""
    assert request.transport is not None
    request.transport.write(b"220 mail.example ESMTP\r\n\r\n")
    request.transport.close()
    return web.Response()


async def floods(request: web.Request) -> web.StreamResponse:
    """200 and an answer without an end."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 65_536)


async def stalls_in_the_body(request: web.Request) -> web.StreamResponse:
    """200 and the first bytes of an answer, then nothing."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"part")
    await asyncio.Event().wait()
    raise AssertionError
