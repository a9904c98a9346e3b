"""From fetched bytes to blocks, for all of aiokafka's consumers in a process: a batch is handed
over as one `Block`, and not as a record at a time.

The bookkeeping of aborted transactions is aiokafka's own. A batch without records (a transaction's
marker) is an empty block, since it moves the position. A batch that cannot be read is a block of
one broken record (streams.records.cutting), and affects no other batch.
"""

import struct
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar, Final

import aiokafka.consumer.fetcher as fetcher
import structlog

from streams.records.blocks import Block
from streams.records.contents import Reading, Source, content_of
from streams.records.cutting import Broken, BrokenBatch, cut
from streams.records.record_batches import FetchedBatch, FetchedBytes

_TRIES: Final = 3
"""How often a batch with a wrong checksum is fetched: damage in transit is gone the next time,
damage in the log is not.
"""

_ABORT: Final = 0
_MARKER: Final = struct.Struct(">hh")

_log = structlog.get_logger("sentinel.fetched")


class ColumnRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """aiokafka's iterator over a fetched partition, a batch at a time."""

    reading: ClassVar[Reading] = Reading()
    unsound: ClassVar[dict[tuple[str, int, int], int]] = {}
    """How often each batch had a wrong checksum, by topic, partition and first offset."""

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[Block]:
        place = (self._tp.topic, self._tp.partition)
        records: FetchedBytes = self._records
        while (batch := records.next_batch()) is not None:
            fault = None
            if self._check_crcs and not batch.is_sound():
                tries = self._tries_of((*place, batch.base_offset))
                if tries < _TRIES:
                    # Fetched again, from here on.
                    return
                fault = BrokenBatch(Broken.CHECKSUM, f"fetched {tries} times, and wrong each time")
            start = self.next_fetch_offset
            self.next_fetch_offset = next_offset = max(batch.next_offset, start)
            if fault is None and batch.header is not None and self._is_no_data(batch):
                yield Block.empty(place, start, next_offset)
                continue
            # A fetch from the middle of a batch returns the whole batch; one from within a gap
            # returns the batch after the gap. So the block is cut to `start`, and begins there.
            held = 1 if fault is not None or batch.header is None else max(batch.header.records, 0)
            read = partial(content_of, Source(place, batch, self.reading, fault))
            block = Block.unread(place, batch.base_offset, next_offset, held, read).from_offset(
                start
            )
            block.start = start
            yield block

    def _tries_of(self, where: tuple[str, int, int]) -> int:
        """How often this batch was wrong, including this time; counts again after the last try."""
        tries = self.unsound.pop(where, 0) + 1
        _log.warning(
            "fetched.checksum", topic=where[0], partition=where[1], offset=where[2], tries=tries
        )
        if tries < _TRIES:
            self.unsound[where] = tries
        return tries

    def _is_no_data(self, batch: FetchedBatch) -> bool:
        """Whether it is a transaction's marker, or part of a transaction that was aborted. Keeps
        aiokafka's bookkeeping, so it is to be called once for each batch, in order.
        """
        header = batch.header
        assert header is not None
        if self._isolation_level != fetcher.READ_COMMITTED:
            return header.is_control
        self._consume_aborted_up_to(batch.base_offset)
        if header.is_control and self._ends_aborted(batch):
            self._aborted_producers.discard(header.producer_id)
        return header.is_control or (
            header.is_transactional and header.producer_id in self._aborted_producers
        )

    def _ends_aborted(self, batch: FetchedBatch) -> bool:
        """Whether the marker ends an aborted transaction. One that cannot be read counts as if it
        did: what its producer writes next belongs to another transaction in either case.
        """
        assert batch.header is not None
        try:
            (marker,) = cut(batch.header, bytes(batch.packed), 0, batch.next_offset)
            _, kind = _MARKER.unpack_from(marker.key or b"")
        except (BrokenBatch, ValueError, struct.error):
            _log.warning(
                "fetched.marker_unreadable",
                topic=self._tp.topic,
                partition=self._tp.partition,
                offset=batch.base_offset,
            )
            return True
        return bool(kind == _ABORT)


def install(reading: Reading) -> None:
    """Makes every aiokafka consumer of this process hand over blocks, read by `reading`."""
    # A class for each call, since aiokafka makes the instances and passes no settings on.
    fetcher.PartitionRecords = type(
        "ColumnRecords", (ColumnRecords,), {"reading": reading, "unsound": {}}
    )
    fetcher.MemoryRecords = FetchedBytes


def reading_in_use() -> Any:
    """How this process's consumers read."""
    return getattr(fetcher.PartitionRecords, "reading", Reading())
