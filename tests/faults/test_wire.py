"""The wire does what it is said to do, and those who look see what they are to see."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.faults.running import MOST_GAP_S
from tests.faults.watching import Watch
from tests.faults.wire import Wire
from tests.harness.exactness.plan import Plan
from topology.supervision.ports import free_port


@asynccontextmanager
async def echo() -> AsyncIterator[Wire]:
    """A wire before a server that says back what it is told, line by line."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, Wire(free_port(), ("127.0.0.1", server.sockets[0].getsockname()[1])) as wire:
        yield wire


async def close(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    """However it is."""
    streams[1].close()
    with contextlib.suppress(OSError):
        await streams[1].wait_closed()


async def say(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], line: bytes) -> bytes:
    """What comes back."""
    streams[1].write(line)
    return await streams[0].readline()


async def test_it_passes_swallows_and_passes_again() -> None:
    """A black hole keeps connections and loses nothing of what waits."""
    async with echo() as wire:
        streams = await asyncio.open_connection("127.0.0.1", wire.port)
        assert await say(streams, b"one\n") == b"one\n"
        wire.passes.clear()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(say(streams, b"two\n"), 0.3)
        wire.passes.set()
        assert await asyncio.wait_for(streams[0].readline(), 5) == b"two\n"
        await close(streams)


async def test_it_delays_resets_and_half_closes() -> None:
    """Each as it is said."""
    async with echo() as wire:
        streams = await asyncio.open_connection("127.0.0.1", wire.port)
        wire.delay_s = 0.1
        began = time.monotonic()
        assert await say(streams, b"slow\n") == b"slow\n"
        assert time.monotonic() - began >= 0.2
        wire.delay_s = 0.0
        wire.reset()
        with pytest.raises(ConnectionResetError):
            await say(streams, b"gone\n")
        await close(streams)
        streams = await asyncio.open_connection("127.0.0.1", wire.port)
        assert await say(streams, b"back\n") == b"back\n"
        wire.half_close()
        assert await streams[0].readline() == b""
        await close(streams)


def test_a_lane_that_stands_is_seen_and_one_without_records_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Counted from the end of a harm at the earliest."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    watch = Watch(Plan("nowhere:1"), lambda: now, during="a test")
    watch._see("detect", 0, 5, 9)
    watch._see("detect", 1, 9, 9)
    watch.harmed()
    now = 150.0
    watch._see("detect", 0, 5, 9)
    assert watch.longest_gap_s == 0
    watch.healed()
    now = 150.0 + MOST_GAP_S + 1
    watch._see("detect", 1, 9, 9)
    assert watch.longest_gap_s == 0
    watch._see("detect", 0, 5, 9)
    assert (watch.longest_gap_s, watch.gap_of) == (
        MOST_GAP_S + 1,
        "detect/0 at 5 of 9 during a test",
    )
    assert watch.recovery_s == 0
    watch._see("detect", 0, 6, 9)
    assert watch.recovery_s == MOST_GAP_S + 1
