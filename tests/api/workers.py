"""Workers that say of themselves what a test wants."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate

from aiohttp import web


class Workers:
    """Four workers that say what a test wants, and may stop doing so."""

    def __init__(self) -> None:
        self.moved_ago_s = 1.0
        self.lag = 0
        self.clock_ahead_s = 0.0
        self.urls: tuple[str, ...] = ()

    async def answer(self, request: web.Request) -> web.Response:
        """Metrics of a stage with two lanes."""
        stage, now = request.match_info["stage"], time.time() + self.clock_ahead_s
        lines = [
            f'sentinel_ready{{stage="{stage}"}} 1',
            f"sentinel_sink_lag_timestamp_seconds {now - self.moved_ago_s}",
            f"sentinel_lane_ends_timestamp_seconds {now - self.moved_ago_s}",
        ]
        for lane in ("0", "1"):
            if stage == "sink":
                lines.append(
                    f'sentinel_sink_lag{{topic="incidents",partition="{lane}"}} {self.lag}'
                )
            else:
                labels = f'{{stage="{stage}",lane="{lane}"}}'
                moved = f"sentinel_lane_progress_timestamp_seconds{labels} {now - self.moved_ago_s}"
                lines += [f"sentinel_lane_lag{labels} {self.lag}", moved]
        return web.Response(
            text="\n".join(lines) + "\n", headers={"Date": formatdate(now, usegmt=True)}
        )


@asynccontextmanager
async def answering() -> AsyncIterator[Workers]:
    """Workers at addresses of their own."""
    made = Workers()
    app = web.Application()
    app.router.add_get("/{stage}/metrics", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        port = runner.addresses[0][1]
        made.urls = tuple(
            f"http://127.0.0.1:{port}/{stage}" for stage in ("detect", "correlate", "alert", "sink")
        )
        yield made
    finally:
        await runner.cleanup()
