"""Notifies open pages, by WebSocket, of the documents that changed, without their contents."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import orjson
import structlog
from aiohttp import WSCloseCode, web
from confluent_kafka import KafkaException

from schemas.documents import SPECS, Kind, document
from schemas.errors import BadRecord
from streams.settings import Broker
from streams.topic_names import TopicNames
from topology.api import queries
from topology.api.access import ASKER, PROTOCOL
from topology.api.problems import Problem
from topology.control.reading import follow

GATHER_S: Final = 0.25
"""Changes of so long are told at once."""
MOST_CHANGES: Final = 500
"""Changes of one message; of more a page is told to look at everything again."""
MOST_WAITING: Final = 8
"""Messages that wait for one slow page; then they are dropped, and it is told to look at everything
again.
"""
SEND_S: Final = 10.0
"""A page that takes nothing for so long is cut off."""
HEARTBEAT_S: Final = 30.0
_ANSWER_S: Final = 2.0
"""For the broker to name partitions; short, since the process does not end meanwhile."""
_AGAIN_S: Final = 5.0
_RESYNC: Final = '{"resync":true}'
_STILL_HERE: Final = "{}"
"""Told every HEARTBEAT_S: of a connection that is gone, a browser may hear nothing, and it answers
pings without telling the page.
"""

_log = structlog.get_logger("sentinel.api")


@dataclass(frozen=True, slots=True)
class Change:
    """A document that is new, or newer than before."""

    kind: Kind
    tenant: str
    id: str
    revision: int


@dataclass(eq=False, slots=True)
class _Client:
    tenant: str | None
    """Whose changes it is told; None for everybody's."""
    asker: str | None
    """The tenant whose token it came with; None for operators."""
    waiting: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING))

    def give(self, message: str) -> None:
        if self.waiting.full():
            while not self.waiting.empty():
                self.waiting.get_nowait()
            message = _RESYNC
        self.waiting.put_nowait(message)


class Live:
    """Everybody who is told of changes."""

    def __init__(self, most_clients: int, most_of_tenant: int) -> None:
        self._most, self._most_of_tenant = most_clients, most_of_tenant
        self._clients: set[_Client] = set()
        self._sockets: set[web.WebSocketResponse] = set()
        # Filled by the thread that reads the topics, emptied by the loop.
        self._changes: deque[Change] = deque()

    @property
    def clients(self) -> int:
        """How many are told."""
        return len(self._clients)

    def note(self, change: Change) -> None:
        """Something changed; may be called by any thread."""
        if self._clients:
            self._changes.append(change)

    def resync(self) -> None:
        """Something may have been missed: all look at everything again."""
        for client in self._clients:
            client.give(_RESYNC)

    def tell(self) -> None:
        """Tells what changed since the last call."""
        by_tenant: dict[str | None, dict[tuple[Kind, str, str], int]] = {}
        for _ in range(len(self._changes)):
            change = self._changes.popleft()
            for tenant in (change.tenant, None):
                by_tenant.setdefault(tenant, {})[change.kind, change.tenant, change.id] = (
                    change.revision
                )
        messages = {tenant: _message(changes) for tenant, changes in by_tenant.items()}
        for client in self._clients:
            if client.tenant in messages:
                client.give(messages[client.tenant])

    def still_here(self) -> None:
        """Says to all whom nothing waits for that they are told."""
        for client in self._clients:
            if client.waiting.empty():
                client.give(_STILL_HERE)

    async def told(self, app: web.Application) -> AsyncIterator[None]:
        """While the app runs, pages are told every GATHER_S."""

        async def tell_always() -> None:
            rounds = 0
            while True:
                await asyncio.sleep(GATHER_S)
                self.tell()
                rounds += 1
                if rounds % round(HEARTBEAT_S / GATHER_S) == 0:
                    self.still_here()

        task = asyncio.create_task(tell_always())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def close(self, app: web.Application) -> None:
        """Says good-bye to all; they come back by themselves."""
        closing = [
            socket.close(code=WSCloseCode.GOING_AWAY, message=b"restart")
            for socket in list(self._sockets)
        ]
        await asyncio.gather(*closing, return_exceptions=True)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One page, until it leaves."""
        query = queries.asked(request, queries.OfTenants)
        client = _Client(query.tenant, request[ASKER].tenant)
        self._refuse_too_many(client.asker)
        socket = web.WebSocketResponse(
            protocols=(PROTOCOL,),
            heartbeat=HEARTBEAT_S,
            max_msg_size=4096,
            timeout=SEND_S,
            compress=False,
        )
        # Before the answer, so that nothing is missed that happens once the page knows that it is
        # told.
        self._clients.add(client)
        self._sockets.add(socket)
        sending: asyncio.Task[None] | None = None
        try:
            await _greet(socket, request)
            sending = asyncio.create_task(_send(socket, client, request))
            async for _ in socket:
                pass  # Pages have nothing to say.
        finally:
            self._clients.discard(client)
            self._sockets.discard(socket)
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        return socket

    def _refuse_too_many(self, asker: str | None) -> None:
        """Raises Problem. What a tenant's token holds open leaves room for others."""
        wait = {"Retry-After": "30"}
        if len(self._clients) >= self._most:
            raise Problem(
                503, f"{self._most} pages follow changes already (api.live_clients)", headers=wait
            )
        own = sum(asker is not None and one.asker == asker for one in self._clients)
        if own >= self._most_of_tenant:
            raise Problem(
                429,
                f"{own} pages of this tenant follow changes already (api.live_clients_per_tenant)",
                headers=wait,
            )


LIVE: Final = web.AppKey("live", Live)


async def live(request: web.Request) -> web.WebSocketResponse:
    """Tells which documents of a tenant changed."""
    return await request.app[LIVE].serve(request)


def _message(changes: dict[tuple[Kind, str, str], int]) -> str:
    if len(changes) > MOST_CHANGES:
        return _RESYNC
    told: Iterable[dict[str, object]] = (
        {"kind": kind, "tenant": tenant, "id": id, "revision": revision}
        for (kind, tenant, id), revision in changes.items()
    )
    return orjson.dumps({"changes": list(told)}).decode()


async def _greet(socket: web.WebSocketResponse, request: web.Request) -> None:
    """Raises Problem for what is no request for a WebSocket."""
    try:
        await socket.prepare(request)
    except ValueError:
        # aiohttp answers a key that is no base64, but not one that is no ASCII.
        raise Problem(400, "Sec-WebSocket-Key is not 16 bytes in base64") from None


async def _send(socket: web.WebSocketResponse, client: _Client, request: web.Request) -> None:
    while True:
        message = await client.waiting.get()
        try:
            async with asyncio.timeout(SEND_S):
                await socket.send_str(message)
        except (TimeoutError, ConnectionError):
            # It takes nothing, not even a good-bye.
            if request.transport is not None:
                request.transport.abort()
            return


class Following:
    """Reads what the stages say, from now on, in a thread, and notes it for the open pages."""

    def __init__(self, broker: Broker, live: Live) -> None:
        self._broker, self._live = broker, live
        names = TopicNames(broker.topic_prefix)
        self._kinds = {
            names.prefix + spec.topic: kind for kind, spec in SPECS.items() if spec.is_live
        }
        self._stop = threading.Event()
        self._heard: float | None = None

    def silent_s(self) -> float | None:
        """For how long the broker has not answered, seconds; None when it never has."""
        return None if self._heard is None else time.monotonic() - self._heard

    async def followed(self, app: web.Application) -> AsyncIterator[None]:
        """While the app runs."""
        loop = asyncio.get_running_loop()
        thread = threading.Thread(
            target=self._read, args=(loop,), name="sentinel-live", daemon=True
        )
        thread.start()
        yield
        self._stop.set()
        await asyncio.to_thread(thread.join)

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._stop.is_set():
            try:
                # What came before it read, nobody was told.
                ready = partial(loop.call_soon_threadsafe, self._live.resync)
                following = follow(
                    self._broker,
                    list(self._kinds),
                    self._stop.is_set,
                    _ANSWER_S,
                    from_now=ready,
                    heard=self._hear,
                )
                for record in following:
                    if record.value is not None and self._live.clients:
                        self._note(self._kinds[record.topic], record.value)
            except KafkaException as fault:
                _log.warning("api.live_interrupted", reason=str(fault.args[0]))
                self._stop.wait(_AGAIN_S)

    def _hear(self) -> None:
        self._heard = time.monotonic()

    def _note(self, kind: Kind, value: bytes) -> None:
        try:
            found = document(kind, value)
        except BadRecord:
            return  # The sink has put it on dead-letters.
        self._live.note(Change(kind, found.tenant, found.id, found.revision))


FOLLOWING: Final = web.AppKey("following", Following)
