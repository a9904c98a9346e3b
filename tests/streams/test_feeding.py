"""Blocks on their way from the worker's stream to its lanes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from streams.lane.dispatching import Feeder
from streams.records.blocks import STEP_RECORDS, Block
from streams.records.contents import Content

Take = Callable[[Block], Coroutine[Any, Any, None]]


def block(partition: int, start: int, count: int = 1) -> Block:
    """Neighbouring records, without what they hold."""
    return Block(("t", partition), start, start + count, Content([b""] * count, {}, {}, []))


@asynccontextmanager
async def feeding(take: Take) -> AsyncIterator[Feeder]:
    """A feeder that is stopped in the end."""
    feeder = Feeder(take)
    try:
        yield feeder
    finally:
        await feeder.stop()


async def test_a_lane_that_waits_holds_up_no_other() -> None:
    """Fed from one stream, one lane stands at its first block, and the other takes all of its
    own.
    """
    taken: list[tuple[int, int]] = []
    goes_on, done = asyncio.Event(), asyncio.Event()

    async def take(fed: Block) -> None:
        if fed.partition == 0:
            await goes_on.wait()
        taken.append((fed.partition, fed.next_offset))
        if fed.next_offset == 5:
            done.set()

    async with feeding(take) as feeder:
        for start in range(5):
            await feeder.put(block(0, start))
            await feeder.put(block(1, start))
        await asyncio.wait_for(done.wait(), 10)
        assert {partition for partition, _ in taken} == {1}
        done.clear()
        goes_on.set()
        await asyncio.wait_for(done.wait(), 10)
        assert [end for partition, end in taken if partition == 0][-1] == 5


async def test_what_waits_together_becomes_one_step_if_it_is_of_neighbours_and_not_too_much() -> (
    None
):
    """In order, and nothing is left out; a block of another assignment begins a step of its own."""
    taken: list[tuple[int, int, int]] = []
    began, goes_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def take(fed: Block) -> None:
        began.set()
        await goes_on.wait()
        taken.append((fed.start, fed.next_offset, len(fed)))
        if fed.start == 7:
            done.set()

    async with feeding(take) as feeder:
        await feeder.put(block(3, 0))
        await asyncio.wait_for(began.wait(), 10)
        large = STEP_RECORDS - 2
        for start, count in ((1, 2), (3, 2), (3, large), (large + 3, 2), (large + 5, 1), (7, 1)):
            await feeder.put(block(3, start, count))
        goes_on.set()
        await asyncio.wait_for(done.wait(), 10)
    assert taken == [
        (0, 1, 1),
        (1, 5, 4),
        (3, large + 5, STEP_RECORDS),
        (large + 5, large + 6, 1),
        (7, 8, 1),
    ]


async def test_a_stream_waits_for_a_full_lane_and_a_stopped_feeder_hands_nothing_on() -> None:
    """Memory is bounded."""
    taken = 0

    async def take(fed: Block) -> None:
        nonlocal taken
        taken += 1
        await asyncio.Event().wait()

    async with feeding(take) as feeder:

        async def put_many() -> None:
            for start in range(100):
                await feeder.put(block(0, 2 * start))

        putting = asyncio.create_task(put_many())
        _, waiting = await asyncio.wait({putting}, timeout=0.2)
        assert waiting == {putting}
        putting.cancel()
    assert taken == 1


async def test_stopping_breaks_off_no_step() -> None:
    """Its outputs are carried out to the end, and what waits behind it is dropped, whoever still
    puts.
    """
    began, answered = asyncio.Event(), asyncio.Event()
    done: list[int] = []

    async def take(taken: Block) -> None:
        began.set()
        await answered.wait()
        done.append(taken.start)

    feeder = Feeder(take)
    await feeder.put(block(3, 0, 1))
    await began.wait()
    for start in range(1, 9):
        await feeder.put(block(3, start, 1))
    putting = asyncio.create_task(feeder.put(block(3, 9, 1)))
    await asyncio.sleep(0)
    stopping = asyncio.create_task(feeder.stop())
    await asyncio.sleep(0.01)
    assert not stopping.done()
    answered.set()
    async with asyncio.timeout(5):
        await stopping
        await putting
    assert done == [0]
