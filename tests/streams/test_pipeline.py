"""A pipeline commits what is written, writes one batch while it prepares the next, and ends."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from streams.client import pipeline as module
from streams.client.committing import Committer
from streams.client.pipeline import Pipeline
from streams.records.blocks import Block
from streams.settings import Broker

TP = TopicPartition("t", 0)


@dataclass
class Numbers:
    """A batch of offsets."""

    positions: dict[tuple[str, int], int] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        """From three on."""
        return len(self.positions) > 2


class Topics:
    """Knows no ids."""

    async def look(self) -> Mapping[str, str | None]:
        """Nothing."""
        return {}


class Consumer:
    """Gives one empty block after another, as fast as it is asked."""

    def __init__(self, **settings: Any) -> None:
        self.committed: list[int] = []
        self.given = 0

    def subscribe(self, topics: list[str], listener: Committer) -> None:
        """Nothing else listens."""
        self._listener = listener

    async def start(self) -> None:
        """Assigns the one partition."""
        await self._listener.on_partitions_assigned([])

    async def stop(self) -> None:
        """Nothing is open."""

    async def getmany(self, timeout_ms: int) -> dict[TopicPartition, list[Block]]:
        """The next block."""
        await asyncio.sleep(0)
        self.given += 1
        return {TP: [Block.empty(("t", 0), self.given - 1, self.given)]}

    def assignment(self) -> set[TopicPartition]:
        """All there is."""
        return {TP}

    async def commit(self, offsets: Mapping[TopicPartition, Any]) -> None:
        """Remembers it."""
        self.committed.append(offsets[TP].offset)


class Work:
    """Writes as long as it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.written: list[int] = []
        self.at_once = 0
        self.prepared = 0

    def new_batch(self) -> Numbers:
        """An empty one."""
        return Numbers()

    def prepare(self, batch: Numbers, block: Block) -> Iterator[None]:
        """Each block grows the batch, so that it is full soon."""
        self.prepared += 1
        batch.positions[f"t{self.prepared}", 0] = block.next_offset
        batch.positions["t", 0] = block.next_offset
        yield

    async def write(self, batch: Numbers) -> None:
        """Waits until it is let."""
        self.at_once += 1
        assert self.at_once == 1
        await self.let.wait()
        self.written.append(batch.positions["t", 0])
        self.at_once -= 1


@pytest.fixture
def consumers(monkeypatch: pytest.MonkeyPatch) -> list[Consumer]:
    """Every consumer that a pipeline makes."""
    made: list[Consumer] = []

    def make(**settings: Any) -> Consumer:
        made.append(Consumer(**settings))
        return made[-1]

    monkeypatch.setattr(module, "AIOKafkaConsumer", make)
    return made


def pipeline_of(work: Work) -> Pipeline[Numbers]:
    """One member of a group."""
    committer = Committer("test", Topics(), lambda topic, partition: None)
    return Pipeline("test", ["t"], work, committer, {}, Broker())


async def _settled() -> None:
    for _ in range(200):
        await asyncio.sleep(0)


async def test_nothing_is_committed_before_it_is_written_nor_read_far_ahead(
    consumers: list[Consumer],
) -> None:
    """While a write waits, one more batch is prepared; then no more is read. What is committed in
    the end is what was written.
    """
    work, stop = Work(), asyncio.Event()
    running = asyncio.create_task(pipeline_of(work).run(stop))
    await _settled()
    (consumer,) = consumers
    assert consumer.committed == []
    read = work.prepared
    assert 2 <= read <= 4
    await _settled()
    assert work.prepared == read
    work.let.set()
    await _settled()
    stop.set()
    await running
    assert work.prepared > read
    assert consumer.committed[-1] == work.written[-1]


async def test_a_stopping_pipeline_commits_the_write_under_way(consumers: list[Consumer]) -> None:
    """And begins no other."""
    work, stop = Work(), asyncio.Event()
    running = asyncio.create_task(pipeline_of(work).run(stop))
    await _settled()
    stop.set()
    await _settled()
    assert not running.done()
    work.let.set()
    await running
    assert len(work.written) == 1
    assert consumers[0].committed == work.written


async def test_what_a_write_raises_ends_the_pipeline(consumers: list[Consumer]) -> None:
    """Before anything of its batch is committed."""

    class Failing(Work):
        async def write(self, batch: Numbers) -> None:
            raise LookupError("disk")

    with pytest.raises(LookupError, match="disk"):
        await pipeline_of(Failing()).run(asyncio.Event())
    assert consumers[0].committed == []
