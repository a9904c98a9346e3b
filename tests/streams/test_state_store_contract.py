"""What every state store promises its lanes: the real one on Kafka, and the one that tests use."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiokafka.consumer.fetcher as fetcher
import pytest
from aiokafka.errors import KafkaError, ProducerFenced
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streams.client.brokers import aiokafka_config
from streams.client.fetch_parsing import ColumnRecords
from streams.lane.changelog import read_back
from streams.lane.kafka_state_store import KafkaStateStore
from streams.lane.state_store import StateStore, StoredLane
from streams.records.record_batches import FetchedBytes
from streams.settings import Broker
from streams.state.position import Position
from tests.streams.fakes import Memory, MemoryStateStore

LANES = 3
AT_10, AT_20 = Position(10, "id-1"), Position(20, "id-1")


class World(Protocol):
    """One stage's state, which the stores of several workers share."""

    output: str
    """A topic whose records may be committed together with state."""

    def worker(self) -> StateStore:
        """The store of one more worker."""
        ...

    async def outputs(self, partition: int) -> dict[bytes, bytes]:
        """The last committed value of each key in a partition of `output`."""
        ...


@dataclass
class InMemory:
    """Stores over one `Memory`."""

    output: str = "out"
    memory: Memory = field(default_factory=Memory)

    def worker(self) -> StateStore:
        return MemoryStateStore(self.memory)

    async def outputs(self, partition: int) -> dict[bytes, bytes]:
        return {
            key: values[-1]
            for at, (_, key, values) in self.memory.records
            if at == partition and values
        }


@dataclass
class OnKafka:
    """Stores over one state topic of a broker."""

    client: Mapping[str, Any]
    state: str
    output: str

    def worker(self) -> StateStore:
        return KafkaStateStore(self.client, self.state, f"{self.state}-")

    async def outputs(self, partition: int) -> dict[bytes, bytes]:
        return (await read_back(self.client, self.output, [partition]))[partition]


@pytest.fixture(params=["memory", "kafka"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    """A stage without state yet."""
    if request.param == "memory":
        return InMemory()
    # Consumers hand over blocks, as in a worker.
    monkeypatch.setattr(fetcher, "PartitionRecords", ColumnRecords)
    monkeypatch.setattr(fetcher, "MemoryRecords", FetchedBytes)
    prefix = request.getfixturevalue("topic_prefix")
    broker = Broker(bootstrap_servers=request.getfixturevalue("kafka"), topic_prefix=prefix)
    state, output = f"{prefix}state", f"{prefix}out"
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    made = admin.create_topics(
        [NewTopic(state, LANES, config={"cleanup.policy": "compact"}), NewTopic(output, LANES)]
    )
    for each in made.values():
        each.result(120)
    return OnKafka(aiokafka_config(broker), state, output)


class Worker:
    """A store that remembers which lanes it owns, so that the test can release them at its end."""

    def __init__(self, store: StateStore) -> None:
        self.store, self.owned, self.progress = store, set[int](), 0

    async def open(self, *partitions: int) -> dict[int, StoredLane]:
        opened = await self.store.open(partitions, self._count)
        self.owned |= set(partitions)
        return opened

    async def close(self) -> None:
        for partition in self.owned:
            # A fenced producer complains when it is stopped.
            with suppress(KafkaError):
                await self.store.close(partition)
        self.owned = set()

    def _count(self) -> None:
        self.progress += 1


@pytest.fixture
async def workers(world: World) -> AsyncIterator[Sequence[Worker]]:
    """Two workers of the stage."""
    made = [Worker(world.worker()) for _ in range(2)]
    yield made
    for worker in made:
        await worker.close()


async def test_a_lane_without_commits_has_no_rows_and_no_position(
    workers: Sequence[Worker],
) -> None:
    """The lane set then looks for a committed offset, or begins where the log begins."""
    assert await workers[0].open(0, 2) == {0: StoredLane({}, None), 2: StoredLane({}, None)}


async def test_the_next_owner_reads_the_last_value_of_each_row_and_the_last_position(
    workers: Sequence[Worker],
) -> None:
    """Over several commits; without deleted rows, and without those of other lanes."""
    first, second = workers
    large = {b"large/%d" % number: bytes([number]) * 400_000 for number in range(12)}
    await first.open(0, 1)
    assert await first.store.commit(1, AT_10, [(b"a", b"1"), (b"b", b"1"), (b"c", b"1")]) == 4
    await first.store.commit(1, AT_10, [(b"a", b"2"), (b"b", None), (b"never", None)])
    await first.store.commit(1, AT_10, iter(large.items()))
    assert await first.store.commit(1, AT_20) == 1
    await first.store.commit(0, AT_10)
    await first.close()
    assert await second.open(0, 1) == {
        0: StoredLane({}, AT_10),
        1: StoredLane({b"a": b"2", b"c": b"1", **large}, AT_20),
    }
    assert second.progress > 0


async def test_rows_position_and_records_are_committed_all_or_none(
    world: World, workers: Sequence[Worker]
) -> None:
    """Rows that fail while they are produced take the position and the records with them."""

    def failing() -> Iterator[tuple[bytes, bytes | None]]:
        yield b"b", b"1"
        raise RuntimeError("no rows")

    first, second = workers
    await first.open(1)
    await first.store.commit(1, AT_10, [(b"a", b"1")], [(world.output, b"k", [b"x", b"y"])])
    with pytest.raises(RuntimeError):
        await first.store.commit(1, AT_20, failing(), [(world.output, b"k", [b"z"])])
    assert await second.open(1) == {1: StoredLane({b"a": b"1"}, AT_10)}
    assert (await world.outputs(1), await world.outputs(0)) == ({b"k": b"y"}, {})


async def test_a_previous_owner_is_fenced_as_soon_as_the_lane_is_opened(
    world: World, workers: Sequence[Worker]
) -> None:
    """Before the new owner has written anything; nothing of the late commit is ever visible."""
    zombie, heir = workers
    await zombie.open(0, 1)
    await zombie.store.commit(1, AT_10, [(b"a", b"zombie")])
    assert await heir.open(1) == {1: StoredLane({b"a": b"zombie"}, AT_10)}
    # However often it tries: each time for the same reason.
    for _ in range(2):
        with pytest.raises(ProducerFenced):
            await zombie.store.commit(
                1, AT_20, [(b"a", b"late")], [(world.output, b"k", [b"late"])]
            )
    # Lanes are fenced one by one: what it still owns goes on.
    await zombie.store.commit(0, AT_20)
    await heir.store.commit(1, AT_10, [(b"b", b"heir")])
    await zombie.close()
    await heir.close()
    assert await zombie.open(0, 1) == {
        0: StoredLane({}, AT_20),
        1: StoredLane({b"a": b"zombie", b"b": b"heir"}, AT_10),
    }
    assert await world.outputs(1) == {}


async def test_a_lane_that_was_released_can_be_opened_again(workers: Sequence[Worker]) -> None:
    """By the same worker, as after two rebalances; releasing writes nothing."""
    (worker, _) = workers
    await worker.open(2)
    await worker.store.commit(2, AT_10, [(b"a", b"1")])
    await worker.close()
    assert await worker.open(2) == {2: StoredLane({b"a": b"1"}, AT_10)}
    await worker.store.commit(2, AT_20)
