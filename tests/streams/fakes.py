"""Lanes without a broker: a state topic that fences, a sender that can fail, a clock that is set by
hand.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from aiokafka.errors import ProducerFenced

from streams.lane.changelog import Rows
from streams.lane.lane_set import LaneSet
from streams.lane.outgoing import Outgoing, Step
from streams.lane.program import LaneProgram, Stage
from streams.records.blocks import Block
from streams.settings import Lanes
from streams.state.position import KEY, Committed, Log, Position

TOPIC = "t.telemetry"


@dataclass
class StateTopics:
    """What is committed of every lane's state, and who owns it. `fails` raises in the next commit,
    before anything of it is there.
    """

    rows: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    others: list[tuple[str, bytes, list[bytes]]] = field(default_factory=list)
    owner: dict[str, "FakeChangelog"] = field(default_factory=dict)
    commits: int = 0
    fails: Exception | None = None
    meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = None
    """Happens while a commit waits for the broker."""

    def position(self, partition: int) -> int:
        """The committed position."""
        return Position.from_bytes(self.rows[partition][KEY]).offset


class FakeChangelog:
    """As `streams.lane.changelog.Changelog`, over `StateTopics`."""

    topics: ClassVar[StateTopics]

    def __init__(
        self, client: Mapping[str, Any], transactional_id: str, topic: str, partition: int
    ) -> None:
        self._id, self._partition = transactional_id, partition

    async def open(self) -> None:
        self.topics.owner[self._id] = self

    async def close(self) -> None:
        pass

    async def commit(
        self, rows: Rows, others: Sequence[tuple[str, bytes, list[bytes]]] = ()
    ) -> int:
        if self.topics.owner[self._id] is not self:
            raise ProducerFenced
        if self.topics.fails is not None:
            raise self.topics.fails
        table = self.topics.rows.setdefault(self._partition, {})
        rows = list(rows)
        for key, value in rows:
            if value is None:
                del table[key]
            else:
                table[key] = value
        if self.topics.meanwhile is not None:
            await self.topics.meanwhile()
        self.topics.others += others
        self.topics.commits += 1
        return len(rows)


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
    after: list[str] = field(default_factory=list)
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
        return Step(
            now=sent, with_state=kept, flush=self.flush, then=[lambda: self.after.append("then")]
        )


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

    topics: StateTopics
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
            {},
            self.sender,
            self.logs,
            self.settings,
            transactional_prefix="t.",
            monotonic=lambda: self.now,
            cpu_time=lambda: self.cpu,
            wall=lambda: self.now,
        )


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine whose lanes keep their state in memory."""
    topics = StateTopics()

    async def read_back(
        client: Mapping[str, Any],
        topic: str,
        partitions: Collection[int],
        moved: Callable[[], None],
        check_crcs: bool = True,
    ) -> dict[int, dict[bytes, bytes]]:
        return {partition: dict(topics.rows.get(partition, {})) for partition in partitions}

    monkeypatch.setattr(FakeChangelog, "topics", topics, raising=False)
    monkeypatch.setattr("streams.lane.lane_set.Changelog", FakeChangelog)
    monkeypatch.setattr("streams.lane.lane_set.read_back", read_back)
    return Machine(topics)
