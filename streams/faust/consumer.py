"""Faust's consumer and producer with the parts replaced that lose data or hang.

Each override names what stock Faust does instead.
"""

from collections.abc import Mapping
from typing import Any, Final

import aiokafka
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.structs import TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.transport.drivers.aiokafka import Consumer as AiokafkaConsumer
from faust.transport.drivers.aiokafka import Producer as AiokafkaProducer
from faust.transport.drivers.aiokafka import Transport as AiokafkaTransport
from faust.types import TP

from streams.client.brokers import aiokafka_config
from streams.client.fetching import LaneClient
from streams.faust.ports import lane_app

BLOCKS_PER_POLL: Final = 512
_EMBEDDED_FETCH_WAIT_MS: Final = 20
"""The embedded broker does not wake a fetch that waits."""
_FETCH_WAIT_MS: Final = 500
_METADATA_AGE_MS: Final = 5_000
_REBALANCE_MS: Final = 20_000
"""How long the group waits for a member that does not come: one that is alive only has to end a
step and flush.
"""


class LaneConsumerThread(AIOKafkaConsumerThread):
    """Stock: isolation, fetch wait and assignor cannot be set, the whole topic is moved at each
    rebalance, few records are fetched at any rate.
    """

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        app = lane_app(self.app)
        broker, limits = app.broker, app.limits
        self._assignor = StickyPartitionAssignor
        return LaneClient(
            linger_s=limits.linger_s,
            **aiokafka_config(broker),
            client_id=self.app.conf.id,
            group_id=self.app.conf.id,
            group_instance_id=broker.group_instance_id,
            partition_assignment_strategy=[StickyPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=BLOCKS_PER_POLL,
            max_poll_interval_ms=300_000,
            # So that a topic that was deleted and made again is noticed; by default it takes five
            # minutes.
            metadata_max_age_ms=_METADATA_AGE_MS,
            max_partition_fetch_bytes=limits.max_fetch_bytes,
            fetch_max_bytes=4 * limits.max_fetch_bytes,
            fetch_max_wait_ms=_EMBEDDED_FETCH_WAIT_MS if broker.embedded else _FETCH_WAIT_MS,
            session_timeout_ms=int(broker.session_timeout_s * 1000),
            heartbeat_interval_ms=int(broker.heartbeat_interval_s * 1000),
            rebalance_timeout_ms=_REBALANCE_MS,
            isolation_level="read_committed",
            # What the embedded broker's transactions wrote reads back with a wrong checksum.
            check_crcs=not broker.embedded,
        )


class LaneConsumer(AiokafkaConsumer):
    """Stock: commits run past events in flight (upstream #606), and a seek goes to committed
    offsets, from the wrong thread.
    """

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return LaneConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _new_offset(self, tp: TP) -> int | None:
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        position: int | None = lane_app(self.app).lane_set.durable_position(tp.partition)
        return position

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Stock keeps a tree of missing offsets; a block's offset range has no gaps."""

    def on_buffer_full(self, tp: TP) -> None:
        """Stock leaves a partition out of the next fetches while its stream's buffer is full, and
        sleeps a second when all are left out, however soon there is room again. Here the full
        buffer alone holds the fetcher back: the block that finds no room waits for it.
        """

    async def perform_seek(self) -> None:
        """To the lanes' positions, which are the truth; a lane that is not restored yet is sought
        when it is.

        Stock seeks committed offsets, and its other seeks reach from this thread into what aiokafka
        is doing in the consumer's: a fetch that is being handed over then fails with a KeyError.
        """
        topic, lanes = lane_app(self.app).lane_topic, lane_app(self.app).lane_set.lanes
        places = {TP(topic, partition): lane.position.offset for partition, lane in lanes.items()}
        thread = self._thread
        await thread.call_thread(_seek, thread._ensure_consumer(), places)
        for tp, offset in places.items():
            self._read_offset[tp] = offset or None


async def _seek(consumer: aiokafka.AIOKafkaConsumer, places: Mapping[TP, int]) -> None:
    """In the consumer's thread."""
    for tp, offset in places.items():
        partition = TopicPartition(tp.topic, tp.partition)
        if partition in consumer.assignment():
            consumer.seek(partition, offset)


class PlainProducer(AiokafkaProducer):
    """Faust requires a producer. No record is sent through it, but it connects with our
    credentials.
    """

    def _new_producer(self, transactional_id: str | None = None) -> aiokafka.AIOKafkaProducer:
        return aiokafka.AIOKafkaProducer(**aiokafka_config(lane_app(self.app).broker))


class LaneTransport(AiokafkaTransport):
    """Stock with our consumer and producer."""

    Consumer = LaneConsumer
    Producer = PlainProducer
