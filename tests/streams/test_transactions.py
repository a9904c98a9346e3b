"""Records that an open transaction holds back are seen, and whose it is."""

import asyncio
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.structs import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streams import metrics
from streams.client.brokers import aiokafka_config
from streams.client.transactions import (
    REPORTED_AFTER_S,
    Ends,
    OpenTransactions,
    Transaction,
    ends_of,
    transaction_at,
)
from streams.settings import Broker

LANE = TopicPartition("t.telemetry", 3)
PRODUCER = Transaction(7, "orders-1", 400.0, 900.0)


def _since(tp: TopicPartition = LANE) -> float | None:
    return metrics.REGISTRY.get_sample_value(
        "sentinel_held_since_timestamp_seconds", {"topic": tp.topic, "partition": str(tp.partition)}
    )


def _held(tp: TopicPartition = LANE) -> float | None:
    return metrics.REGISTRY.get_sample_value(
        "sentinel_held_records", {"topic": tp.topic, "partition": str(tp.partition)}
    )


class Watching:
    """A watch over one partition, on a clock set by hand."""

    def __init__(self, found: Transaction = PRODUCER) -> None:
        self.now = 1_000.0
        self.asked = 0
        self._found = found
        self.watch = OpenTransactions(lambda: self.now)

    async def at(self, second: float, stable: int | None, log: int = 0) -> None:
        self.now = 1_000.0 + second
        await self.watch.look_at({} if stable is None else {LANE: Ends(stable, log)}, self._whose)

    async def _whose(self, tp: TopicPartition, offset: int) -> Transaction:
        self.asked += 1
        return self._found


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    metrics.HELD_SINCE.clear()
    metrics.HELD_RECORDS.clear()


async def test_a_transaction_that_stays_open_is_told_with_its_producer() -> None:
    """Since its own begin, where the broker tells it; the log is written to once."""
    watching = Watching()
    with structlog.testing.capture_logs() as told:
        await watching.at(0, 100, 120)
        assert _since() is None
        await watching.at(REPORTED_AFTER_S, 100, 150)
        await watching.at(REPORTED_AFTER_S + 5, 100, 160)
    assert (_since(), _held(), watching.asked) == (400.0, 60, 1)
    (line,) = told
    assert line["event"] == "partition.held_by_transaction"
    assert (line["transactional_id"], line["producer_id"], line["offset"]) == ("orders-1", 7, 100)
    assert line["since"] == "1970-01-01T00:06:40Z"


async def test_short_transactions_are_nothing_to_tell_of() -> None:
    """Every flush of a worker makes one: each begins where the last one ended."""
    watching = Watching()
    for second in range(60):
        await watching.at(second, 100 + second, 120 + second)
    assert (_since(), watching.asked) == (None, 0)


@pytest.mark.parametrize("end", [(150, 150), (150, 170), (None, 0)])
async def test_the_end_of_a_hold_is_told(end: tuple[int | None, int]) -> None:
    """By its commit, also when the next one is open already, or when the partition goes to another
    worker.
    """
    watching = Watching()
    await watching.at(0, 100, 120)
    await watching.at(REPORTED_AFTER_S, 100, 150)
    assert _since() is not None
    await watching.at(REPORTED_AFTER_S + 1, *end)
    assert (_since(), _held()) == (None, None)


async def test_what_a_broker_does_not_tell_is_counted_from_when_it_was_seen() -> None:
    """An older broker, or a user without the right."""
    watching = Watching(Transaction())
    await watching.at(0, 100, 120)
    await watching.at(REPORTED_AFTER_S, 100, 150)
    assert _since() == 1_000.0


@pytest.fixture
def topic(kafka: str, topic_prefix: str) -> str:
    """A topic of one partition."""
    name = f"{topic_prefix}telemetry"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result()
    return name


async def test_a_real_broker_tells_of_a_real_transaction(kafka: str, topic: str) -> None:
    """A reader of committed records has nothing before it; both ends, the producer's id, its
    transactional id and its begin are told.
    """
    client = aiokafka_config(Broker(bootstrap_servers=kafka))
    tp = TopicPartition(topic, 0)
    began = time.time()
    async with (
        AIOKafkaProducer(
            **client, transactional_id=f"{topic}-orders", transaction_timeout_ms=120_000
        ) as producer,
        AIOKafkaConsumer(
            **client, isolation_level="read_committed", auto_offset_reset="earliest"
        ) as consumer,
    ):
        consumer.assign([tp])
        async with producer.transaction():
            await producer.send_and_wait(topic, b"first")
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"held")
        await producer.send_and_wait(topic, b"held too")
        async with asyncio.timeout(20):
            while ends_of(consumer).get(tp) != Ends(2, 4):
                await consumer.getmany(timeout_ms=200)
        found = await transaction_at(consumer, tp, 2)
        assert found.transactional_id == f"{topic}-orders"
        assert found.producer_id is not None
        assert found.timeout_s == 120
        assert found.started_at is not None
        assert began - 1 <= found.started_at <= time.time() + 1
        assert await transaction_at(consumer, tp, 3) == Transaction()
        await producer.commit_transaction()
        async with asyncio.timeout(20):
            while ends_of(consumer).get(tp) != Ends(5, 5):
                await consumer.getmany(timeout_ms=200)


async def test_a_broker_that_cannot_be_asked_is_no_reason_to_end() -> None:
    """One older than Kafka 3.0 does not know the question."""

    async def send(node: int, request: object) -> object:
        raise IncompatibleBrokerVersion("too old")

    client = SimpleNamespace(cluster=SimpleNamespace(leader_for_partition=lambda tp: 1), send=send)
    consumer = cast(AIOKafkaConsumer, SimpleNamespace(_client=client))
    assert await transaction_at(consumer, LANE, 0) == Transaction()
