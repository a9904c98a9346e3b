"""Read, prepare, write, commit: a consumer group that keeps no state of its own.

A position is committed when everything before it is written elsewhere. After a crash records are
read again, so what is written must be idempotent. One batch is written while the next one is
prepared; the pipeline never reads further ahead, which is its back-pressure.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from schemas.documents import StoreUnavailable
from streams.client import connections, fetch_parsing
from streams.client.committing import Committer, Positions
from streams.client.fetching import check_fetching
from streams.client.transactions import OpenTransactions
from streams.exit_status import bounded
from streams.records.blocks import Block
from streams.records.contents import MAX_BATCH_BYTES, Reading
from streams.settings import Broker

_FETCH_WAIT_MS: Final = 500
_BUSY_WAIT_MS: Final = 20
"""While a batch is written: soon after that, what has been prepared is written."""
_PARTITION_FETCH_BYTES: Final = 524_288
"""Small, since several topics of many partitions are in memory twice, fetched and decoded."""
_MAX_FETCH_BYTES: Final = 4_194_304
_METADATA_AGE_MS: Final = 5_000
"""Aiokafka's default is five minutes, for which a topic that was made again would not be read."""
_MAX_POLL_MS: Final = 900_000
"""A slow write must not cost the group membership; its own deadline bounds it."""
_LAST_WRITE_S: Final = 5.0
"""Seconds for which a stopping pipeline waits for the write under way. Another worker repeats what
is not done by then.
"""


class Batch(Protocol):
    """Everything that is written together."""

    @property
    def positions(self) -> Positions:
        """To commit when the batch is written; empty when it holds no records."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether it should grow no further."""
        ...


B = TypeVar("B", bound=Batch)


class Work(Protocol[B]):
    """The part of a stage that is not the same for all: how records become what is written."""

    def new_batch(self) -> B:
        """An empty one."""
        ...

    def prepare(self, batch: B, block: Block) -> Iterator[None]:
        """Add the records of a block to the batch. Yields every few milliseconds, so that other
        tasks run; the caller exhausts it.
        """
        ...

    async def write(self, batch: B) -> None:
        """Return when all of the batch is durable; what it raises ends the pipeline."""
        ...


class Pipeline(Generic[B]):
    """One member of a consumer group. `name` is the stage's, after which the group is called."""

    def __init__(
        self,
        name: str,
        topics: Sequence[str],
        work: Work[B],
        committer: Committer,
        client: Mapping[str, Any],
        broker: Broker,
        max_batch_bytes: int = MAX_BATCH_BYTES,
    ) -> None:
        self._topics, self._work, self._committer = topics, work, committer
        self._client, self._broker = client, broker
        self._group = f"{broker.topic_prefix}{name}"
        self._max_batch_bytes = max_batch_bytes
        self._consumer: AIOKafkaConsumer | None = None
        self._transactions = OpenTransactions()
        self.moves = 0
        """Grows with every fetch and every batch that is written."""

    @property
    def ready(self) -> bool:
        """Whether the group has assigned partitions."""
        return self._committer.ready

    def lanes_with_work(self) -> dict[int, int]:
        """Always empty: a restart would not make a slow write faster, and the write's own deadline
        ends it.
        """
        return {}

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, then wait a little for the write under way. Raises what broker and
        work raise.
        """
        fetch_parsing.install(Reading(self._max_batch_bytes))
        connections.install()
        # Before the consumer starts: an assignment compares committed offsets with these ids.
        await self._committer.prepare()
        consumer = self._consumer = AIOKafkaConsumer(**self._settings())
        self._committer.attach(consumer)
        consumer.subscribe(sorted(self._topics), listener=self._committer)
        await consumer.start()
        try:
            await self._process(consumer, stop)
        finally:
            self._consumer = None
            self._committer.attach(None)
            # A group that does not hear of the end loses nothing: a broker that is away must not
            # hold up the end, nor change its status.
            await bounded(consumer.stop(), _LAST_WRITE_S)

    def check(self) -> None:
        """Raises what a commit or one of the client's own tasks failed with: the consumer would
        wait for a dead one for ever.
        """
        self._committer.check()
        if self._consumer is not None:
            check_fetching(self._consumer)

    async def lags(self) -> Mapping[TopicPartition, int] | None:
        """See `Committer.lags`. Reports open transactions that hold back records, too."""
        if self._consumer is not None and self.ready:
            await self._transactions.look(self._consumer)
        return await self._committer.lags()

    def _settings(self) -> dict[str, Any]:
        return {
            **self._client,
            "group_id": self._group,
            "group_instance_id": self._broker.group_instance_id,
            "enable_auto_commit": False,
            "metadata_max_age_ms": _METADATA_AGE_MS,
            "auto_offset_reset": "earliest",
            "isolation_level": "read_committed",
            # What the embedded broker's transactions wrote reads back with a wrong checksum.
            "check_crcs": not self._broker.embedded,
            "session_timeout_ms": int(self._broker.session_timeout_s * 1000),
            "heartbeat_interval_ms": int(self._broker.heartbeat_interval_s * 1000),
            "fetch_max_bytes": _MAX_FETCH_BYTES,
            "max_partition_fetch_bytes": _PARTITION_FETCH_BYTES,
            "max_poll_interval_ms": _MAX_POLL_MS,
        }

    async def _process(self, consumer: AIOKafkaConsumer, stop: asyncio.Event) -> None:
        """The records that come while a batch is written make up the next one: a lone record waits
        for nothing, and a backlog goes in large batches.
        """
        writing: asyncio.Task[None] | None = None
        batch = self._work.new_batch()
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                fetched = await consumer.getmany(
                    timeout_ms=_FETCH_WAIT_MS if writing is None else _BUSY_WAIT_MS
                )
                # Also without records: a fetch that returns shows that the loop goes on.
                self.moves += 1
                for block in (block for each in fetched.values() for block in each):
                    for _ in self._work.prepare(batch, block):
                        # Let the write under way go on.
                        await asyncio.sleep(0)
                    # Back-pressure: nothing is prepared beyond one full batch.
                    if batch.is_full and writing is not None and not await _over(writing, stopping):
                        return
                    await asyncio.sleep(0)
                    if writing is None or writing.done():
                        writing = await self._write_next(writing, batch)
                        batch = self._work.new_batch()
                if not fetched and writing is not None:
                    # Nothing more came: the batch need not wait to grow.
                    if not await _over(writing, stopping):
                        return
                    has_records = bool(batch.positions)
                    writing = await self._write_next(writing, batch) if has_records else None
                    batch = self._work.new_batch()
        finally:
            stopping.cancel()
            if writing is not None:
                await _ended(writing)
            # Looked up only now: the write may have begun another commit.
            if self._committer.under_way is not None:
                await _ended(self._committer.under_way)

    async def _write_next(
        self, writing: "asyncio.Task[None] | None", batch: B
    ) -> "asyncio.Task[None]":
        """Begin to write a batch when the one before is settled; raises what that raised."""
        if writing is not None:
            await writing
        return asyncio.create_task(self._write(batch))

    async def _write(self, batch: B) -> None:
        await self._work.write(batch)
        # Not before: what is committed is never read again.
        await self._committer.settle(batch.positions)
        self.moves += 1


async def _over(writing: "asyncio.Task[None]", stopping: "asyncio.Task[bool]") -> bool:
    """Whether the write under way is over; false when the pipeline stops first. Raises what the
    write raised.
    """
    await asyncio.wait({writing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if writing.done():
        writing.result()
    return writing.done()


async def _ended(task: "asyncio.Task[None]") -> None:
    """Wait for a task, and cancel it after a while."""
    done, _ = await asyncio.wait({task}, timeout=_LAST_WRITE_S)
    if not done:
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=_LAST_WRITE_S)
    # Cancelled here, or given up by the store at the end: another worker repeats it.
    with contextlib.suppress(asyncio.CancelledError, StoreUnavailable):
        if done:
            task.result()
