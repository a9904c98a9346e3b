"""Pages are told what changed: over real WebSockets, from what stands on the topics."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from confluent_kafka import Producer

from schemas.documents import Kind
from schemas.records.anomalies import Anomaly
from schemas.records.incidents import Incident
from schemas.secrets import Secret
from streams.client.brokers import producer_config
from streams.settings import Broker
from streams.topic_names import TopicNames
from tests.harness.store_documents import anomaly, incident
from topology.api import live
from topology.api.live import MAX_CHANGES, MAX_WAITING, Change, Live
from topology.api.serving import allow_files
from topology.api.settings import TenantToken

OPERATOR, ACME = "o" * 32, "a" * 32
PATIENCE_S = 300.0

Start = Callable[..., Coroutine[Any, Any, str]]


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """Opens WebSockets."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def hubs(monkeypatch: pytest.MonkeyPatch) -> list[Live]:
    """Everything that tells pages, as the API makes it."""
    found: list[Live] = []
    made = Live.__init__

    def remember(self: Live, most: int, of_tenant: int) -> None:
        found.append(self)
        made(self, most, of_tenant)

    monkeypatch.setattr(Live, "__init__", remember)
    return found


def publish(broker: Broker, *records: Anomaly | Incident) -> None:
    """What the stages would say."""
    names = TopicNames(broker.topic_prefix)
    producer = Producer(producer_config(broker))
    for record in records:
        topic = names.anomalies if isinstance(record, Anomaly) else names.incidents
        producer.produce(topic, record.to_bytes(), key=record.tenant)
    assert producer.flush(PATIENCE_S) == 0


async def changes(socket: aiohttp.ClientWebSocketResponse, timeout: float | None = None) -> Any:
    """The next message that names what changed: when the API begins to read, all are told once to
    look at everything.
    """
    while "changes" not in (message := await socket.receive_json(timeout=timeout)):
        pass
    return message


async def told(
    socket: aiohttp.ClientWebSocketResponse, broker: Broker, *records: Anomaly | Incident
) -> Any:
    """The first message after these, which are published again until the API, which reads from when
    it started on, has seen them.
    """
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await asyncio.to_thread(publish, broker, *records)
            try:
                return await changes(socket, timeout=1.0)
            except TimeoutError:
                continue


async def test_a_page_is_told_what_changed_of_its_tenant(
    address: Start, client: aiohttp.ClientSession, broker: Broker
) -> None:
    """Once for each document with its newest revision; of other tenants nothing."""
    url = await address()
    async with client.ws_connect(f"{url}/api/v1/live?tenant=acme") as socket:
        message = await told(socket, broker, incident(1, 1, "other"), incident(1, 2), anomaly(7))
        named = {(one["kind"], one["id"], one["revision"]) for one in message["changes"]}
        # Two topics: what of the second was read after a message went is in the next.
        assert named <= {("incident", f"{1:032x}", 2), ("anomaly", f"{7:032x}", 0)}
        assert named


async def test_a_token_comes_as_a_subprotocol(
    address: Start, client: aiohttp.ClientSession, broker: Broker
) -> None:
    """A tenant's own names it; a forged one, a foreign page, and a client above the limit are
    refused.
    """
    url = await address(
        token=Secret(OPERATOR), tenant_tokens=(TenantToken("acme", Secret(ACME)),), live_clients=1
    )
    path = f"{url}/api/v1/live"

    async def refused(address: str, *protocols: str, **headers: str) -> int:
        with pytest.raises(aiohttp.WSServerHandshakeError) as told:
            await client.ws_connect(address, protocols=protocols, headers=headers)
        return told.value.status

    assert await refused(path) == 401
    assert await refused(path, "sentinel", "bearer.forged") == 401
    assert await refused(f"{path}?tenant=other", "sentinel", f"bearer.{ACME}") == 403
    assert await refused(path, "sentinel", f"bearer.{ACME}", Origin="https://evil.example") == 403
    async with client.ws_connect(path, protocols=("sentinel", f"bearer.{ACME}")) as socket:
        assert socket.protocol == "sentinel"
        assert await refused(path, "sentinel", f"bearer.{ACME}") == 503


async def test_one_tenant_cannot_take_all_live_connections(
    address: Start, client: aiohttp.ClientSession
) -> None:
    """What its token holds open leaves room for other tenants, and operators."""
    tokens = (TenantToken("acme", Secret(ACME)), TenantToken("other", Secret("b" * 32)))
    url = await address(token=Secret(OPERATOR), tenant_tokens=tokens, live_clients_per_tenant=2)
    path = f"{url}/api/v1/live"
    async with AsyncExitStack() as stack:

        async def follow(token: str, query: str = "") -> None:
            await stack.enter_async_context(
                client.ws_connect(path + query, protocols=("sentinel", f"bearer.{token}"))
            )

        await follow(ACME)
        await follow(ACME)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await follow(ACME)
        assert refused.value.status == 429
        await follow("b" * 32)
        for _ in range(3):
            await follow(OPERATOR, "?tenant=acme")
        await follow(OPERATOR)


async def test_a_thousand_pages_are_told_while_some_are_stuck(
    address: Start, broker: Broker, hubs: list[Live]
) -> None:
    """Each of the others, of everything."""
    allow_files(3000)
    url = await address(live_clients=1000, connections_per_address=0)
    stuck = [await _stuck(url) for _ in range(20)]
    (hub,) = hubs
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(None)
            )
        )
        opening = [session.ws_connect(f"{url}/api/v1/live?tenant=acme") for _ in range(980)]
        sockets = await asyncio.gather(*opening)
        assert hub.clients == 1000
        for number in range(3):
            hub.note(Change(Kind.ANOMALY, "acme", str(number), 0))
            hub.notify()
            async with asyncio.timeout(PATIENCE_S):
                told = await asyncio.gather(*[changes(socket) for socket in sockets])
            change = {"kind": "anomaly", "tenant": "acme", "id": str(number), "revision": 0}
            assert told == [{"changes": [change]}] * 980
        await asyncio.gather(*[socket.close() for socket in sockets])
    for each in stuck:
        each.close()


async def test_a_page_that_takes_nothing_is_cut_off_and_others_are_told(
    address: Start, client: aiohttp.ClientSession, hubs: list[Live], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its messages are not kept: they are dropped beyond a few."""
    monkeypatch.setattr(live, "SEND_S", 0.5)
    # Which would find the same some time later.
    monkeypatch.setattr(live, "HEARTBEAT_S", 3600.0)
    url = await address()
    stuck = await _stuck(url)
    async with client.ws_connect(f"{url}/api/v1/live?tenant=acme") as socket:
        (hub,) = hubs
        async with asyncio.timeout(PATIENCE_S):
            number = 0
            # Until what the system keeps for the stuck one is full too.
            while hub.clients > 1:
                for _ in range(MAX_CHANGES):
                    number += 1
                    hub.note(Change(Kind.ANOMALY, "acme", f"{number:0200x}", 0))
                hub.notify()
                assert (await changes(socket))["changes"]
        assert hub.clients == 1
    stuck.close()


async def _stuck(url: str) -> Any:
    """A WebSocket whose other side reads nothing after the handshake."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1024)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /api/v1/live?tenant=acme HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade:"
        f" websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version:"
        " 13\r\n\r\n".encode()
    )
    assert b"101" in await reader.readline()
    return writer


def test_each_page_is_told_of_its_own_tenant() -> None:
    """Once of a document, with its newest revision; of others' nothing. Who follows all tenants is
    told of all.
    """

    async def told() -> list[list[str]]:
        hub = Live(10, 10)
        clients = [live._Client(tenant, None) for tenant in ("acme", "other", "third", None)]
        hub._clients.update(clients)
        for tenant, revision in (("acme", 1), ("other", 1), ("acme", 2)):
            hub.note(Change(Kind.INCIDENT, tenant, "i", revision))
        hub.notify()
        return [[one.waiting.get_nowait() for _ in range(one.waiting.qsize())] for one in clients]

    def message(**revisions: int) -> str:
        named = (
            f'{{"kind":"incident","tenant":"{tenant}","id":"i","revision":{one}}}'
            for tenant, one in revisions.items()
        )
        return f'{{"changes":[{",".join(named)}]}}'

    assert asyncio.run(told()) == [
        [message(acme=2)],
        [message(other=1)],
        [],
        [message(acme=2, other=1)],
    ]


def test_a_page_that_is_told_nothing_hears_that_it_is_still_told() -> None:
    """Or it could not know of a connection that is gone; one that has something waiting hears
    that.
    """

    async def quiet() -> list[list[str]]:
        hub = Live(10, 10)
        clients = [live._Client("acme", None), live._Client("other", None)]
        hub._clients.update(clients)
        hub.note(Change(Kind.INCIDENT, "acme", "i", 1))
        hub.notify()
        hub.still_here()
        return [[one.waiting.get_nowait() for _ in range(one.waiting.qsize())] for one in clients]

    (told,), (heard,) = asyncio.run(quiet())
    assert "changes" in told
    assert heard == "{}"


def test_a_slow_page_is_told_to_look_at_everything_again() -> None:
    """Rather than that its messages fill the memory; so is one with very many changes."""

    async def slow() -> list[str]:
        hub = Live(10, 10)
        client = live._Client("acme", None)
        hub._clients.add(client)
        for number in range(MAX_WAITING + 1):
            hub.note(Change(Kind.ANOMALY, "acme", str(number), 0))
            hub.notify()
        waiting = [client.waiting.get_nowait() for _ in range(client.waiting.qsize())]
        for number in range(MAX_CHANGES + 1):
            hub.note(Change(Kind.ANOMALY, "acme", str(number), 0))
        hub.notify()
        return [*waiting, client.waiting.get_nowait()]

    assert asyncio.run(slow()) == ['{"resync":true}', '{"resync":true}']
