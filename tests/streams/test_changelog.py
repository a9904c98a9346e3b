"""What a real broker does with open transactions, produced records and logs; what a state store
promises is in test_state_store_contract.py.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiokafka.consumer.fetcher as fetcher
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from schemas.records.control import Settings
from schemas.secrets import Secret
from streams.client.brokers import AiokafkaConfig, aiokafka_config, producer_config
from streams.client.fetch_parsing import ColumnRecords
from streams.control.settings_log import SettingsLog, skip_record, version_record
from streams.lane.changelog import Changelog, read_back
from streams.lane.outgoing import Outgoing
from streams.lane.producing import KafkaLogs, KafkaSender
from streams.records.record_batches import FetchedBytes
from streams.settings import Broker
from streams.state.position import Refused

KEY = Secret("the key of these tests")


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Consumers of this test hand over blocks, as in a worker."""
    monkeypatch.setattr(fetcher, "PartitionRecords", ColumnRecords)
    monkeypatch.setattr(fetcher, "MemoryRecords", FetchedBytes)


@pytest.fixture
def broker(kafka: str, topic_prefix: str) -> Broker:
    """The shared broker."""
    return Broker(bootstrap_servers=kafka, topic_prefix=topic_prefix)


@pytest.fixture
def client(broker: Broker) -> AiokafkaConfig:
    """Settings of clients."""
    return aiokafka_config(broker)


@pytest.fixture
def state(broker: Broker) -> str:
    """A state topic with three partitions, and an output topic `<it>-out` with as many."""
    admin, topic = (
        AdminClient({"bootstrap.servers": broker.bootstrap_servers}),
        f"{broker.topic_prefix}state",
    )
    for made in admin.create_topics(
        [NewTopic(topic, 3, config={"cleanup.policy": "compact"}), NewTopic(f"{topic}-out", 3)]
    ).values():
        made.result(120)
    return topic


@asynccontextmanager
async def opened(
    client: AiokafkaConfig, topic: str, partition: int = 1
) -> AsyncIterator[Changelog]:
    """The lane's changelog, taken over."""
    changelog = Changelog(client, f"{topic}-{partition}", topic, partition)
    await changelog.open()
    try:
        yield changelog
    finally:
        # A fenced producer complains when it is stopped.
        with suppress(KafkaError):
            await changelog.close()


async def table(client: AiokafkaConfig, topic: str, partition: int = 1) -> dict[bytes, bytes]:
    """What a successor would find."""
    return (await read_back(client, topic, [partition]))[partition]


@pytest.mark.usefixtures("blocks")
async def test_an_open_transaction_of_a_dead_owner_does_not_hold_up_its_heir(
    client: AiokafkaConfig, state: str
) -> None:
    """Opening aborts it; a reader would wait for its end otherwise."""
    dead = Changelog(client, f"{state}-1", state, 1)
    await dead.open()
    await dead._producer.begin_transaction()
    await dead._producer.send_and_wait(state, value=b"half", key=b"a", partition=1)
    async with opened(client, state) as heir:
        assert await asyncio.wait_for(table(client, state), 20) == {}
        await heir.commit([(b"a", b"whole")])
    with suppress(KafkaError):
        await dead.close()
    assert await table(client, state) == {b"a": b"whole"}


async def test_the_sender_keeps_order_and_takes_records_of_headers_alone(
    client: AiokafkaConfig, state: str
) -> None:
    """A watermark behind the anomalies that it covers; by murmur2 where no partition is given; all
    acknowledged when it returns.
    """
    sender = KafkaSender(client, "detect")
    await sender.start()
    try:
        sent = [Outgoing(state, b"k", b"%d" % number) for number in range(500)]
        mark = Outgoing(state, None, None, (("sentinel-watermark", b"1 2 3"),), partition=0)
        await sender.send([*sent[:250], mark, *sent[250:]])
    finally:
        await sender.stop()
    consumer = AIOKafkaConsumer(
        state, **client, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        records = [await asyncio.wait_for(consumer.getone(), 20) for _ in range(501)]
    finally:
        await consumer.stop()
    values = [record.value for record in records if record.value is not None]
    assert values == [record.value for record in sent]
    # murmur2 of `k` modulo three, as every other client of ours places it.
    producer = Producer(
        {**producer_config(Broker(bootstrap_servers=client["bootstrap_servers"][0]))}
    )
    placed: list[int | None] = []
    producer.produce(
        state, b"x", b"k", on_delivery=lambda error, message: placed.append(message.partition())
    )
    producer.flush(120)
    assert {record.partition for record in records if record.value is not None} == set(placed)
    (marked,) = [record for record in records if record.value is None]
    assert marked.headers == (("sentinel-watermark", b"1 2 3"),)


async def test_logs_are_described_with_the_topics_id(
    broker: Broker, client: AiokafkaConfig, state: str
) -> None:
    """Begin and end of each partition; another topic under the name has another id; a missing one
    names the command.
    """
    logs = KafkaLogs(broker, client, state, f"{broker.topic_prefix}group")
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for _ in range(3):
        producer.produce(state, b"x", b"k", partition=2)
    producer.flush(120)
    described = await logs.describe([0, 2])
    assert {partition: (log.begin, log.end) for partition, log in described.items()} == {
        0: (0, 0),
        2: (0, 3),
    }
    other = (await KafkaLogs(broker, client, f"{state}-out", "g").describe([0]))[0]
    assert described[0].topic_id not in (None, other.topic_id)
    assert await logs.committed(0) is None
    with pytest.raises(Refused, match=r"missing.*sentinel topics create"):
        await KafkaLogs(broker, client, f"{state}-none", "g").describe([0])


@pytest.mark.usefixtures("blocks")
async def test_the_settings_topic_is_read_whole_and_then_followed(
    broker: Broker, client: AiokafkaConfig, state: str
) -> None:
    """What stands there at the start is known at once; a lane that waits for a version goes on as
    soon as it comes.
    """
    producer = Producer({**producer_config(broker), "linger.ms": 0})

    def write(record: Outgoing) -> None:
        producer.produce(state, record.value, record.key, headers=list(record.headers))
        assert producer.flush(120) == 0

    def version(name: str) -> Outgoing:
        return version_record(
            state,
            Settings(
                version=name, tenant=None, author="ann", created_at=1, body=f'{{"is":"{name}"}}'
            ),
            KEY,
        )

    write(version("v1"))
    write(skip_record(state, "telemetry", 3, 7, "kills the decoder", KEY))
    log = SettingsLog(client, state, KEY, {"0": "{}"})
    await log.start()
    try:
        assert (log.body("v1"), log.skipped("telemetry", 3)) == ('{"is":"v1"}', {7})
        waiting = asyncio.create_task(log.wait_for("v2"))
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        write(version("v2"))
        await asyncio.wait_for(waiting, 20)
        assert log.body("v2") == '{"is":"v2"}'
        write(version("v3"))
        await asyncio.wait_for(log.catch_up(), 20)
        assert log.body("v3") == '{"is":"v3"}'
    finally:
        await log.stop()
