"""`/live`, `/ready` and `/metrics` of a worker. Liveness is progress, not a process."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import generate_latest

from streams import metrics
from streams.client.transactions import utc
from streams.state.position import Refused


class HealthServer:
    """Serves the three pages. Port 0 means any free port; `port` is known after
    `start`.
    """

    def __init__(
        self,
        stage: str,
        host: str,
        port: int,
        stalled: Callable[[], str | None],
        ready: Callable[[], bool],
    ) -> None:
        self._stage, self._host, self.port = stage, host, port
        self._stalled, self._ready = stalled, ready
        app = web.Application()
        app.router.add_get("/live", self._live)
        app.router.add_get("/ready", self._is_ready)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> None:
        """Binds. Raises Refused when it cannot."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self.port).start()
        except OSError as fault:
            raise Refused(
                f"health and metrics cannot be served on {self._host}:{self.port}"
                f" ({fault.strerror}); set worker.health_host and worker.health_port"
            ) from fault
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Closes."""
        await self._runner.cleanup()

    async def _live(self, request: web.Request) -> web.Response:
        stalled = self._stalled()
        return web.Response(
            status=503 if stalled else 200, text=(stalled or f"moving{_held()}") + "\n"
        )

    async def _is_ready(self, request: web.Request) -> web.Response:
        ready = self._ready()
        return web.Response(
            status=200 if ready else 503, text="ready\n" if ready else "not yet: recovering\n"
        )

    async def _metrics(self, request: web.Request) -> web.Response:
        # Set when it is asked for, so that it never differs from what /ready says.
        metrics.READY.labels(self._stage).set(self._ready())
        return web.Response(body=generate_latest(metrics.REGISTRY), content_type="text/plain")


def _held() -> str:
    held = metrics.held_partitions()
    if not held:
        return ""
    topic, partition, since = min(held, key=lambda each: each[2])
    more = f" and {len(held) - 1} more partitions are" if len(held) > 1 else " is"
    return f", but {topic}/{partition}{more} held by an open transaction since {utc(since)}"
