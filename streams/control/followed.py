"""A small topic that a worker reads completely at its start, and follows from then on."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from streams.client.fetching import check_fetching
from streams.client.transactions import OpenTransactions
from streams.exit_status import ends_process


class FollowedTopic(ABC):
    """Reads every record of a topic from the first one that is left, in each partition in order of
    offset.
    """

    def __init__(self, client: Mapping[str, Any], topic: str) -> None:
        self._client, self._topic = client, topic
        self._arrived = asyncio.Event()
        self._consumer: AIOKafkaConsumer | None = None
        self._partitions: list[TopicPartition] = []
        self._following: asyncio.Task[None] | None = None
        self._transactions = OpenTransactions()

    @abstractmethod
    def _on_record(self, partition: int, record: Any) -> None:
        """Handles one record, which may be broken."""

    async def start(self) -> None:
        """Connects, reads what is there, and follows from then on."""
        consumer = AIOKafkaConsumer(
            **self._client,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        self._consumer = consumer
        await consumer.start()
        await consumer._client._wait_on_metadata(self._topic)
        self._partitions = [
            TopicPartition(self._topic, partition)
            for partition in sorted(consumer.partitions_for_topic(self._topic))
        ]
        consumer.assign(self._partitions)
        await consumer.seek_to_beginning(*self._partitions)
        self._following = asyncio.create_task(
            ends_process(self._follow)(consumer), name="sentinel-settings"
        )
        await self.catch_up()

    async def catch_up(self) -> None:
        """Returns when everything has been read that is on the topic now. The previous worker of a
        lane may have acted on a record that this worker has not read yet.
        """
        consumer = self._consumer
        if consumer is None:
            raise RuntimeError(f"{self._topic} is not followed yet")
        ends = await consumer.end_offsets(self._partitions)
        # By position, not by record: the last offset may be a transaction's marker.
        while any([await consumer.position(tp) < ends[tp] for tp in self._partitions]):
            self._arrived.clear()
            await self._arrived.wait()

    async def stop(self) -> None:
        """Disconnects."""
        consumer, self._consumer = self._consumer, None
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])
            self._following = None
        if consumer is not None:
            await consumer.stop()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            check_fetching(consumer)
            for tp, blocks in (await consumer.getmany(timeout_ms=1000)).items():
                for block in blocks:
                    for record in block.records():
                        self._on_record(tp.partition, record)
            # Also for a block without records: the position has moved.
            self._arrived.set()
            # An open transaction hides the records after it, and a lane may wait for one of them.
            await self._transactions.look(consumer)
