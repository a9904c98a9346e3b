"""Records as Kafka batched them: one object per fetch and partition, instead of one per record.

`ColumnRecords` takes the place of aiokafka's `PartitionRecords` in a whole process. Its abort logic is aiokafka's own; what differs is that a record
batch is handed over as one `Block`, and that a batch without records (a transaction's marker) is an empty `Block`, since it moves the position.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, cast

import aiokafka.consumer.fetcher as fetcher
import numpy as np
import numpy.typing as npt
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP

from schemas.framing import GUID_HEADER
from schemas.packed import Packed
from streams.batches import length_of, plain_records

Int64s = npt.NDArray[np.int64]

_MS: Final = 1000
_LOG_APPEND_TIME: Final = 1
_OURS: Final = "sentinel-"
"""How all our headers begin (streams.control)."""

STEP_RECORDS: Final = 24_000
"""Records of a step at most, if the producers' batches are not larger: fewer cost more calls, more no longer fit the processor's caches."""


class FetchedBytes:
    """aiokafka's `MemoryRecords` that keeps the bytes it was made of, so that one record can be read again whole.

    Only values are kept of the others: an object per record, alive until its block is done, has Python's collector walk over all of them.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._records = MemoryRecords(data)
        self._at = self._next_at = 0

    def size_in_bytes(self) -> int:
        """Bytes fetched."""
        return int(self._records.size_in_bytes())

    def has_next(self) -> bool:
        """Whether a batch is left."""
        return bool(self._records.has_next())

    def next_batch(self) -> Any:
        """The next record batch; None when there is none."""
        batch = self._records.next_batch()
        self._at = self._next_at
        if batch is not None:
            self._next_at += length_of(self._data, self._at)
        return batch

    def taken(self) -> memoryview:
        """The bytes of the batch that was given last."""
        return memoryview(self._data)[self._at : self._next_at]


@dataclass(frozen=True, slots=True)
class _Part:
    """What one record batch gave to a block."""

    count: int
    offsets: range | list[int] | Int64s
    stamped_ms: int | None
    """Append time of all; None where each record has its own."""
    times_ms: list[int] | Int64s
    source: memoryview | list[Any]
    """The batch as it was fetched; or the records themselves, of who has no batch."""

    def cut(self, skip: int) -> "_Part":
        source = self.source[skip:] if isinstance(self.source, list) else self.source
        return _Part(self.count - skip, self.offsets[skip:], self.stamped_ms, self.times_ms[skip:], source)

    def records(self) -> Iterable[Any]:
        if isinstance(self.source, list):
            return self.source
        first = self.offsets[0]
        return (record for record in MemoryRecords(bytes(self.source)).next_batch() if record.offset >= first)


@dataclass(frozen=True, slots=True)
class _Content:
    """What is in the records of a block."""

    values: Sequence[bytes | None]
    headed: dict[int, Any]
    parts: list[_Part]

    @staticmethod
    def joined(contents: Iterable["_Content"]) -> "_Content":
        several = [content for content in contents if content.values]
        headed: dict[int, Any] = {}
        count = 0
        for content in several:
            for index, record in content.headed.items():
                headed[count + index] = record
            count += len(content.values)
        values = [content.values for content in several]
        return _Content(_in_a_row(values), headed, [part for content in several for part in content.parts])


def _in_a_row(values: Sequence[Sequence[bytes | None]]) -> Sequence[bytes | None]:
    packed = [each for each in values if isinstance(each, Packed)]
    return Packed.joined(packed) if packed and len(packed) == len(values) else list(chain.from_iterable(values))


class Block:
    """Neighbouring records of one partition. `start` is the offset that their fetch asked for, `next_offset` the one to ask for next: logs have
    gaps, so neither need be a record's. `held` is how many records there are, as far as is known before they are read: where a log was compacted,
    some less. They are read when first looked at, a step's at a time: what waits takes the memory of its compressed bytes.

    The other attributes are the least that Faust reads of a consumed record.
    """

    __slots__ = (
        "_content",
        "_read",
        "checksum",
        "headers",
        "held",
        "key",
        "next_offset",
        "offset",
        "partition",
        "serialized_key_size",
        "serialized_value_size",
        "start",
        "timestamp",
        "timestamp_type",
        "topic",
    )

    def __init__(
        self,
        place: tuple[str, int],
        start: int,
        next_offset: int,
        values: Sequence[bytes | None],
        headed: dict[int, Any],
        parts: list[_Part],
    ) -> None:
        self.topic, self.partition = place
        self.start, self.next_offset = start, next_offset
        self._content: _Content | None = _Content(values, headed, parts)
        self._read: Callable[[], _Content] | None = None
        self.held = len(values)
        self.offset = next_offset - 1
        self.timestamp, self.timestamp_type = 0, _LOG_APPEND_TIME
        self.headers: tuple[()] = ()
        self.key = self.checksum = None
        self.serialized_key_size = self.serialized_value_size = 0

    @classmethod
    def unread(
        cls, place: tuple[str, int], start: int, next_offset: int, held: int, read: Callable[[], _Content]
    ) -> "Block":
        """A block whose records are read by `read`, once, when they are looked at."""
        block = cls(place, start, next_offset, [], {}, [])
        block._content, block._read, block.held = None, read, held
        return block

    @property
    def values(self) -> Sequence[bytes | None]:
        """Of each record; where all are plain, packed: whoever goes through them makes them."""
        return self._contents().values

    @property
    def headed(self) -> dict[int, Any]:
        """The records with headers that say something to us, by index: ticks and control records, and those that tell their schema there."""
        return self._contents().headed

    @property
    def _parts(self) -> list[_Part]:
        return self._contents().parts

    def _contents(self) -> _Content:
        self._content = content = self._taken()
        self._read = None
        return content

    def _taken(self) -> _Content:
        """The content, which does not stay here if it has not been read before."""
        if self._content is not None:
            return self._content
        assert self._read is not None
        return self._read()

    @property
    def value(self) -> "Block":
        """The block, where Faust looks for a record's value. Not an attribute: a cycle would keep megabytes until the collector comes."""
        return self

    def __len__(self) -> int:
        return len(self.values)

    def offsets(self) -> Int64s:
        """The records' offsets, ascending; shape (n,)."""
        if not self._parts:
            return np.empty(0, np.int64)
        return np.concatenate(
            [
                np.arange(part.offsets.start, part.offsets.stop)
                if isinstance(part.offsets, range)
                else np.asarray(part.offsets, np.int64)
                for part in self._parts
            ]
        )

    def append_times(self) -> Int64s:
        """When the broker took each record, µs; a broker that does not stamp it gives the producer's time. Shape (n,)."""
        if not self._parts:
            return np.empty(0, np.int64)
        times = [
            np.asarray(part.times_ms, np.int64)
            if part.stamped_ms is None
            else np.full(part.count, part.stamped_ms, np.int64)
            for part in self._parts
        ]
        return np.concatenate(times) * _MS

    def records_at(self, indices: Sequence[int]) -> Iterator[Any]:
        """Some records whole, with key and headers, by ascending index. Each batch is read at most once, however many are wanted of it."""
        at = place = 0
        for part in self._parts:
            end = at + part.count
            if place < len(indices) and indices[place] < end:
                for index, record in enumerate(part.records(), at):
                    while place < len(indices) and indices[place] == index:
                        yield record
                        place += 1
                    if place == len(indices) or indices[place] >= end:
                        break
            at = end
        if place < len(indices):
            raise IndexError(indices[place])

    def records(self) -> Iterator[Any]:
        """All records whole: for topics of little traffic, and for state."""
        return chain.from_iterable(part.records() for part in self._parts if part.count)

    def from_offset(self, offset: int) -> "Block":
        """The part from `offset` on."""
        if offset <= self.start:
            return self
        skip = int(np.searchsorted(self.offsets(), offset))
        parts: list[_Part] = []
        at = 0
        for part in self._parts:
            if at + part.count > skip:
                parts.append(part.cut(max(skip - at, 0)))
            at += part.count
        headed = {index - skip: record for index, record in self.headed.items() if index >= skip}
        return Block((self.topic, self.partition), offset, self.next_offset, self.values[skip:], headed, parts)

    @staticmethod
    def joined(blocks: list["Block"]) -> "Block":
        """One block of neighbouring ones, in order."""
        if len(blocks) == 1:
            return blocks[0]
        first, last = blocks[0], blocks[-1]
        return Block.unread(
            (first.topic, first.partition),
            first.start,
            last.next_offset,
            sum(block.held for block in blocks),
            lambda: _Content.joined(block._taken() for block in blocks),
        )


class ColumnRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """aiokafka's iterator over a fetched partition, a batch at a time."""

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[Block]:
        place = (self._tp.topic, self._tp.partition)
        records: FetchedBytes = self._records
        while records.has_next():
            batch = records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            start = self.next_fetch_offset
            self.next_fetch_offset = next_offset = max(batch.next_offset, start)
            if self._is_aborted(batch) or batch.is_control_batch:
                yield Block(place, start, next_offset, [], {}, [])
                continue
            # A fetch from the middle of a batch brings all of it; one from within a gap brings what lies behind the gap.
            block = _block_of(place, records.taken(), batch, next_offset).from_offset(start)
            block.start = start
            yield block

    def _is_aborted(self, batch: Any) -> bool:
        """aiokafka's own bookkeeping of aborted transactions; to be called once for every batch, in order."""
        if self._isolation_level != fetcher.READ_COMMITTED or batch.producer_id is None:
            return False
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and self._contains_abort_marker(batch):
            self._aborted_producers.discard(batch.producer_id)
        return bool(batch.is_transactional and batch.producer_id in self._aborted_producers)


def _block_of(place: tuple[str, int], data: memoryview, batch: Any, next_offset: int) -> Block:
    held = batch.last_offset_delta + 1
    return Block.unread(place, batch.base_offset, next_offset, held, lambda: _content_of(data, batch, next_offset))


def _content_of(data: memoryview, batch: Any, next_offset: int) -> _Content:
    stamped: int | None = batch.max_timestamp if batch.timestamp_type == _LOG_APPEND_TIME else None
    plain = plain_records(data)
    if plain is not None:
        part = _Part(len(plain.values), plain.offsets, stamped, plain.times_ms, data)
        return _Content(plain.values, {}, [part])
    base: int = batch.base_offset
    headed: dict[int, Any] = {}
    values: list[bytes | None] = []

    def remember(record: Any) -> bytes | None:
        headed[record.offset] = record
        value: bytes | None = record.value
        return value

    times: list[int] = []
    if stamped is not None:
        values = [remember(record) if _speaks(record.headers) else record.value for record in batch]
    else:
        for record in batch:
            values.append(remember(record) if _speaks(record.headers) else record.value)
            times.append(record.timestamp)
    offsets: range | list[int] = range(base, next_offset)
    if len(values) != len(offsets):
        offsets = [record.offset for record in _Part(1, [base], None, [], data).records()]
    if headed:
        headed = {offsets.index(offset): record for offset, record in headed.items()}
    return _Content(values, headed, [_Part(len(values), offsets, stamped, times, data)])


def _speaks(headers: Sequence[tuple[str, bytes | None]]) -> bool:
    """As the kernel sees it; tracing, for example, puts headers on every record."""
    return any(name.startswith((_OURS, GUID_HEADER)) for name, _ in headers)


class Coalesce(DefaultSchedulingStrategy):
    """Faust's order of records, after what one fetch brought for a partition was joined to few blocks."""

    def iterate(self, records: Mapping[TP, list[Block]]) -> Iterator[tuple[TP, Any]]:
        """Blocks of a size that a step is cheapest at, round robin over topics and partitions. The lists are emptied on the way: whoever fetched
        them holds them until the last is handed on, with whatever of them has been read meanwhile."""
        steps = {tp: _joined_in_steps(blocks) for tp, blocks in records.items() if blocks}
        return super().iterate(cast("Mapping[TP, list[Block]]", steps))


def _joined_in_steps(blocks: list[Block]) -> Iterator[Block]:
    """Neighbouring blocks joined up to about `STEP_RECORDS`; never cut."""
    blocks.reverse()
    while blocks:
        step = [blocks.pop()]
        held = step[0].held
        while blocks and held + blocks[-1].held <= STEP_RECORDS:
            step.append(blocks.pop())
            held += step[-1].held
        yield Block.joined(step)


def install() -> None:
    """Makes every aiokafka consumer of this process hand over blocks."""
    fetcher.PartitionRecords = ColumnRecords
    fetcher.MemoryRecords = FetchedBytes
