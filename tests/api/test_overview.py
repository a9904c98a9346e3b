"""The overview says that all is clear only when it can know: over a real store, a broker that is
frozen, and workers that say what they do.
"""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from connectors.store.sqlite.store import EmbeddedStore
from schemas.documents import Kind, StoreUnavailable
from schemas.records.incidents import IncidentState
from schemas.secrets import Secret
from streams.admin.topics import EMBEDDED_PARTITIONS
from streams.settings import Broker, Lanes
from tests.api.workers import Workers, answering
from tests.harness.store_documents import SECOND, aggregate, incident, of
from topology.api.commands import Commands
from topology.api.serving import serving
from topology.api.settings import ApiSettings, TenantToken
from topology.stages.standalone import make_topics
from topology.supervision.embedded import EmbeddedBroker

OPERATOR, ACME = "o" * 32, "a" * 32
KEY = Secret("k" * 32)


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    """They answer."""
    async with answering() as made:
        yield made


async def fresh(store: EmbeddedStore, tenant: str = "acme", ago_s: float = 15.0) -> None:
    """A bucket that closed a moment ago, and no incident open."""
    begin = time.time_ns() // 1000 - round(ago_s * SECOND)
    times = {"window_start": begin, "window_end": begin + 10 * SECOND}
    await store.write([of(Kind.AGGREGATE, aggregate(1, tenant, **times))])
    for each in ("acme", "other"):
        await store.write([of(Kind.INCIDENT, incident(1, 9, each, state=IncidentState.RESOLVED))])


async def until(ask: Any, **wanted: object) -> dict[str, Any]:
    """The overview, when it says this."""
    async with asyncio.timeout(30):
        while True:
            status, told = await ask("/api/v1/overview")
            if status == 200 and {name: told[name] for name in wanted} == wanted:
                return dict(told)
            await asyncio.sleep(0.2)


async def test_all_is_clear_when_the_data_are_fresh_and_everything_moves(
    served: Any, store: EmbeddedStore, workers: Workers
) -> None:
    """With the age of the data, and of each application's; an open incident ends it."""
    await fresh(store)
    ask = await served(workers=workers.urls)
    told = await until(ask, state="live", all_clear=True, why="")
    assert told["open_incidents"] == 0
    assert [one["state"] for one in told["stages"]] == ["moving"] * 4
    (one,) = told["applications"]
    assert (one["tenant"], one["application"]) == ("acme", "shop")
    assert 14 < one["age_s"] < 60
    await store.write([of(Kind.INCIDENT, incident(7, 1))])
    await until(ask, state="live", all_clear=False, open_incidents=1)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"moved_ago_s": 90.0}, "stalled"),
        ({"moved_ago_s": 90.0, "clock_ahead_s": 600.0}, "stalled"),
        ({"moved_ago_s": 1.0, "clock_ahead_s": -600.0}, "live"),
    ],
)
async def test_lanes_that_stand_still_are_seen_by_the_clock_of_their_own_worker(
    served: Any, store: EmbeddedStore, workers: Workers, change: dict[str, float], state: str
) -> None:
    """A frozen broker: ready, without lag, and nothing moves. A worker's clock that is wrong
    neither hides nor invents that.
    """
    await fresh(store)
    for name, value in change.items():
        setattr(workers, name, value)
    ask = await served(workers=workers.urls)
    await until(ask, state=state, all_clear=state == "live")
    told = (await ask("/api/v1/pipeline"))[1]
    assert told["state"] == ("moving" if state == "live" else "stalled")


async def test_old_data_are_no_good_news(
    served: Any, store: EmbeddedStore, workers: Workers
) -> None:
    """Of a source that went silent, of a recorded hour, and of a sink that is behind."""
    ask = await served(workers=workers.urls)
    await until(ask, state="empty", all_clear=False)
    await fresh(store, ago_s=4000.0)
    told = await until(ask, state="quiet", all_clear=False)
    assert "67 min old" in told["why"]
    workers.lag = 700
    told = await until(ask, state="behind", all_clear=False)
    assert "5,600 records wait" in told["why"]


async def test_a_store_that_is_away_is_no_overview(
    served: Any, store: EmbeddedStore, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, and nothing that a script could take for well."""
    ask = await served(workers=workers.urls)
    await until(ask, state="empty")

    async def away(search: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(store, "search", away)
    await asyncio.sleep(1.1)
    assert (await ask("/api/v1/overview"))[0] == 503


async def test_without_workers_nobody_knows(served: Any, store: EmbeddedStore) -> None:
    """Whether stages run that `api.workers` does not name."""
    await fresh(store)
    told = await until(await served(), state="unknown", all_clear=False)
    assert "is named in api.workers" in told["why"]


async def test_a_tenant_sees_its_own_applications_and_no_addresses(
    served: Any, store: EmbeddedStore, workers: Workers
) -> None:
    """And whether Sentinel works; operators see all."""
    await fresh(store)
    await fresh(store, "other")
    workers.moved_ago_s = 90.0
    tokens = {"token": Secret(OPERATOR), "tenant_tokens": (TenantToken("acme", Secret(ACME)),)}
    ask = await served(workers=(*workers.urls, "http://127.0.0.1:9"), **tokens)
    _, own = await ask("/api/v1/overview", Authorization=f"Bearer {ACME}")
    assert {one["tenant"] for one in own["applications"]} == {"acme"}
    assert (own["state"], "127.0.0.1" in str(own)) == ("stalled", False)
    _, every = await ask("/api/v1/overview", Authorization=f"Bearer {OPERATOR}")
    assert {one["tenant"] for one in every["applications"]} == {"acme", "other"}
    assert (await ask("/api/v1/overview?tenant=other", Authorization=f"Bearer {ACME}"))[0] == 403


@pytest.fixture
async def frozen(
    store: EmbeddedStore, workers: Workers
) -> AsyncIterator[tuple[Callable[..., Awaitable[Any]], int]]:
    """An API whose broker no other test uses, and that broker's process."""
    async with AsyncExitStack() as stack:
        embedded = stack.enter_context(EmbeddedBroker())
        broker = Broker(bootstrap_servers=embedded.address, topic_prefix="f.", embedded=True)
        await asyncio.to_thread(make_topics, broker, Lanes(partitions=EMBEDDED_PARTITIONS))
        tokens = {"token": Secret(OPERATOR), "tenant_tokens": (TenantToken("acme", Secret(ACME)),)}
        settings = ApiSettings(port=0, workers=workers.urls, stale_after_s=20.0, **tokens)  # type: ignore[arg-type]
        port = await stack.enter_async_context(serving(store, settings, Commands(broker, KEY, 2)))
        session = await stack.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{port}"))

        async def ask(
            path: str, method: str = "GET", body: object = None, token: str = OPERATOR
        ) -> tuple[int, Any]:
            headers = {"Authorization": f"Bearer {token}"}
            async with session.request(method, path, json=body, headers=headers) as answer:
                return answer.status, await answer.json(content_type=None)

        assert embedded.pid is not None
        try:
            yield ask, embedded.pid
        finally:
            os.kill(embedded.pid, signal.SIGCONT)


@pytest.mark.system
async def test_a_frozen_broker_ends_good_news_whatever_the_workers_say(
    frozen: tuple[Callable[..., Awaitable[Any]], int], store: EmbeddedStore
) -> None:
    """The API asks Kafka itself; when it goes on, all is clear again."""
    ask, pid = frozen
    await fresh(store, ago_s=1.0)
    await until(ask, state="live", all_clear=True)
    os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(60):
        while (await ask("/api/v1/overview"))[1]["state"] == "live":
            await fresh(store, ago_s=1.0)
            await asyncio.sleep(0.5)
    _, told = await ask("/api/v1/overview")
    assert (told["state"], told["all_clear"]) == ("stalled", False)
    assert "Kafka has not answered for" in told["why"]
    os.kill(pid, signal.SIGCONT)
    await fresh(store, ago_s=1.0)
    await until(ask, state="live", all_clear=True)


@pytest.mark.system
async def test_commands_that_wait_for_kafka_hold_up_nobody_else(
    frozen: tuple[Callable[..., Awaitable[Any]], int], store: EmbeddedStore
) -> None:
    """One tenant's are refused from the third on; others' get their answer in time, and everything
    that needs no Kafka goes on.
    """
    ask, pid = frozen
    await ask("/api/v1/overview")
    os.kill(pid, signal.SIGSTOP)

    async def silence(token: str, number: int) -> int:
        body = {"tenant": "acme", "matchers": [f"user=u{number}"], "for_s": 60}
        return int((await ask("/api/v1/silences", "POST", body, token))[0])

    of_acme = [asyncio.create_task(silence(ACME, number)) for number in range(8)]
    of_operators = asyncio.create_task(silence(OPERATOR, 99))
    at_once = [await task for task in itertools.islice(asyncio.as_completed(of_acme), 6)]
    assert at_once == [503] * 6
    assert (await ask("/api/v1/incidents"))[0] == 200
    # The commands that Kafka has taken still wait for it.
    assert [task.done() for task in of_acme].count(False) == 2
    assert not of_operators.done()
    assert (await ask("/api/v1/silences"))[0] == 503
    async with asyncio.timeout(300):
        assert [await task for task in (*of_acme, of_operators)] == [503] * 9
