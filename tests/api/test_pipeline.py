"""What the API tells of the workers, from their own metrics."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from schemas.secrets import Secret
from streams import metrics
from streams.health import HealthServer
from topology.api.settings import ApiSettings, TenantToken


@pytest.fixture
async def worker() -> AsyncIterator[str]:
    """The health server of a worker that has two lanes."""
    metrics.READY.labels("detect").set(1)
    for lane in ("2", "10"):
        metrics.LAG.labels("detect", lane).set(int(lane) * 100)
        metrics.PROGRESS.labels("detect", lane).set(1_780_000_000.5)
        metrics.LATE_EVENTS.labels("detect", lane).inc(3)
    metrics.HELD_SINCE.labels("t.telemetry", "10").set(1_780_000_100.0)
    metrics.HELD_RECORDS.labels("t.telemetry", "10").set(70)
    metrics.HELD_SINCE.labels("t.settings", "0").set(1_780_000_200.0)
    metrics.ATTEMPTS.labels("on-call", "delivered").inc(4)
    metrics.ATTEMPTS.labels("on-call", "server fault").inc(2)
    server = HealthServer("127.0.0.1", 0, lambda: None, lambda: True)
    await server.start()
    yield f"http://127.0.0.1:{server.port}"
    await server.stop()
    for metric in (
        metrics.READY,
        metrics.LAG,
        metrics.PROGRESS,
        metrics.LATE_EVENTS,
        metrics.ATTEMPTS,
        metrics.HELD_SINCE,
        metrics.HELD_RECORDS,
    ):
        metric.clear()


@pytest.fixture
async def stranger() -> AsyncIterator[str]:
    """Something that serves no metrics."""
    app = web.Application()

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<html> not metrics")

    app.router.add_get("/metrics", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_each_worker_tells_its_lanes_and_what_it_counted(served: Any, worker: str, stranger: str) -> None:
    """In the order of the lanes; one that does not answer, or with something else, is told so."""
    ask = await served(workers=(worker, "http://127.0.0.1:9", stranger))
    status, told = await ask("/api/v1/pipeline?times=us")
    assert status == 200
    good, dead, strange = told["workers"]
    assert (good["stage"], good["up"], good["ready"], good["error"]) == ("detect", True, True, None)
    assert [(one["lane"], one["lag"], one["held_since"], one["held"]) for one in good["lanes"]] == [
        ("detect/2", 200, None, 0),
        ("detect/10", 1000, 1_780_000_100_000_000, 70),
        ("t.settings/0", 0, 1_780_000_200_000_000, 0),
    ]
    assert good["lanes"][0]["moved_at"] == 1_780_000_000_500_000
    totals = good["totals"]
    assert (totals["late"], totals["delivered"], totals["failed"]) == (6, 4, 2)
    assert (dead["up"], "does not answer" in dead["error"]) == (False, True)
    assert (strange["up"], "no metrics" in strange["error"]) == (False, True)


async def test_the_pipeline_is_for_operators(served: Any) -> None:
    """What workers count is of all tenants."""
    token = "a" * 32
    ask = await served(token=Secret("o" * 32), tenant_tokens=(TenantToken("acme", Secret(token)),))
    assert (await ask("/api/v1/pipeline", Authorization=f"Bearer {token}"))[0] == 403


def test_a_worker_has_an_address() -> None:
    """A name alone is none."""
    with pytest.raises(ValueError, match="no http:// address"):
        ApiSettings(workers=("detect:8080",))
