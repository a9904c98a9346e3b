"""What the API tells of the workers, from their own metrics."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from schemas.secrets import Secret
from streams import metrics
from streams.process.health import HealthServer
from topology.api.pipeline import INPUTS
from topology.api.settings import ApiSettings, TenantToken


@pytest.fixture
async def worker() -> AsyncIterator[str]:
    """The health server of a worker that has two lanes."""
    for lane in ("2", "10"):
        metrics.LAG.labels("detect", lane).set(int(lane) * 100)
        metrics.PROGRESS.labels("detect", lane).set(1_780_000_000.5)
        metrics.LATE_EVENTS.labels("detect", lane).inc(3)
    metrics.HELD_SINCE.labels("t.telemetry", "10").set(1_780_000_100.0)
    metrics.HELD_RECORDS.labels("t.telemetry", "10").set(70)
    metrics.HELD_SINCE.labels("t.settings", "0").set(1_780_000_200.0)
    metrics.ATTEMPTS.labels("on-call", "delivered").inc(4)
    metrics.ATTEMPTS.labels("on-call", "server fault").inc(2)
    server = HealthServer("detect", "127.0.0.1", 0, lambda: None, lambda: True)
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


async def test_each_worker_tells_its_lanes_and_what_it_counted(
    served: Any, worker: str, stranger: str
) -> None:
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


LANES = ("at rest", "behind", "held")


@pytest.mark.parametrize(
    ("stage", "stalled"), [("detect", set(LANES)), ("correlate", {"behind", "held"})]
)
async def test_a_lane_that_nothing_comes_for_is_at_rest_while_the_broker_says_so(
    served: Any, stage: str, stalled: set[str]
) -> None:
    """But not in detect, whose lanes get ticks; nor with records before it, nor where a transaction
    holds them back.
    """
    now = time.time()
    for lane in LANES:
        metrics.LAG.labels(stage, lane).set(lane == "behind")
        metrics.PROGRESS.labels(stage, lane).set(now - 900)
    metrics.HELD_SINCE.labels(f"t.{INPUTS[stage]}", "held").set(now - 900)
    metrics.ENDS_ASKED.set(now - 3)
    server = HealthServer(stage, "127.0.0.1", 0, lambda: None, lambda: True)
    await server.start()
    try:
        ask = await served(workers=(f"http://127.0.0.1:{server.port}",))
        (told,) = (await ask("/api/v1/pipeline"))[1]["workers"]
    finally:
        await server.stop()
        metrics.ENDS_ASKED.set(0)
        for metric in (metrics.READY, metrics.LAG, metrics.PROGRESS, metrics.HELD_SINCE):
            metric.clear()
    assert {one["lane"] for one in told["lanes"] if one["age_s"] > 60} == {
        f"{stage}/{one}" for one in stalled
    }


async def test_the_pipeline_is_for_operators(served: Any) -> None:
    """What workers count is of all tenants."""
    token = "a" * 32
    ask = await served(token=Secret("o" * 32), tenant_tokens=(TenantToken("acme", Secret(token)),))
    assert (await ask("/api/v1/pipeline", Authorization=f"Bearer {token}"))[0] == 403


def test_a_worker_has_an_address() -> None:
    """A name alone is none."""
    with pytest.raises(ValueError, match="no http:// address"):
        ApiSettings(workers=("detect:8080",))


READY = 'sentinel_ready{stage="detect"} 1\n'
LANE = '{stage="detect",lane="0"}'


@pytest.mark.parametrize(
    "nonsense",
    [
        f"sentinel_lane_lag{LANE} +Inf\n",
        f"sentinel_lane_lag{LANE} NaN\n",
        f"sentinel_lane_lag{LANE} 1e300\n",
        "sentinel_ready 1\n",
        'sentinel_lane_lag{stage="detect"} 1\n',
        'sentinel_lane_lag{stage="detect",lane="²"} 1\n',
        "sentinel_records_total +Inf\n",
        f"sentinel_records_total{LANE} +Inf\nsentinel_records_total -Inf\n",
        "".join(f'sentinel_events_total{{lane="{n}"}} 9e15\n' for n in range(2000)),
        f"sentinel_lane_lag{LANE} 1\nsentinel_lane_progress_timestamp_seconds{LANE} NaN\n",
        f"sentinel_lane_lag{LANE} 1\nsentinel_lane_progress_timestamp_seconds{LANE} -1e308\n",
        'sentinel_held_since_timestamp_seconds{topic="t",partition="0"} +Inf\n',
        (
            'sentinel_held_since_timestamp_seconds{topic="t",partition="0"}'
            ' 1\nsentinel_held_records{topic="t",partition="0"} NaN\n'
        ),
        'sentinel_delivery_attempts_total{outcome="delivered"} NaN\n',
        "sentinel_sink_documents_total 1\n",
        "Date: Thu, 01 Jan 1970 00:01:00 +99999999999999",
        "Date: 1 Jan 99999999999 00:00:00",
    ],
)
async def test_a_worker_that_answers_nonsense_hides_no_other(
    served: Any, worker: str, nonsense: str
) -> None:
    """It is told so by its address; the others, and the overview, are shown to everybody."""
    app = web.Application()

    async def page(request: web.Request) -> web.Response:
        if nonsense.startswith("Date: "):
            return web.Response(text=READY, headers={"Date": nonsense.removeprefix("Date: ")})
        return web.Response(text=READY + nonsense)

    app.router.add_get("/metrics", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    strange = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        ask = await served(workers=(worker, strange))
        for times in ("us", "rfc3339"):
            status, told = await ask(f"/api/v1/pipeline?times={times}")
            assert status == 200
            good, bad = told["workers"]
            assert (good["up"], len(good["lanes"])) == (True, 3)
            assert (bad["address"], bad["up"]) == (strange, False)
            assert bad["error"].startswith("answers with ")
        status, told = await ask("/api/v1/overview")
        assert (status, strange in told["why"]) == (200, True)
    finally:
        await runner.cleanup()


async def test_a_name_that_cannot_be_one_hides_no_worker(served: Any, worker: str) -> None:
    """Only asking for its address finds that out."""
    ask = await served(workers=(worker, "http://a..b:9", f"http://{'a' * 70}.example:9"))
    status, told = await ask("/api/v1/pipeline")
    assert (status, [one["up"] for one in told["workers"]]) == (200, [True, False, False])
