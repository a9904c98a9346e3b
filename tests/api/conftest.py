"""A served API over a store and a broker of its own."""

import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from connectors.store.sqlite.store import EmbeddedStore
from schemas.documents import Kind
from schemas.records.anomalies import Severity
from schemas.secrets import Secret
from streams.admin.topics import EMBEDDED_PARTITIONS
from streams.settings import Broker, Lanes
from tests.harness.store_documents import anomaly, incident, of
from topology.api.commands import Commands
from topology.api.serving import serving
from topology.api.settings import ApiSettings
from topology.stages.standalone import make_topics
from topology.supervision.embedded import EmbeddedBroker

MARKUP = "<script>alert(1)</script>\u202e\x07"
KEY = Secret("k" * 32)

Ask = Callable[..., Coroutine[Any, Any, tuple[int, dict[str, Any]]]]


@pytest.fixture(scope="session")
def embedded() -> Iterator[str]:
    """Address of a broker that is quick to start, for the whole session."""
    with EmbeddedBroker() as broker:
        yield broker.address


@pytest.fixture
def broker(embedded: str) -> Broker:
    """Topics that no other test has."""
    broker = Broker(
        bootstrap_servers=embedded, topic_prefix=f"t{uuid.uuid4().hex[:8]}.", embedded=True
    )
    make_topics(broker, Lanes(partitions=EMBEDDED_PARTITIONS))
    return broker


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    """Two tenants, of each five anomalies and an incident of the first three; one text is
    hostile.
    """
    store = EmbeddedStore(str(tmp_path / "s.db"), 1.0)
    await store.start()
    for tenant in ("acme", "other"):
        made = [anomaly(number, tenant, severity=list(Severity)[number % 5]) for number in range(5)]
        await store.write([of(Kind.ANOMALY, one) for one in made])
        named = tuple(one.id for one in made[:3])
        await store.write(
            [of(Kind.INCIDENT, incident(1, 1, tenant, anomaly_ids=named, title=MARKUP))]
        )
    yield store
    await store.close()


@pytest.fixture
async def address(
    store: EmbeddedStore, broker: Broker
) -> AsyncIterator[Callable[..., Coroutine[Any, Any, str]]]:
    """Starts the API with settings, and gives its address. `key` signs commands."""
    async with AsyncExitStack() as stack:

        async def start(key: Secret = KEY, **settings: Any) -> str:
            commands = Commands(broker, key)
            port = await stack.enter_async_context(
                serving(store, ApiSettings(port=0, **settings), commands)
            )
            return f"http://127.0.0.1:{port}"

        yield start


@pytest.fixture
async def served(
    address: Callable[..., Coroutine[Any, Any, str]],
) -> AsyncIterator[Callable[..., Coroutine[Any, Any, Ask]]]:
    """Starts the API with settings, and gives what asks it."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Ask:
            client = await stack.enter_async_context(
                aiohttp.ClientSession(await address(**settings))
            )

            async def ask(
                path: str, method: str = "GET", body: object = None, **headers: str
            ) -> tuple[int, dict[str, Any]]:
                async with client.request(method, path, json=body, headers=headers) as answer:
                    assert answer.headers["X-Content-Type-Options"] == "nosniff"
                    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                    wanted = (
                        "application/json" if answer.status < 300 else "application/problem+json"
                    )
                    assert answer.content_type == wanted
                    return answer.status, await answer.json(content_type=None)

            return ask

        yield start
