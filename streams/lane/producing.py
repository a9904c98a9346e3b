"""Producing what must be durable before a lane continues."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from streams import metrics
from streams.client.brokers import librdkafka_config
from streams.lane.outgoing import Outgoing
from streams.settings import Broker
from streams.state.position import Committed, Log, Refused


class KafkaSender:
    """One idempotent producer for all lanes of a worker: what a lane sends reaches a partition in
    the order in which it was sent.
    """

    def __init__(self, client: Mapping[str, Any], stage: str) -> None:
        self._client, self._stage = client, stage
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connects."""
        # No linger: a single verdict is not delayed, and the records of one step are sent together
        # anyway.
        producer = AIOKafkaProducer(
            **self._client,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_request_size=4_000_000,
            compression_type="zstd",
        )
        await producer.start()
        self._producer = producer

    async def stop(self) -> None:
        """Sends what waits, and disconnects."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Produce in order; return when all are acknowledged. Raises what aiokafka raises."""
        producer = self._producer
        if producer is None:
            raise RuntimeError("the sender is not started")
        # Sent one after the other, which fixes their order within a partition, and acknowledged
        # together.
        sent = [
            await producer.send(
                record.topic,
                value=record.value,
                # The client refuses a record with neither key nor value, so one that has only
                # headers gets an empty key.
                key=record.key if record.key is not None or record.value is not None else b"",
                partition=record.partition,
                headers=list(record.headers),
            )
            for record in records
        ]
        await asyncio.gather(*sent)
        for record in records:
            metrics.OUTPUTS.labels(self._stage, record.topic).inc()


class KafkaLogs:
    """What the broker reports about a stage's input topic."""

    def __init__(self, broker: Broker, client: Mapping[str, Any], topic: str, group: str) -> None:
        self._broker, self._client, self._topic, self._group = broker, client, topic, group

    async def describe(self, partitions: Collection[int]) -> dict[int, Log]:
        """Id of the topic, begin and end of each partition."""
        # The embedded broker has no ids of topics.
        topic_id = None if self._broker.embedded else await asyncio.to_thread(self._topic_id)
        tps = [TopicPartition(self._topic, partition) for partition in partitions]
        consumer = AIOKafkaConsumer(**self._client, enable_auto_commit=False)
        await consumer.start()
        try:
            begins, ends = await asyncio.gather(
                consumer.beginning_offsets(tps), consumer.end_offsets(tps)
            )
        finally:
            await consumer.stop()
        return {tp.partition: Log(topic_id, begins[tp], ends[tp]) for tp in tps}

    async def committed(self, partition: int) -> Committed | None:
        """What the group committed; None when it has nothing."""
        consumer = AIOKafkaConsumer(**self._client, group_id=self._group, enable_auto_commit=False)
        tp = TopicPartition(self._topic, partition)
        await consumer.start()
        try:
            # The consumer's own `committed` drops the metadata.
            found = (await consumer._coordinator.fetch_committed_offsets([tp])).get(tp)
            return (
                None
                if found is None or found.offset < 0
                else Committed(found.offset, found.metadata or "")
            )
        finally:
            await consumer.stop()

    def _topic_id(self) -> str | None:
        admin = AdminClient({**librdkafka_config(self._broker), "log_level": 0})
        described = admin.describe_topics(
            TopicCollection([self._topic]), request_timeout=self._broker.request_timeout_s
        )
        (answer,) = described.values()
        try:
            return str(answer.result().topic_id)
        except KafkaException as fault:
            if fault.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise Refused(
                    f"topic {self._topic} is missing; run: sentinel topics create"
                ) from fault
            raise
