"""The demo's receiver of webhooks: a small HTTP server on loopback that checks signatures."""

import base64
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Self

from aiohttp import web

from schemas.secrets import Secret


@dataclass(frozen=True, slots=True)
class Message:
    """A message with a valid signature, once for each id."""

    id: str
    kind: str
    """`incident.opened` and its like."""
    severity: str
    title: str


@dataclass(slots=True)
class WebhookInbox:
    """Listens while entered. Messages with a wrong signature are answered 401 and counted in
    `forged`.
    """

    on_message: Callable[[Message], None]
    """Called with each new message."""
    secret: Secret = field(
        default_factory=lambda: Secret(
            "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
        )
    )
    messages: dict[str, Message] = field(default_factory=dict)
    forged: int = 0
    again: int = 0
    """Messages that came again under a known id, as may happen after a crash."""
    url: str = ""
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"
        return self

    async def __aexit__(self, *args: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not self._is_signed(request, body):
            self.forged += 1
            return web.Response(status=401)
        message = _read(request.headers["webhook-id"], body)
        if message.id in self.messages:
            # Standard Webhooks: the id tells a repetition.
            self.again += 1
        else:
            self.messages[message.id] = message
            self.on_message(message)
        return web.Response(status=204)

    def _is_signed(self, request: web.Request, body: bytes) -> bool:
        """The check of Standard Webhooks, written from its specification, apart from our own
        signer.
        """
        parts = [
            request.headers.get(name, "").encode() for name in ("webhook-id", "webhook-timestamp")
        ]
        # Compared in constant time, as every receiver should.
        key = base64.b64decode(self.secret.reveal().removeprefix("whsec_"))
        right = base64.b64encode(hmac.new(key, b".".join((*parts, body)), sha256).digest()).decode()
        return any(
            hmac.compare_digest(given, f"v1,{right}")
            for given in request.headers.get("webhook-signature", "").split()
        )


def _read(message_id: str, body: bytes) -> Message:
    content = json.loads(body)
    incident = content["data"].get("incident")
    if incident is None:
        return Message(
            message_id, content["type"], "", f"{content['data']['count']} incidents in one message"
        )
    return Message(message_id, content["type"], incident["severity"], incident["title"])
