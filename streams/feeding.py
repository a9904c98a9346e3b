"""From the worker's one stream to its lanes: a lane that flushes, or waits for an acknowledgement, holds up no other (§6)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from streams.blocks import STEP_RECORDS, Block
from streams.ending import ends_process

_WAITING: Final = 8
"""Blocks of a partition that wait at most; then the stream waits, and with it the fetcher."""


class Feeder:
    """A queue and a task for each partition that was ever fed. What it hands on is in order; neighbours that wait together become one step, since a
    step costs most of a millisecond, however few records it has."""

    def __init__(self, take: Callable[[Block], Awaitable[None]]) -> None:
        self._take = take
        self._queues: dict[int, asyncio.Queue[Block]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def put(self, block: Block) -> None:
        """Hands a block on; waits while its partition has many waiting."""
        queue = self._queues.get(block.partition)
        if queue is None:
            queue = self._queues[block.partition] = asyncio.Queue(_WAITING)
            name = f"sentinel-lane-{block.partition}"
            self._tasks.append(asyncio.create_task(ends_process(self._feed)(queue), name=name))
        await queue.put(block)

    async def stop(self) -> None:
        """Hands nothing on any more; what waits is dropped. No step is broken off: a lane carries out its outputs to the end."""
        tasks, self._tasks, self._queues = self._tasks, [], {}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _feed(self, queue: asyncio.Queue[Block]) -> None:
        kept: Block | None = None
        while True:
            blocks = [await queue.get() if kept is None else kept]
            kept, held = None, blocks[0].held
            while kept is None and not queue.empty():
                block = queue.get_nowait()
                held += block.held
                if block.start == blocks[-1].next_offset and held <= STEP_RECORDS:
                    blocks.append(block)
                else:
                    kept = block
            await self._take(Block.joined(blocks))
            # Not kept while it waits for the next: it has been read.
            blocks.clear()
