"""What the workers of a small installation would say of themselves, for the views of stages and
lanes.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

STAGES: Final = ("detect", "correlate", "alert", "sink")


@asynccontextmanager
async def answering() -> AsyncIterator[tuple[str, ...]]:
    """URLs of workers that answer, each of another stage, and of one that does not: what
    `api.workers` names.
    """

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=_told(request.match_info["stage"]), content_type="text/plain")

    app = web.Application()
    app.router.add_get("/{stage}/metrics", metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield tuple(f"http://127.0.0.1:{runner.addresses[0][1]}/{stage}" for stage in STAGES)
    finally:
        await runner.cleanup()


def _told(stage: str) -> bytes:
    registry = CollectorRegistry()
    Gauge("sentinel_ready", "", ["stage"], registry=registry).labels(stage).set(1)
    lag = Gauge("sentinel_lane_lag", "", ["stage", "lane"], registry=registry)
    moved = Gauge(
        "sentinel_lane_progress_timestamp_seconds", "", ["stage", "lane"], registry=registry
    )
    for lane in range(4):
        lag.labels(stage, str(lane)).set({"detect": 120, "sink": 3}.get(stage, 0) * lane)
        moved.labels(stage, str(lane)).set(time.time() - 2 - lane)
    counted = {"sentinel_records": 28_193, "sentinel_events": 28_120, "sentinel_late_events": 14}
    if stage == "detect":
        counted["sentinel_bad_records"] = 2
    for name, count in counted.items():
        Counter(name, "", registry=registry).inc(count)
    return generate_latest(registry)
