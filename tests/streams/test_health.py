"""Pages of a worker: liveness is progress, readiness is recovery."""

import aiohttp
import pytest

from streams import metrics
from streams.process.health import HealthServer


@pytest.mark.parametrize(
    ("stalled", "ready", "live", "is_ready"),
    [
        (None, True, (200, "moving\n"), (200, "ready\n")),
        (None, False, (200, "moving\n"), (503, "not yet: recovering\n")),
        (
            "lanes [3] have something to do and did not move",
            True,
            (503, "lanes [3] have something to do and did not move\n"),
            (200, "ready\n"),
        ),
    ],
)
async def test_pages_say_how_it_is(
    stalled: str | None, ready: bool, live: tuple[int, str], is_ready: tuple[int, str]
) -> None:
    """A status for machines, and a line for people."""
    server = HealthServer("test", "127.0.0.1", 0, lambda: stalled, lambda: ready)
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
            for path, expected in (("/live", live), ("/ready", is_ready)):
                async with client.get(path) as answer:
                    assert (answer.status, await answer.text()) == expected
            metrics.LAG.labels("test", 3).set(7)
            async with client.get("/metrics") as answer:
                assert 'sentinel_lane_lag{lane="3",stage="test"} 7.0' in await answer.text()
    finally:
        await server.stop()
        metrics.LAG.remove("test", 3)
        metrics.READY.remove("test")
