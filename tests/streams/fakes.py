"""Lanes without a broker: a state store in memory, a sender that can fail, and a manual clock."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka.errors import ProducerFenced

from streams.lane.effects import Effect
from streams.lane.lane_set import LaneSet
from streams.lane.outgoing import Outgoing, Step
from streams.lane.program import LaneProgram, Stage
from streams.lane.state_store import RowChanges, StoredLane, TopicRecords
from streams.records.blocks import Block
from streams.settings import Lanes
from streams.state.position import KEY, Committed, Log, Position

TOPIC = "t.telemetry"


@dataclass
class Memory:
    """What is committed of every lane of a stage, and which store owns it. `fails` is raised by the
    next commit, before anything of it is there.
    """

    rows: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    records: list[tuple[int, TopicRecords]] = field(default_factory=list)
    """Of other topics, each with its partition."""
    owner: dict[int, "MemoryStateStore"] = field(default_factory=dict)
    commits: int = 0
    fails: Exception | None = None
    meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = None
    """Happens while a commit waits for the broker."""

    def position(self, partition: int) -> int:
        """The committed position."""
        return Position.from_bytes(self.rows[partition][KEY]).offset

    def others(self) -> list[TopicRecords]:
        """Records of other topics, in the order in which they were committed."""
        return [records for _, records in self.records]


class MemoryStateStore:
    """One worker's store (streams.lane.state_store: `StateStore`) over a `Memory` that it
    shares.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._open: set[int] = set()

    async def open(
        self, partitions: Collection[int], on_progress: Callable[[], None]
    ) -> dict[int, StoredLane]:
        stored = {}
        for partition in partitions:
            self._memory.owner[partition] = self
            self._open.add(partition)
            rows = dict(self._memory.rows.get(partition, {}))
            if rows:
                on_progress()
            position = rows.pop(KEY, None)
            stored[partition] = StoredLane(
                rows, None if position is None else Position.from_bytes(position)
            )
        return stored

    async def commit(
        self,
        partition: int,
        position: Position,
        rows: RowChanges = (),
        records: Sequence[TopicRecords] = (),
    ) -> int:
        memory = self._memory
        assert partition in self._open
        changed = [*rows, (KEY, position.to_bytes())]
        if memory.meanwhile is not None:
            await memory.meanwhile()
        if memory.owner[partition] is not self:
            raise ProducerFenced
        if memory.fails is not None:
            raise memory.fails
        table = memory.rows.setdefault(partition, {})
        for key, value in changed:
            if value is None:
                table.pop(key, None)
            else:
                table[key] = value
        memory.records += [(partition, each) for each in records]
        memory.commits += 1
        return len(changed)

    async def close(self, partition: int) -> None:
        self._open.remove(partition)


@dataclass
class Counting:
    """A lane program that counts its records and sends each one's offset on."""

    partition: int
    count: int = 0
    wants_ticks: bool = True
    last_append: int | None = None
    passes_us: int = 3_600_000_000
    """By how much each block moves its time: of a log that is read later, by more than passes
    meanwhile.
    """
    needs: frozenset[str] = frozenset()
    flush: bool = False
    """Whether each step must be durable at once."""
    effects: list[Effect] = field(default_factory=list)
    """What each step decides to do to the world."""
    works: Callable[[], None] = lambda: None
    """Happens within each step."""

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        self.count = int(rows.get(b"count", b"0"))

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        yield b"count", b"%d" % self.count

    def settings_named(self, block: Block) -> set[str]:
        return set(self.needs)

    def step(self, block: Block) -> Step:
        self.works()
        offsets = block.offsets().tolist()
        self.count += len(offsets)
        if offsets:
            self.last_append = (self.last_append or 0) + self.passes_us
        sent = [Outgoing("t.out", b"k", b"%d" % offset) for offset in offsets]
        kept = [("t.aggregates", b"k", [b"%d" % offset]) for offset in offsets]
        return Step(now=sent, with_state=kept, flush=self.flush, effects=list(self.effects))


@dataclass
class FakeSender:
    """Remembers what was sent; `fails` is raised instead, when it is set, and `waits` is waited
    for.
    """

    sent: list[int] = field(default_factory=list)
    fails: Exception | None = None
    waits: asyncio.Event | None = None

    async def send(self, records: Sequence[Outgoing]) -> None:
        if self.fails is not None:
            raise self.fails
        if self.waits is not None:
            await self.waits.wait()
        self.sent += [int(record.value or b"") for record in records]


@dataclass
class FakeLogs:
    """One log for every partition."""

    log: Log = field(default_factory=lambda: Log("id-1", 0, 1_000_000))
    committed_offset: Committed | None = None

    async def describe(self, partitions: Collection[int]) -> dict[int, Log]:
        return dict.fromkeys(partitions, self.log)

    async def committed(self, partition: int) -> Committed | None:
        return self.committed_offset


@dataclass
class FakeSettings:
    """Knows nothing, and notes what was waited for."""

    waited: list[str] = field(default_factory=list)
    caught_up: int = 0
    never: bool = False
    """Whether a version that is waited for never comes."""

    async def wait_for(self, version: str) -> None:
        self.waited.append(version)
        if self.never:
            await asyncio.Event().wait()

    async def catch_up(self) -> None:
        self.caught_up += 1


@dataclass
class Machine:
    """One worker after another over the same topics, on a clock set by hand."""

    memory: Memory = field(default_factory=Memory)
    now: float = 1000.0
    cpu: float = 0.0
    sender: FakeSender = field(default_factory=FakeSender)
    logs: FakeLogs = field(default_factory=FakeLogs)
    settings: FakeSettings = field(default_factory=FakeSettings)
    new_lane: Callable[[int], LaneProgram] = Counting

    def worker(self, limits: Lanes | None = None) -> LaneSet:
        """A worker without lanes yet."""
        stage = Stage(
            "detect",
            TOPIC,
            "t.detect-state",
            "t.detect",
            lambda partition: self.new_lane(partition),
        )
        return LaneSet(
            stage,
            limits or Lanes(),
            MemoryStateStore(self.memory),
            self.sender,
            self.logs,
            self.settings,
            settings=self.settings,
            monotonic=lambda: self.now,
            cpu_time=lambda: self.cpu,
            wall=lambda: self.now,
        )


@pytest.fixture
def machine() -> Machine:
    """A machine whose lanes keep their state in memory."""
    return Machine()
