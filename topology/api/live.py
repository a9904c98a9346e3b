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
"""Changes of this span are sent in one message."""
MAX_CHANGES: Final = 500
"""Changes in one message; for more, a page is asked to request everything again."""
MAX_WAITING: Final = 8
"""Messages queued for one slow page; beyond that they are dropped, and the page is asked to request
everything again.
"""
SEND_S: Final = 10.0
"""Seconds after which a page that receives nothing is disconnected."""
HEARTBEAT_S: Final = 30.0
_ANSWER_S: Final = 2.0
"""Timeout for the broker to list partitions; short, since the process cannot end meanwhile."""
_AGAIN_S: Final = 5.0
_RESYNC: Final = '{"resync":true}'
_STILL_HERE: Final = "{}"
"""Sent every HEARTBEAT_S: a browser may not notice a lost connection, and it answers WebSocket
pings without informing the page.
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
    """The tenant whose changes it gets; None for all tenants."""
    asker: str | None
    """The tenant whose token it came with; None for operators."""
    waiting: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(MAX_WAITING))

    def give(self, message: str) -> None:
        if self.waiting.full():
            while not self.waiting.empty():
                self.waiting.get_nowait()
            message = _RESYNC
        self.waiting.put_nowait(message)


class Live:
    """The open pages, which are notified of changes."""

    def __init__(self, max_clients: int, max_of_tenant: int) -> None:
        self._max, self._max_of_tenant = max_clients, max_of_tenant
        self._clients: set[_Client] = set()
        self._sockets: set[web.WebSocketResponse] = set()
        # Filled by the thread that reads the topics, emptied by the loop.
        self._changes: deque[Change] = deque()

    @property
    def clients(self) -> int:
        """Number of open pages."""
        return len(self._clients)

    def note(self, change: Change) -> None:
        """Queue a change; any thread may call this."""
        # Without pages nothing empties the queue soon, so nothing is put into it.
        if self._clients:
            self._changes.append(change)

    def resync(self) -> None:
        """Ask all pages to request everything again, since changes may have been missed."""
        for client in self._clients:
            client.give(_RESYNC)

    def notify(self) -> None:
        """Send the changes since the last call."""
        # Each change is for the pages of its tenant and for those of all tenants (None); of several
        # changes of a document the last one counts.
        by_tenant: dict[str | None, dict[tuple[Kind, str, str], int]] = {}
        # As many as there are now: the other thread may add more meanwhile.
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
        """Send a heartbeat to all pages that have no message queued."""
        for client in self._clients:
            if client.waiting.empty():
                client.give(_STILL_HERE)

    async def notified(self, app: web.Application) -> AsyncIterator[None]:
        """While the app runs, notify pages every GATHER_S."""

        async def notify_always() -> None:
            rounds = 0
            while True:
                await asyncio.sleep(GATHER_S)
                self.notify()
                rounds += 1
                if rounds % round(HEARTBEAT_S / GATHER_S) == 0:
                    self.still_here()

        task = asyncio.create_task(notify_always())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def close(self, app: web.Application) -> None:
        """Disconnect all pages; they reconnect by themselves."""
        closing = [
            socket.close(code=WSCloseCode.GOING_AWAY, message=b"restart")
            for socket in list(self._sockets)
        ]
        await asyncio.gather(*closing, return_exceptions=True)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one page until it disconnects."""
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
        # Before the handshake is answered: from then on the page relies on being notified.
        self._clients.add(client)
        self._sockets.add(socket)
        sending: asyncio.Task[None] | None = None
        try:
            await _greet(socket, request)
            sending = asyncio.create_task(_send(socket, client, request))
            async for _ in socket:
                pass  # Messages of pages have no meaning.
        finally:
            self._clients.discard(client)
            self._sockets.discard(socket)
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        return socket

    def _refuse_too_many(self, asker: str | None) -> None:
        """Raises Problem. The pages of one tenant's token must leave room for others."""
        wait = {"Retry-After": "30"}
        if len(self._clients) >= self._max:
            raise Problem(
                503, f"{self._max} pages follow changes already (api.live_clients)", headers=wait
            )
        own = sum(asker is not None and one.asker == asker for one in self._clients)
        if own >= self._max_of_tenant:
            raise Problem(
                429,
                f"{own} pages of this tenant follow changes already (api.live_clients_per_tenant)",
                headers=wait,
            )


LIVE: Final = web.AppKey("live", Live)


async def live(request: web.Request) -> web.WebSocketResponse:
    """Sends the ids of documents of a tenant as they change."""
    return await request.app[LIVE].serve(request)


def _message(changes: dict[tuple[Kind, str, str], int]) -> str:
    if len(changes) > MAX_CHANGES:
        return _RESYNC
    listed: Iterable[dict[str, object]] = (
        {"kind": kind, "tenant": tenant, "id": id, "revision": revision}
        for (kind, tenant, id), revision in changes.items()
    )
    return orjson.dumps({"changes": list(listed)}).decode()


async def _greet(socket: web.WebSocketResponse, request: web.Request) -> None:
    """Answer the handshake. Raises Problem for a request that is not one."""
    try:
        await socket.prepare(request)
    except ValueError:
        # aiohttp rejects a key that is not base64, but raises for one that is not ASCII.
        raise Problem(400, "Sec-WebSocket-Key is not 16 bytes in base64") from None


async def _send(socket: web.WebSocketResponse, client: _Client, request: web.Request) -> None:
    while True:
        message = await client.waiting.get()
        try:
            async with asyncio.timeout(SEND_S):
                await socket.send_str(message)
        except (TimeoutError, ConnectionError):
            # It receives nothing, so it would not receive a close frame either.
            if request.transport is not None:
                request.transport.abort()
            return


class Following:
    """Reads the topics of the stages from now on, in a thread, and notes changes for open pages."""

    def __init__(self, broker: Broker, live: Live) -> None:
        self._broker, self._live = broker, live
        names = TopicNames(broker.topic_prefix)
        self._kinds = {
            names.prefix + spec.topic: kind for kind, spec in SPECS.items() if spec.is_live
        }
        self._stop = threading.Event()
        self._heard: float | None = None

    def silent_s(self) -> float | None:
        """Seconds since the broker's last answer; None if it has never answered."""
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
                # Pages were not notified of changes before the reading starts.
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
            return  # The sink writes it to dead-letters.
        self._live.note(Change(kind, found.tenant, found.id, found.revision))


FOLLOWING: Final = web.AppKey("following", Following)
