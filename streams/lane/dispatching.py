"""From the worker's one stream to its lanes: a lane that flushes, or waits for an acknowledgement,
holds up no other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from streams.exit_status import ends_process
from streams.records.blocks import STEP_RECORDS, Block

_WAITING: Final = 8
"""Maximum number of waiting blocks of a partition; then the stream waits, and with it the
fetcher.
"""

_STOP_S: Final = 5.0
"""How long a stopped feeder waits for what is handed on. A worker's lanes are suspended before,
which waits for their steps.
"""


class Feeder:
    """A queue and a task for each partition that was ever fed. Blocks are handed on in order;
    neighbouring blocks that wait together become one step, since a step costs most of a
    millisecond even with few records.
    """

    def __init__(self, process: Callable[[Block], Awaitable[None]]) -> None:
        self._process = process
        self._queues: dict[int, asyncio.Queue[Block | None]] = {}
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
        """Hands on nothing more; waiting blocks are dropped. A step in progress is not interrupted:
        this returns when it is carried out, or cancels it after `_STOP_S`.
        """
        tasks, queues, self._tasks, self._queues = self._tasks, self._queues, [], {}
        for queue in queues.values():
            while not queue.empty():
                queue.get_nowait()
            queue.put_nowait(None)
        if not tasks:
            return
        _, stuck = await asyncio.wait(tasks, timeout=_STOP_S)
        for task in stuck:
            task.cancel()
        if stuck:
            await asyncio.wait(stuck)

    async def _feed(self, queue: asyncio.Queue[Block | None]) -> None:
        kept: Block | None = None
        while True:
            first = await queue.get() if kept is None else kept
            if first is None:
                return
            blocks, kept, held = [first], None, first.held
            while kept is None and not queue.empty():
                block = queue.get_nowait()
                if block is None:
                    return
                held += block.held
                if block.start == blocks[-1].next_offset and held <= STEP_RECORDS:
                    blocks.append(block)
                else:
                    kept = block
            await self._process(Block.joined(blocks))
            # Released before the wait for the next block, which may be long.
            blocks.clear()
            del first
