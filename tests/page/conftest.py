"""A real browser on the real API, over an embedded store that holds an hour of a small company.

All tests of the page share one event loop, since they share the browser; run them alone with
`pytest tests/page`.
"""

import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Page, expect

from connectors.store.sqlite.store import EmbeddedStore
from schemas.secrets import Secret
from streams.admin.topics import EMBEDDED_PARTITIONS
from streams.settings import Broker, Lanes
from tests.conftest import without
from tests.harness import browser as browsers
from tests.page import filled, workers
from topology.api.commands import Commands
from topology.api.live import LIVE, Live
from topology.api.serving import application
from topology.api.settings import ApiSettings, TenantToken
from topology.stages.standalone import make_topics
from topology.supervision.embedded import EmbeddedBroker

KEY = Secret("k" * 32)
OPERATOR, ACME = "o" * 32, "a" * 32

# A page asks again every 15 s what it cannot know at its start, and machines are shared.
expect.set_options(timeout=60_000)

shared = pytest.mark.asyncio(loop_scope="session")


@dataclass
class Site:
    """A served page."""

    address: str
    store: EmbeddedStore
    broker: Broker
    live: Live
    """Whom the API tells of changes."""


@dataclass
class Watched:
    """A page of the browser, and what it complained of."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    async def show(self, path: str) -> Page:
        """Opens a path of the site; gives the page when the view is there."""
        await browsers.show(self.page, path)
        return self.page

    def forgive(self, word: str) -> None:
        """Drops complaints with this word, which the test provoked: a browser says of each answer
        that is an error.
        """
        self.complaints[:] = [one for one in self.complaints if word not in one]


Open = Callable[..., Awaitable[Watched]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """The browser."""
    if why := browsers.missing():
        without("a browser", why)
    async with browsers.launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """Topics on an embedded broker."""
    with EmbeddedBroker() as embedded:
        broker = Broker(
            bootstrap_servers=embedded.address,
            topic_prefix=f"p{uuid.uuid4().hex[:8]}.",
            embedded=True,
        )
        make_topics(broker, Lanes(partitions=EMBEDDED_PARTITIONS))
        yield broker


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def filled_store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedStore]:
    """An hour that ended just now; tests only read it."""
    store = EmbeddedStore(str(tmp_path_factory.mktemp("filled") / "s.db"), 1.0)
    await store.start()
    await store.write(filled.hour(time.time_ns() // 1000 - 5_000_000))
    yield store
    await store.close()


@asynccontextmanager
async def served(
    store: EmbeddedStore, broker: Broker, trace_url: str | None = None, **settings: Any
) -> AsyncIterator[Site]:
    """The API and the page over a store."""
    app = application(store, ApiSettings(port=0, **settings), Commands(broker, KEY), trace_url)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Site(f"http://127.0.0.1:{runner.addresses[0][1]}", store, broker, app[LIVE])
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(filled_store: EmbeddedStore, broker: Broker) -> AsyncIterator[Site]:
    """The page over the hour and four workers, without tokens."""
    # The hour is a moment old when the first test begins, and all tests share it.
    async with (
        workers.answering() as urls,
        served(filled_store, broker, workers=urls, stale_after_s=3600.0) as site,
    ):
        yield site


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def guarded(filled_store: EmbeddedStore, broker: Broker) -> AsyncIterator[Site]:
    """The same without workers, for those who have the operators' token or the tenant's."""
    tokens = {
        "token": Secret(OPERATOR),
        "tenant_tokens": (TenantToken(filled.TENANT, Secret(ACME)),),
    }
    async with served(filled_store, broker, **tokens) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="session")
async def own(tmp_path: Path, broker: Broker) -> AsyncIterator[Site]:
    """An empty store that a test may write into, and the page over it."""
    store = EmbeddedStore(str(tmp_path / "s.db"), 1.0)
    await store.start()
    async with served(store, broker) as site:
        yield site
    await store.close()


@pytest_asyncio.fixture(loop_scope="session")
async def opened(chromium: Browser) -> AsyncIterator[Open]:
    """Opens a window on a site. What it complains of fails the test: errors, and breaches of the
    policy.
    """
    async with AsyncExitStack() as stack:
        windows: list[Watched] = []

        async def open_window(
            site: Site, size: tuple[int, int] = browsers.WIDE, scheme: Any = "light"
        ) -> Watched:
            context = await chromium.new_context(
                base_url=site.address,
                viewport={"width": size[0], "height": size[1]},
                color_scheme=scheme,
                locale="en-GB",
                timezone_id="Europe/Berlin",
            )
            stack.push_async_callback(context.close)
            page = await context.new_page()
            page.set_default_timeout(browsers.READY_MS)
            window = Watched(page)
            page.on("pageerror", lambda error: window.complaints.append(str(error)))
            page.on(
                "console",
                lambda said: window.complaints.append(said.text) if said.type == "error" else None,
            )
            windows.append(window)
            return window

        yield open_window
    for window in windows:
        assert window.complaints == []
