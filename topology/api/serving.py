"""The API as a process: one server over one store."""

import asyncio
import logging
import resource
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import orjson
import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from connectors.store.port import DocumentQueries, Store
from schemas.documents import StoreRefused, StoreUnavailable
from streams.exit_status import ENDS_WITHIN_S, end_within
from topology.api import metering, openapi
from topology.api.access import Credentials
from topology.api.acting import TRACE_URL
from topology.api.commands import COMMANDS, Commands
from topology.api.connections import Connections, timed
from topology.api.live import FOLLOWING, LIVE, Following, Live, live
from topology.api.overview import OVERVIEWS, Overviews
from topology.api.permissions import Access, Gate, serve_at
from topology.api.pipeline import WORKERS, workers_of
from topology.api.problems import Handler, as_problems
from topology.api.queries import BODY_S
from topology.api.reading import STORE
from topology.api.settings import ApiSettings
from topology.api.static import add_page
from topology.api.table import LIVE_PATH, ROUTES

_log = structlog.get_logger("sentinel.api")

_BODY_BYTES: Final = 64 * 1024
_OTHER_FILES: Final = 512
_STARTS_EVERY_S: Final = 10.0
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def application(
    store: DocumentQueries,
    settings: ApiSettings,
    commands: Commands,
    trace_url: str | None = None,
    tick_after_s: float = 1.0,
) -> web.Application:
    """Everything that is served. The store must be started, and stays the caller's."""
    gate = Gate(Credentials(settings))

    @web.middleware
    async def gated(request: web.Request, handler: Handler) -> web.StreamResponse:
        gate.admit(request)
        return await handler(request)

    app = web.Application(
        middlewares=[timed, metering.metered, as_problems, gated], client_max_size=_BODY_BYTES
    )
    app.on_response_prepare.append(_add_headers)
    app[STORE], app[COMMANDS], app[BODY_S] = store, commands, settings.request_s
    app[TRACE_URL] = trace_url
    app[WORKERS] = workers_of(settings, tick_after_s)
    app[LIVE] = pages = Live(settings.live_clients, settings.live_clients_per_tenant)
    app[FOLLOWING] = following = Following(commands.broker, pages)
    app[OVERVIEWS] = Overviews(store, app[WORKERS], following, settings.stale_after_s)
    app.cleanup_ctx.extend(
        [app[WORKERS].opened, pages.notified, following.followed, commands.opened]
    )
    app.on_shutdown.append(pages.close)
    for route in ROUTES:
        serve_at(app, route.access, route.method, route.path, route.handler)
    serve_at(app, Access.READ, "GET", LIVE_PATH, live)
    described = orjson.dumps(openapi.description(ROUTES))
    serve_at(app, Access.READ, "GET", openapi.PATH, _always(described))
    serve_at(app, Access.OPERATORS, "GET", metering.PATH, metering.scraped)
    serve_at(app, Access.PUBLIC, "GET", "/live", _always(b'{"live":true}'))
    add_page(app)
    return app


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def _always(body: bytes) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    return answer


def allow_files(count: int) -> None:
    """Lets this process have so many files open, as far as the system allows: each open page is
    one, and many systems begin with 1,024.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@asynccontextmanager
async def serving(
    store: DocumentQueries,
    settings: ApiSettings,
    commands: Commands,
    trace_url: str | None = None,
    tick_after_s: float = 1.0,
) -> AsyncIterator[int]:
    """Serve while the context is open; give the port. Raises OSError when the port is in use."""
    logger = logging.getLogger("sentinel.api.server")
    logger.addFilter(_is_logged)
    app = application(store, settings, commands, trace_url, tick_after_s)
    runner = web.AppRunner(app, access_log=None, logger=logger)
    await runner.setup()
    try:
        assert runner.server is not None
        listening = await Connections(settings).listen(runner.server, settings.host, settings.port)
        try:
            yield int(listening.sockets[0].getsockname()[1])
        finally:
            listening.close()
    finally:
        await runner.cleanup()


def _is_logged(record: logging.LogRecord) -> bool:
    """What aiohttp refuses of what is no HTTP is the client's fault, answered with 400, and no
    error of ours that fills the log.
    """
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


async def serve(
    store: Store,
    settings: ApiSettings,
    commands: Commands,
    say: Callable[[str], None],
    trace_url: str | None = None,
    tick_after_s: float = 1.0,
) -> None:
    """Serves until SIGTERM or SIGINT, and closes the store. Raises OSError.

    A store that cannot be used is no reason not to serve: what is asked of it is a problem until it
    can.
    """
    allow_files(settings.connections + _OTHER_FILES)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stopping.set)
    starting = asyncio.create_task(_start(store))
    try:
        async with serving(store, settings, commands, trace_url, tick_after_s) as port:
            say(
                f"serving http://{settings.host}:{port}/ and below it /api/v1 ({openapi.PATH}"
                " describes it)"
            )
            await stopping.wait()
            end_within(ENDS_WITHIN_S)
    finally:
        starting.cancel()
        await store.close()


async def _start(store: Store) -> None:
    while True:
        try:
            await store.start()
        except (StoreRefused, StoreUnavailable) as fault:
            _log.error("api.store_not_started", reason=str(fault))
            await asyncio.sleep(_STARTS_EVERY_S)
        else:
            return
