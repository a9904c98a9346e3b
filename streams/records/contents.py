"""What is in fetched batches: values by the thousand, and single records again, whole, where they
are wanted.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.avro.framing import GUID_HEADER
from schemas.native.packed import Packed
from streams.records.cutting import (
    Broken,
    BrokenBatch,
    Headers,
    PlainRecords,
    Record,
    broken,
    check_header,
    cut,
    plain_records,
)
from streams.records.decompression import NONE, CannotUnpack, TooLarge, unpacked
from streams.records.record_batches import BatchHeader, FetchedBatch

Int64s = npt.NDArray[np.int64]

OURS: Final = "sentinel-"
"""How all our headers begin (streams.control.records)."""

_MS: Final = 1000

_HEADER_BYTES: Final = 150
"""Approximate memory of one header besides its bytes. Steps are cut by it, so that a small batch
of very many headers is not one step.
"""

MAX_BATCH_BYTES: Final = 33_554_432
"""Default bound of what one batch is decompressed to, bytes."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How batches are read.

    `max_batch_bytes` bounds what one is decompressed to. `telling(topic, partition, first offset,
    next offset)` is entered while a batch is decompressed and cut, so that a process that dies of
    it leaves a note. `is_deadly(topic, partition, first offset)` says whether one died of it
    before.
    """

    max_batch_bytes: int = MAX_BATCH_BYTES
    telling: Callable[[str, int, int, int], AbstractContextManager[None]] = lambda *_: nullcontext()
    is_deadly: Callable[[str, int, int], bool] = lambda *_: False


# Of the following there is one for each batch, which may hold few records: frozen ones take three
# times as long to make.
@dataclass(slots=True)
class Source:
    """A batch of a partition, and how it is read. `fault` is what is wrong with its bytes, if that
    is known already.
    """

    place: tuple[str, int]
    batch: FetchedBatch
    reading: Reading
    fault: BrokenBatch | None = None

    def records(self, first: int, last: int) -> Iterable[Record]:
        """Those at offsets from `first` to `last`; a broken batch is one record, at its last
        offset.
        """
        with self.noted():
            try:
                # What cannot be cut says so before its first record.
                header = check_header(self.batch)
                found = cut(header, self.unpacked(header), first, last)
                return chain([one] if (one := next(found, None)) is not None else [], found)
            except BrokenBatch as fault:
                record = broken(self.batch, fault)
                return [record] if first <= record.last_offset <= last else []

    def noted(self) -> AbstractContextManager[None]:
        """Leaves a note while the batch is decompressed and cut: that, or the objects made of its
        records, may need more memory than there is.
        """
        return self.reading.telling(*self.place, self.batch.base_offset, self.batch.next_offset)

    def unpacked(self, header: BatchHeader) -> bytes:
        """The records, one behind the other. Raises BrokenBatch."""
        if self.fault is not None:
            raise self.fault
        batch = self.batch
        if self.reading.is_deadly(*self.place, batch.base_offset):
            raise BrokenBatch(
                Broken.DEADLY, "workers died while they decompressed it, or cut it into records"
            )
        codec = header.codec
        if codec == NONE:
            return bytes(batch.packed)
        try:
            return unpacked(codec, batch.packed, self.reading.max_batch_bytes)
        except TooLarge as fault:
            raise BrokenBatch(
                Broken.TOO_LARGE, f"{fault}; at most {self.reading.max_batch_bytes} are read"
            ) from fault
        except CannotUnpack as fault:
            raise BrokenBatch(Broken.CODEC, str(fault)) from fault


@dataclass(slots=True)
class Part:
    """The part of a block that comes from one record batch. A broken batch has its last offset."""

    count: int
    offsets: range | list[int] | Int64s
    stamped_ms: int | None
    """Append time of all; None where each record has its own."""
    times_ms: list[int] | Int64s
    source: Source | list[Record]
    """The batch as it was fetched, or the records themselves where there is no batch."""

    def cut(self, start: int, end: int) -> "Part":
        """The records from index `start` to before `end`."""
        source = self.source[start:end] if isinstance(self.source, list) else self.source
        return Part(
            end - start, self.offsets[start:end], self.stamped_ms, self.times_ms[start:end], source
        )

    def records(self) -> Iterable[Record]:
        """The records whole: the batch is read again."""
        if isinstance(self.source, list):
            return self.source
        return self.source.records(int(self.offsets[0]), int(self.offsets[-1]))


@dataclass(slots=True)
class Content:
    """What is in the records of a block."""

    values: Sequence[bytes | None]
    headed: dict[int, Record]
    """Records with headers that say something to us, by index."""
    broken: dict[int, Record]
    """Those that cannot be read, by index; their value among `values` is None."""
    parts: list[Part]
    size: int = 0
    """Approximate memory of the values, bytes."""

    @staticmethod
    def joined(contents: "Iterable[Content]") -> "Content":
        """All of them in a row."""
        several = [content for content in contents if content.values]
        headed: dict[int, Record] = {}
        broken: dict[int, Record] = {}
        count = 0
        for content in several:
            headed |= {count + index: record for index, record in content.headed.items()}
            broken |= {count + index: record for index, record in content.broken.items()}
            count += len(content.values)
        values = _in_a_row([content.values for content in several])
        parts = [part for content in several for part in content.parts]
        return Content(values, headed, broken, parts, sum(content.size for content in several))

    def offsets(self) -> Int64s:
        """Of the records, ascending; shape (n,)."""
        numbers = [part.offsets for part in self.parts]
        whole = _in_one(numbers)
        if whole is not None:
            return np.arange(whole.start, whole.stop)
        return (
            np.concatenate([_numbers(offsets) for offsets in numbers])
            if numbers
            else np.empty(0, np.int64)
        )

    def places(self, offsets: Int64s) -> Int64s:
        """Of records at these offsets, ascending, their indices."""
        whole = _in_one([part.offsets for part in self.parts])
        return np.searchsorted(self.offsets(), offsets) if whole is None else offsets - whole.start

    def append_times(self) -> Int64s:
        """When the broker took each record, µs; a broker that does not stamp it gives the
        producer's time. Shape (n,).
        """
        stamped = [part.stamped_ms for part in self.parts]
        if None not in stamped:
            counts = np.array([part.count for part in self.parts], np.int64)
            return np.repeat(np.array(stamped, np.int64) * _MS, counts)
        times = [
            np.asarray(part.times_ms, np.int64)
            if part.stamped_ms is None
            else np.full(part.count, part.stamped_ms, np.int64)
            for part in self.parts
        ]
        return np.concatenate(times) * _MS

    def from_offset(self, offset: int) -> "Content":
        """The records from `offset` on."""
        return self.cut(int(np.searchsorted(self.offsets(), offset)), len(self.values))

    def cut(self, start: int, end: int) -> "Content":
        """The records from index `start` to before `end`."""
        parts: list[Part] = []
        at = 0
        for part in self.parts:
            first, last = max(start - at, 0), min(end - at, part.count)
            if first < last:
                parts.append(part.cut(first, last))
            at += part.count
        size = self.size * (end - start) // max(len(self.values), 1)
        return Content(
            self.values[start:end],
            _within(self.headed, start, end),
            _within(self.broken, start, end),
            parts,
            size,
        )


def _in_one(numbers: Sequence[range | list[int] | Int64s]) -> range | None:
    """Neighbouring ranges as one; None where they are not."""
    start = end = None
    for offsets in numbers:
        if not isinstance(offsets, range) or end not in (None, offsets.start):
            return None
        start, end = offsets.start if start is None else start, offsets.stop
    return None if start is None or end is None else range(start, end)


def _numbers(offsets: range | list[int] | Int64s) -> Int64s:
    return (
        np.arange(offsets.start, offsets.stop)
        if isinstance(offsets, range)
        else np.asarray(offsets, np.int64)
    )


def _within(records: dict[int, Record], start: int, end: int) -> dict[int, Record]:
    return {index - start: record for index, record in records.items() if start <= index < end}


def _in_a_row(values: Sequence[Sequence[bytes | None]]) -> Sequence[bytes | None]:
    packed = [each for each in values if isinstance(each, Packed)]
    return (
        Packed.joined(packed)
        if packed and len(packed) == len(values)
        else list(chain.from_iterable(values))
    )


def content_of(source: Source) -> Content:
    """What is in a batch; in a broken one, one broken record."""
    batch = source.batch
    with source.noted():
        try:
            header = check_header(batch)
            records = source.unpacked(header)
            plain = plain_records(header, records)
            return (
                _slowly(source, header, records)
                if plain is None
                else _plainly(source, header, plain, len(records))
            )
        except BrokenBatch as fault:
            record = broken(batch, fault)
            part = Part(1, [record.last_offset], 0, [0], source)
            return Content([None], {}, {0: record}, [part], len(batch.data))


def _plainly(source: Source, header: BatchHeader, plain: PlainRecords, size: int) -> Content:
    part = Part(header.records, plain.offsets, header.stamped_ms, plain.times_ms, source)
    return Content(plain.values, {}, {}, [part], size)


def _slowly(source: Source, header: BatchHeader, records: bytes) -> Content:
    """A record at a time. Only values are kept of most: an object per record, alive until its block
    is done, has Python's collector walk over all.
    """
    values: list[bytes | None] = []
    headed: dict[int, Record] = {}
    broken: dict[int, Record] = {}
    offsets: list[int] = []
    times: list[int] = []
    headers = 0
    for index, record in enumerate(
        cut(header, records, header.base_offset, source.batch.next_offset)
    ):
        offsets.append(record.offset)
        times.append(record.timestamp)
        headers += len(record.headers)
        if record.fault is not None:
            broken[index] = record
        elif _speaks(record.headers):
            headed[index] = record
        values.append(None if record.fault is not None else record.value)
    part = Part(len(values), offsets, header.stamped_ms, times, source)
    # Where all are plain, it is as large as the native code says, which makes nothing of headers.
    made = headers * _HEADER_BYTES if headed or None in values else 0
    return Content(values, headed, broken, [part] if values else [], len(records) + made)


def _speaks(headers: Headers) -> bool:
    """As the native code sees it; tracing, for example, puts headers on every record."""
    return any(name.startswith((OURS, GUID_HEADER)) for name, _ in headers)
