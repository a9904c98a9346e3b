"""A lane's partition of a state topic: written in fenced transactions, and read back."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import IllegalOperation, ProducerFenced
from aiokafka.structs import TopicPartition

from streams.client.fetching import check_fetching
from streams.lane.state_store import RowChanges, TopicRecords
from streams.records.blocks import Block
from streams.state.position import Refused

_BATCH_BYTES: Final = 900_000
"""Maximum size of a produced batch, bytes: below the broker's default limit of a batch (1 MB)."""

_READ_BYTES: Final = 32 * 1024 * 1024
"""Maximum size of a fetch while state is read back, bytes."""


class Changelog:
    """One lane's partition of a state topic, written in transactions by one owner.

    `open` fences the previous owner: its next commit raises aiokafka's `ProducerFenced`.
    """

    def __init__(
        self, client: Mapping[str, Any], transactional_id: str, topic: str, partition: int
    ) -> None:
        self._topic, self._partition = topic, partition
        self._producer = AIOKafkaProducer(
            **client,
            transactional_id=transactional_id,
            acks="all",
            # A flush waits for its acknowledgement; lingering would only add to that.
            linger_ms=0,
            max_batch_size=_BATCH_BYTES,
            max_request_size=4 * _BATCH_BYTES,
            # aiokafka compresses lz4 at level 9: 38 MB/s of pages and a tenth of a worker's CPU.
            # zstd does 900 MB/s, and the result is smaller.
            compression_type="zstd",
        )

    async def open(self) -> None:
        """Take the lane over. Aborts what the previous owner had begun."""
        await self._producer.start()

    async def close(self) -> None:
        """Release the lane; writes nothing."""
        await self._producer.stop()

    async def commit(self, rows: RowChanges, others: Sequence[TopicRecords] = ()) -> int:
        """Commit all rows, and records of other topics, in one transaction.

        The records go to the partition with the same number. Returns the number of rows once the
        broker has acknowledged. Raises what aiokafka raises; the transaction is then aborted,
        except for a fenced producer, which can do nothing more. Rows are consumed a batch at a
        time.
        """
        try:
            return await self._commit(rows, others)
        except (IllegalOperation, AssertionError) as error:
            # Once a producer was fenced, aiokafka refuses every later call with one of these,
            # depending on how far the call got; only the first call says ProducerFenced.
            if self._producer._txn_manager.is_fatal_error():
                raise ProducerFenced from error
            raise

    async def _commit(self, rows: RowChanges, others: Sequence[TopicRecords]) -> int:
        sent: list[Awaitable[Any]] = []
        async with self._producer.transaction():
            count = await self._send(self._topic, rows, sent)
            # Topic by topic: a produced batch holds records of one partition.
            for topic in dict.fromkeys(topic for topic, _, _ in others):
                records = (
                    (key, value)
                    for name, key, values in others
                    if name == topic
                    for value in values
                )
                await self._send(topic, records, sent)
            await asyncio.gather(*sent)
        return count

    async def _send(self, topic: str, records: RowChanges, sent: list[Awaitable[Any]]) -> int:
        """Send records without waiting; their acknowledgements are added to `sent`. Returns the
        number of records.
        """
        producer, count = self._producer, 0
        batch = producer.create_batch()
        for key, value in records:
            count += 1
            if batch.append(key=key, value=value, timestamp=None) is None:
                # The batch is full, and the record is not in it.
                sent.append(await producer.send_batch(batch, topic, partition=self._partition))
                batch = producer.create_batch()
                batch.append(key=key, value=value, timestamp=None)
        if batch.record_count():
            sent.append(await producer.send_batch(batch, topic, partition=self._partition))
        return count


async def read_back(
    client: Mapping[str, Any],
    topic: str,
    partitions: Collection[int],
    on_progress: Callable[[], None] = lambda: None,
    check_crcs: bool = True,
) -> dict[int, dict[bytes, bytes]]:
    """Return the committed rows of each partition by key; deleted rows are left out.

    Call it after the lanes are opened, so that nothing can be added. `on_progress` is called for
    each block read.

    Raises:
        Refused: a record of the topic cannot be read.
    """
    consumer = AIOKafkaConsumer(
        **client,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=_READ_BYTES // 4,
        fetch_max_bytes=_READ_BYTES,
        fetch_max_wait_ms=100,
        check_crcs=check_crcs,
    )
    tps = [TopicPartition(topic, partition) for partition in partitions]
    tables: dict[int, dict[bytes, bytes]] = {partition: {} for partition in partitions}
    await consumer.start()
    try:
        consumer.assign(tps)
        begins, ends = await asyncio.gather(
            consumer.beginning_offsets(tps), consumer.end_offsets(tps)
        )
        for tp in tps:
            consumer.seek(tp, begins[tp])
        left = {tp for tp in tps if ends[tp] > begins[tp]}
        while left:
            for blocks in (await consumer.getmany(*left, timeout_ms=200)).values():
                for block in blocks:
                    _apply(block, tables[block.partition])
                    on_progress()
            check_fetching(consumer)
            # By position: the last offset is a transaction's marker, which no record shows.
            left = {tp for tp in left if await consumer.position(tp) < ends[tp]}
    finally:
        await consumer.stop()
    return tables


def _apply(block: Block, table: dict[bytes, bytes]) -> None:
    for record in block.records():
        if record.fault is not None:
            raise Refused(
                f"{block.topic}/{block.partition} offset {record.offset}: {record.fault}, so the"
                " lane's state cannot be read back; bring the topic back, or let the lane start"
                f" without what it knew: sentinel lanes reset STAGE --lane {block.partition} --yes"
            )
        key = record.key or b""
        if record.value is None:
            table.pop(key, None)
        else:
            table[key] = record.value
