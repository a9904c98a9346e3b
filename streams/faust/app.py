"""Faust, hardened: what Faust does for us (groups, assignment, agents, the worker's life),
with the parts replaced that lose data or hang.

Each override names what stock Faust does instead; `streams.faust.source_hashes` refuses to start
when the code underneath is not the one it was written for.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, TypeVar, cast

import aiokafka
import faust
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import TopicPartition
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.transport.drivers.aiokafka import Consumer as AiokafkaConsumer
from faust.transport.drivers.aiokafka import Producer as AiokafkaProducer
from faust.transport.drivers.aiokafka import Transport as AiokafkaTransport
from faust.types import TP

from streams import metrics
from streams.client import connections, fetch_parsing
from streams.client.brokers import aiokafka_config
from streams.client.fetching import LaneClient, check_fetching
from streams.client.transactions import OpenTransactions
from streams.exit_status import end_process, ends_process, is_temporary
from streams.faust.scheduling import Coalesce
from streams.faust.source_hashes import check_sources
from streams.lane.lane_set import LaneSet
from streams.settings import Broker
from streams.settings import Lanes as Limits
from streams.state.position import Displaced

T = TypeVar("T")

_BLOCKS_PER_POLL = 512
_EMBEDDED_FETCH_WAIT_MS = 20
"""The embedded broker does not wake a fetch that waits."""
_FETCH_WAIT_MS = 500
_METADATA_AGE_MS = 5_000
_REBALANCE_MS = 20_000
"""How long the group waits for a member that does not come: one that is alive only has to end a
step and flush.
"""


class LaneConsumerThread(AIOKafkaConsumerThread):
    """Stock: isolation, fetch wait and assignor cannot be set, the whole topic is moved at each
    rebalance, few records are fetched at any rate.
    """

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        app = _ours(self.app)
        broker, limits = app.broker, app.limits
        self._assignor = StickyPartitionAssignor
        return LaneClient(
            linger_s=limits.linger_s,
            **aiokafka_config(broker),
            client_id=app.conf.id,
            group_id=app.conf.id,
            group_instance_id=broker.group_instance_id,
            partition_assignment_strategy=[StickyPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=_BLOCKS_PER_POLL,
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
        position: int | None = _ours(self.app).lane_set.durable_position(tp.partition)
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
        topic, lanes = _ours(self.app).lane_topic, _ours(self.app).lane_set.lanes
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
    """Faust wants a producer; nothing of ours goes through it, but it connects with our
    credentials.
    """

    def _new_producer(self, transactional_id: str | None = None) -> aiokafka.AIOKafkaProducer:
        return aiokafka.AIOKafkaProducer(**aiokafka_config(_ours(self.app).broker))


class LaneTransport(AiokafkaTransport):
    """Stock with our consumer and producer."""

    Consumer = LaneConsumer
    Producer = PlainProducer


class LaneRecovery(Recovery):
    """Stock reads changelogs through agents' buffers, keeps revoked rows, waits for ever at a
    transaction's marker, and swallows exceptions.
    """

    async def on_rebalance(
        self, assigned: Any, revoked: Any, newly_assigned: Any, generation_id: int = 0
    ) -> None:
        """Lets the recovery task begin, but for an assignment that is over already."""
        if generation_id == self.app.consumer_generation_id:
            self._generation_id = generation_id
            self.signal_recovery_start.set()

    async def _resume_streams(self, generation_id: int = 0) -> None:
        try:
            await self._resume(generation_id)
        except (RebalanceAgain, ServiceStopped, IllegalStateError):
            # Faust's own signals, and a partition that went while it was sought.
            raise
        except (
            Exception
        ) as error:  # a process edge: Faust would end in order, and commit on its way out
            end_process(error)
            raise

    async def _resume(self, generation_id: int) -> None:
        app = _ours(self.app)
        consumer = app.consumer
        await app.on_rebalance_complete.send()
        assignment = {tp for tp in consumer.assignment() if tp.topic == app.lane_topic}
        # Also raises, by Faust's own signal, when the next rebalance begins.
        await self._wait(app.restore_lanes({tp.partition for tp in assignment}))
        if app.consumer_generation_id != generation_id:
            return
        consumer.resume_partitions(assignment)
        await self._wait(consumer.perform_seek(), timeout=app.conf.broker_request_timeout)
        self.completed.set()
        app.flow_control.resume()
        consumer.resume_flow()
        await app._fetcher.maybe_start()
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.on_rebalance_end()
        metrics.READY.labels(app.lane_set.stage.name).set(1)
        app.lanes_ready = True


class LaneTables(TableManager):
    """Stock waits a second for tables that we do not have."""

    async def on_start(self) -> None:
        """Starts the recovery at once."""
        await self._update_channels()
        await self.recovery.start()

    @property
    def recovery(self) -> Recovery:
        """Ours."""
        if self._recovery is None:
            self._recovery = LaneRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery


class Surroundings(Protocol):
    """What a worker's app opens before it takes part in the group, and closes when it no longer
    does.
    """

    async def open(self) -> None:
        """Before anything is assigned."""
        ...

    async def close(self) -> None:
        """After the last offset was committed."""
        ...


class LaneApp(faust.App):
    """A Faust app whose one agent feeds a `LaneSet`."""

    def __init__(
        self, lane_set: LaneSet, broker: Broker, limits: Limits, surroundings: Surroundings
    ) -> None:
        check_sources()
        fetch_parsing.install(
            replace(lane_set.stage.reading, max_batch_bytes=limits.max_batch_bytes)
        )
        connections.install()
        self._surroundings = surroundings
        self.lane_set = lane_set
        self.lane_topic = lane_set.stage.topic
        self.broker, self.limits = broker, limits
        self.lanes_ready = False
        self.watches: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()
        """Run from the start, also while lanes are recovered, until the worker is asked to stop."""
        self._watching: Sequence[asyncio.Future[None]] = ()
        self.ends: Mapping[int, int] = {}
        """Ends of the lanes' logs as the broker last told them, by partition."""
        self._transactions = OpenTransactions()
        self.ends_doubted = asyncio.Event()
        """Set by whoever needs to know the ends sooner than they are looked at by themselves."""
        super().__init__(
            lane_set.stage.group,
            broker=[f"kafka://{server}" for server in broker.bootstrap_servers.split(",")],
            store="memory://",
            topic_disable_leader=True,
            topic_allow_declare=False,
            topic_partitions=limits.partitions,
            broker_session_timeout=broker.session_timeout_s,
            broker_heartbeat_interval=broker.heartbeat_interval_s,
            broker_request_timeout=max(broker.request_timeout_s, broker.session_timeout_s + 1),
            broker_commit_interval=1.0,
            broker_max_poll_records=_BLOCKS_PER_POLL,
            consumer_auto_offset_reset="earliest",
            stream_wait_empty=False,
            stream_buffer_maxsize=8,
            web_enabled=False,
            ConsumerScheduler=Coalesce,
            TableManager=LaneTables,
        )
        self.on_partitions_revoked.connect(self._suspend_lanes)

    @ends_process
    async def on_start(self) -> None:
        """Faust's hook, before its consumer starts."""
        await self._surroundings.open()
        await super().on_start()
        # Not Faust's tasks: they begin after the first recovery, which an error of the group keeps
        # from ever coming, and run on while it stops.
        self._watching = [self.add_future(watch()) for watch in self.watches]

    @ends_process
    async def on_stop(self) -> None:
        """Faust's hook: lanes are flushed, then Faust commits and leaves the group, then the lanes
        are let go.
        """
        for watch in self._watching:
            # The consumer that it looks at goes away, and its thread's loop.
            watch.cancel()
        await self.lane_set.suspend()
        await super().on_stop()
        await self.lane_set.close()
        await self._surroundings.close()

    def _crash(self, reason: BaseException) -> None:
        """A service of Faust's has crashed, in whichever thread. Stock ends in order then, commits
        on its way out, and tells status 1.
        """
        if not self.should_stop:
            end_process(reason)
        super()._crash(reason)

    def _create_directories(self) -> None:
        """Stock makes folders for tables, which we do not have, where the worker was started."""

    def _new_transport(self) -> LaneTransport:
        return LaneTransport(self.conf.broker_consumer, self, self.loop)

    def _new_producer_transport(self) -> LaneTransport:
        return LaneTransport(self.conf.broker_producer, self, self.loop)

    @ends_process
    async def restore_lanes(self, partitions: Iterable[int]) -> Mapping[int, int]:
        """Restores what is new in the assignment."""
        return await self.lane_set.assign(list(partitions))

    @ends_process
    async def _suspend_lanes(self, *args: Any, **kwargs: Any) -> None:
        self.lanes_ready = False
        metrics.READY.labels(self.lane_set.stage.name).set(0)
        await self.lane_set.suspend()

    @property
    def loops(self) -> Sequence[asyncio.AbstractEventLoop]:
        """Of this process: where lanes step, and where the client fetches."""
        return self.loop, cast(LaneConsumer, self.consumer)._thread.thread_loop

    async def check_group(self) -> None:
        """Raises what the client's own tasks failed with, the coordinator's and the fetcher's;
        stock hangs for ever, alive, on an error of SyncGroup or when nothing fetches any more.
        """
        await self._in_thread(_check_errors)

    async def look_at_ends(self) -> None:
        """Asks the broker where the lanes' logs end, without what open transactions hold back: a
        fetch tells it too, but a lane that is no longer fetched, or no longer the client's, would
        seem to have nothing before it.

        Raises:
            Displaced: a log ends before where its lane stands.
            KafkaError: what aiokafka raises and what does not pass by itself.
        """
        self.ends_doubted.clear()
        # As it was before the question: the answer may be older than what a lane takes meanwhile.
        stands = {
            partition: lane.position.offset for partition, lane in self.lane_set.lanes.items()
        }
        try:
            ends = await self._in_thread(partial(_ends, self.lane_topic, list(stands)))
        except KafkaError as fault:
            # The broker is away for a while; what that means for the lanes, their own requests
            # tell.
            if not is_temporary(fault):
                raise
            return
        self.ends = ends or {}
        if self.ends:
            metrics.ENDS_ASKED.set_to_current_time()
        for partition, end in self.ends.items():
            if end < stands.get(partition, 0):
                raise Displaced(
                    f"lane {self.lane_set.stage.name}/{partition}: its log ends before its position"
                    " now; starting again"
                )

    async def look_at_transactions(self) -> None:
        """Tells of open transactions that hold back the lanes' topics. Nothing lies before such a
        lane, so nobody else would.
        """
        await self._in_thread(self._transactions.look)

    async def _in_thread(
        self, look: Callable[[aiokafka.AIOKafkaConsumer], Coroutine[Any, Any, T]]
    ) -> T | None:
        """Looks at the client where it runs; None before there is one.

        Not by Faust's `call_thread`: two of its calls are under way at a time, and one that
        waits for a broker would leave the fetches to wait for it.
        """
        thread = cast(LaneConsumer, self.consumer)._thread
        if thread._consumer is None:
            return None
        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(look(thread._consumer), thread.thread_loop)
        )

    def log_end(self, partition: int) -> int | None:
        """End of a lane's log as the last fetch told it, without what open transactions hold back;
        None before the first. What the broker reads for a fetch may reach a little beyond the end
        that it looked up for it before.
        """
        consumer = cast(LaneConsumer, self.consumer)._thread._consumer
        tp = TopicPartition(self.lane_topic, partition)
        if consumer is None or tp not in consumer.assignment():
            return None
        end: int | None = consumer.last_stable_offset(tp)
        return end


async def _check_errors(consumer: aiokafka.AIOKafkaConsumer) -> None:
    """In the consumer's thread."""
    check_fetching(consumer)


async def _ends(
    topic: str, partitions: Sequence[int], consumer: aiokafka.AIOKafkaConsumer
) -> dict[int, int]:
    """In the consumer's thread."""
    if consumer._fetcher is None:
        # It still starts, which takes as long as a broker lets it wait.
        return {}
    ends = await consumer.end_offsets(
        [TopicPartition(topic, partition) for partition in partitions]
    )
    return {tp.partition: end for tp, end in ends.items()}


def _ours(app: Any) -> LaneApp:
    """Faust's parts know their app as any app; it is ours."""
    return cast(LaneApp, app)
