"""What every worker's process has beside its work, whichever work that is."""

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest

from streams import metrics
from streams.process.runtime import Runtime
from streams.state.position import Refused


class Idle:
    """Work that has nothing to do."""

    moves = 0

    def lanes_with_work(self) -> Mapping[int, int]:
        """None."""
        return {}


class Opened:
    """A runtime whose work becomes ready when a test says so."""

    def __init__(self) -> None:
        self.ready = False
        self.runtime = Runtime("test", "127.0.0.1", 0, Idle(), lambda: self.ready)

    async def get(self, path: str) -> str:
        """The text of a page."""
        url = f"http://127.0.0.1:{self.runtime.port}{path}"
        async with aiohttp.request("GET", url) as answer:
            return await answer.text()


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    """It is closed after the test."""
    opened = Opened()
    await opened.runtime.open()
    yield opened
    await opened.runtime.close()
    metrics.READY.remove("test")


async def test_ready_is_the_same_on_its_page_and_in_the_metrics(opened: Opened) -> None:
    """At every moment, from the start on."""
    sample = 'sentinel_ready{stage="test"}'
    assert (await opened.get("/ready"), await opened.get("/live")) == (
        "not yet: recovering\n",
        "moving\n",
    )
    assert f"{sample} 0.0" in await opened.get("/metrics")
    opened.ready = True
    assert await opened.get("/ready") == "ready\n"
    assert f"{sample} 1.0" in await opened.get("/metrics")


async def test_rounds_run_until_they_are_ended(opened: Opened) -> None:
    """Nothing of them is left when what they look at goes away."""
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def waits() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    opened.runtime.begin_rounds(waits)
    await begun.wait()
    opened.runtime.end_rounds()
    await asyncio.wait_for(cancelled.wait(), 30)


async def test_a_port_that_is_taken_is_refused_with_what_to_set() -> None:
    """A person reads the line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        runtime = Runtime("test", "127.0.0.1", port, Idle(), lambda: True)
        with pytest.raises(Refused, match=r"set worker\.health_host and worker\.health_port"):
            await runtime.open()


@pytest.mark.parametrize(
    ("begin", "status", "line"),
    [
        ("runtime.begin_rounds(raises)", 70, "ending, since RuntimeError: boom"),
        ("runtime.begin_checks(raises)", 70, "ending, since RuntimeError: boom"),
        ("runtime.begin_checks(hangs)", 75, "the event loop does not run"),
    ],
)
def test_rounds_and_checks_end_the_process_when_they_raise_or_hang(
    begin: str, status: int, line: str
) -> None:
    """Nobody awaits them, so nobody else would notice."""
    done = subprocess.run(
        [sys.executable, "-c", _RUNNING.format(begin=begin)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == status, done.stderr
    assert re.search(line, done.stderr)


_RUNNING = """
import asyncio
from streams.process import watchdog
from streams.process.runtime import Runtime
from tests.streams.test_runtime import Idle

watchdog.MOVING = 2

async def raises():
    raise RuntimeError("boom")

async def hangs():
    await asyncio.Event().wait()

async def run():
    runtime = Runtime("test", "127.0.0.1", 0, Idle(), lambda: True)
    await runtime.open()
    {begin}
    await asyncio.sleep(60)

asyncio.run(run())
"""
