"""The Faust app of a stage's worker: Faust does groups, assignment, agents and the worker's life;
the parts of it that lose data or hang are replaced (`streams.faust.consumer`, `recovery`,
`scheduling`).

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
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams import metrics
from streams.client import connections, fetch_parsing
from streams.client.fetching import check_fetching
from streams.client.transactions import OpenTransactions
from streams.exit_status import end_process, ends_process, is_temporary
from streams.faust.consumer import BLOCKS_PER_POLL, LaneConsumer, LaneTransport
from streams.faust.recovery import LaneTables
from streams.faust.scheduling import Coalesce
from streams.faust.source_hashes import check_sources
from streams.lane.lane_set import LaneSet
from streams.settings import Broker
from streams.settings import Lanes as Limits
from streams.state.position import Displaced

T = TypeVar("T")


class Surroundings(Protocol):
    """What a worker's app opens before it takes part in the group, and closes when it no longer
    does.
    """

    async def open(self) -> None:
        """Before anything is assigned."""
        ...

    def begin_rounds(self) -> None:
        """When the consumer exists; lanes may still be recovered."""
        ...

    def end_rounds(self) -> None:
        """Before the consumer goes away, and its thread's loop."""
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
        self.ends: Mapping[int, int] = {}
        """Ends of the lanes' logs by the broker's last answer, by partition."""
        self._transactions = OpenTransactions()
        self.ends_doubted = asyncio.Event()
        """Set to have the ends asked for at once, and not only at the next interval."""
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
            broker_max_poll_records=BLOCKS_PER_POLL,
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
        # First, so that health is served and the watchdog looks while the group is joined.
        await self._surroundings.open()
        await super().on_start()
        self._surroundings.begin_rounds()

    @ends_process
    async def on_stop(self) -> None:
        """Faust's hook: lanes are flushed, then Faust commits and leaves the group, then the lanes
        are let go.
        """
        self._surroundings.end_rounds()
        # Flushed before Faust commits, since a committed offset must not exceed the state; released
        # afterwards, since the commit asks the lanes for their durable positions.
        await self.lane_set.suspend()
        await super().on_stop()
        await self.lane_set.close()
        await self._surroundings.close()

    def _crash(self, reason: BaseException) -> None:
        """A service of Faust's has crashed, in whichever thread. Stock ends in order then, commits
        on its way out, and exits with status 1.
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
        """Asks the broker for the ends of the lanes' logs, without records that open transactions
        hold back. A fetch returns them too, but a lane that is not fetched any more, or not
        assigned to the client, would seem to have no lag.

        Raises:
            Displaced: a log ends before the position of its lane.
            KafkaError: what aiokafka raises, if it does not pass by itself.
        """
        self.ends_doubted.clear()
        # The positions before the question: the answer may be older than what lanes process until
        # it arrives.
        stands = {
            partition: lane.position.offset for partition, lane in self.lane_set.lanes.items()
        }
        try:
            ends = await self._in_thread(partial(_ends, self.lane_topic, list(stands)))
        except KafkaError as fault:
            # The broker is away for now; the lanes' own requests fail if it stays away.
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
        """Reports open transactions that hold back the lanes' topics. Such a lane has no lag, so
        nothing else shows it.
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
        """End of a lane's log by the last fetch, without records that open transactions hold back;
        None before the first fetch. The fetched records may reach a little beyond it, since the
        broker determines the end before it reads them.
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
        # It has not started yet: its start waits for a broker's answer.
        return {}
    ends = await consumer.end_offsets(
        [TopicPartition(topic, partition) for partition in partitions]
    )
    return {tp.partition: end for tp, end in ends.items()}
