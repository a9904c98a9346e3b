"""Records as Kafka batched them: one object per fetch and partition, instead of one per record.

`ColumnRecords` takes the place of aiokafka's `PartitionRecords` in a whole process. Its abort logic is aiokafka's own, kept line by line; what differs is that a
record batch is handed over as one `Block`, and that a batch without records (a transaction's marker) is an empty `Block`, since it moves the position.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import aiokafka.consumer.fetcher as fetcher
import numpy as np
import numpy.typing as npt
from aiokafka.errors import CorruptRecordException
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP

Int64s = npt.NDArray[np.int64]

_MS: Final = 1000
_LOG_APPEND_TIME: Final = 1


class Block:
    """Neighbouring records of one partition. `start` is the offset that their fetch asked for, `next_offset` the one to ask for next: logs have
    gaps, so neither need be a record's.

    The other attributes are the least that Faust reads of a consumed record.
    """

    __slots__ = (
        "_times",
        "checksum",
        "headers",
        "key",
        "next_offset",
        "offset",
        "partition",
        "records",
        "serialized_key_size",
        "serialized_value_size",
        "start",
        "timestamp",
        "timestamp_type",
        "topic",
        "value",
    )

    def __init__(
        self,
        topic: str,
        partition: int,
        start: int,
        next_offset: int,
        records: list[Any],
        times: list[tuple[int, int | None]],
    ) -> None:
        self.topic, self.partition = topic, partition
        self.start, self.next_offset = start, next_offset
        self.records = records
        self._times = times
        self.offset = next_offset - 1
        self.value = self
        self.timestamp, self.timestamp_type = 0, _LOG_APPEND_TIME
        self.headers: tuple[()] = ()
        self.key = self.checksum = None
        self.serialized_key_size = self.serialized_value_size = 0

    def __len__(self) -> int:
        return len(self.records)

    def values(self) -> list[bytes | None]:
        """The records' values as they came."""
        return [record.value for record in self.records]

    def offsets(self) -> Int64s:
        """The records' offsets, ascending; shape (n,)."""
        records = self.records
        if not records:
            return np.empty(0, np.int64)
        first, last = records[0].offset, records[-1].offset
        if last - first + 1 == len(records):
            return np.arange(first, last + 1, dtype=np.int64)
        return np.fromiter((record.offset for record in records), np.int64, len(records))

    def append_times(self) -> Int64s:
        """When the broker took each record, µs; a broker that does not stamp it gives the producer's time. Shape (n,)."""
        times = np.empty(len(self.records), np.int64)
        at = 0
        for count, stamped in self._times:
            if stamped is not None:
                times[at : at + count] = stamped
            else:
                times[at : at + count] = [record.timestamp for record in self.records[at : at + count]]
            at += count
        return times * _MS

    def from_offset(self, offset: int) -> "Block":
        """The part from `offset` on."""
        if offset <= self.start:
            return self
        skip = int(np.searchsorted(self.offsets(), offset))
        times: list[tuple[int, int | None]] = []
        at = 0
        for count, stamped in self._times:
            left = min(count, at + count - skip)
            if left > 0:
                times.append((left, stamped))
            at += count
        return Block(self.topic, self.partition, offset, self.next_offset, self.records[skip:], times)

    def special(self) -> list[int]:
        """Indices of records that have headers: ticks and control records are among them."""
        return [index for index, record in enumerate(self.records) if record.headers]

    @staticmethod
    def joined(blocks: list["Block"]) -> "Block":
        """One block of neighbouring ones, in order."""
        if len(blocks) == 1:
            return blocks[0]
        first, last = blocks[0], blocks[-1]
        records = [record for block in blocks for record in block.records]
        times = [time for block in blocks for time in block._times]
        return Block(first.topic, first.partition, first.start, last.next_offset, records, times)


class ColumnRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """aiokafka's iterator over a fetched partition, a batch at a time."""

    def _unpack_records(self) -> Iterator[Block]:
        tp, records = self._tp, self._records
        while records.has_next():
            batch = records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {tp}")
            start = self.next_fetch_offset
            self.next_fetch_offset = max(batch.next_offset, start)
            if self._is_aborted(batch) or batch.is_control_batch:
                yield Block(tp.topic, tp.partition, start, self.next_fetch_offset, [], [])
                continue
            taken = list(batch)
            if taken and taken[0].offset < start:
                taken = [record for record in taken if record.offset >= start]
            stamped = batch.max_timestamp if batch.timestamp_type == _LOG_APPEND_TIME else None
            yield Block(tp.topic, tp.partition, start, self.next_fetch_offset, taken, [(len(taken), stamped)])

    def _is_aborted(self, batch: Any) -> bool:
        """aiokafka's own bookkeeping of aborted transactions; to be called once for every batch, in order."""
        if self._isolation_level != fetcher.READ_COMMITTED or batch.producer_id is None:
            return False
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and self._contains_abort_marker(batch):
            self._aborted_producers.discard(batch.producer_id)
        return bool(batch.is_transactional and batch.producer_id in self._aborted_producers)


class Coalesce(DefaultSchedulingStrategy):
    """Faust's order of records, after what one fetch brought for a partition was joined to one block."""

    def iterate(self, records: Mapping[TP, list[Block]]) -> Iterator[tuple[TP, Any]]:
        """One block per partition, round robin over topics."""
        return super().iterate({tp: [Block.joined(blocks)] for tp, blocks in records.items() if blocks})
