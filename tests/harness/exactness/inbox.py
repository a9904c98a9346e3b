"""A receiver of webhooks that writes down every post: it takes its time, refuses some at first, and
has signatures checked by others' code.
"""

import asyncio
import base64
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Self

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

_TOLERANCE_S: Final = 300
"""How old a signature may be, by Standard Webhooks."""
_TAKES_S: Final = 0.15
"""Time between a message's arrival and the answer, seconds: long enough that kills fall into it."""

_REFUSED_AT_FIRST: Final = 8
"""One in this number of messages is answered 503 the first time it comes."""

Mood = Callable[[web.Request], Awaitable[web.Response | None]]


@dataclass(slots=True)
class Inbox:
    """Listens on a free port of loopback while entered."""

    secret: str = field(
        default_factory=lambda: "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    )
    url: str = ""
    posts: list[tuple[str, bytes]] = field(default_factory=list)
    """Id and body of every post that was answered 2xx, or whose sender died before the answer; in
    order.
    """
    under_way: int = 0
    """Posts that wait for their answer now."""
    forged: int = 0
    """Posts of now whose signature is wrong; one of another time is refused too, and may be sent
    again.
    """
    refused: int = 0
    mood: Mood | None = None
    """Asked first about each post whose signature is good: an answer of its own, or None for the
    usual one.
    """
    _refused_ids: set[str] = field(default_factory=set)
    _runner: web.AppRunner | None = None
    _secured: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        self._runner = await self._listening(0)
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"
        return self

    async def __aexit__(self, *args: object) -> None:
        for runner in (self._runner, self._secured):
            if runner is not None:
                await runner.cleanup()

    async def secure(self, port: int, context: ssl.SSLContext) -> None:
        """Listens on another port with TLS too; whoever was connected there before has to do it
        again.
        """
        if self._secured is not None:
            await self._secured.cleanup()
        self._secured = await self._listening(port, context)

    async def _listening(self, port: int, context: ssl.SSLContext | None = None) -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
        return runner

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            Webhook(self.secret).verify(body, dict(request.headers))
        except WebhookVerificationError:
            is_of_now = abs(time.time() - int(request.headers["webhook-timestamp"])) < _TOLERANCE_S
            self.forged += is_of_now
            return web.Response(status=401)
        if self.mood is not None and (answer := await self.mood(request)) is not None:
            return answer
        name = request.headers["webhook-id"]
        if int(name[:8], 16) % _REFUSED_AT_FIRST == 0 and name not in self._refused_ids:
            self._refused_ids.add(name)
            self.refused += 1
            return web.Response(status=503)
        self.posts.append((name, body))
        self.under_way += 1
        try:
            await asyncio.sleep(_TAKES_S)
        finally:
            self.under_way -= 1
        return web.Response(status=204)
