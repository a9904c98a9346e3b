"""Unpacked batches, cut into records; and what becomes of those that cannot be.

A batch whose records do not fill it to its last byte, or whose header is impossible, becomes one
broken record: nothing else in it can be trusted. Where only the inside of a record is impossible,
that record is broken, and its neighbours are not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.errors import BadRecord
from schemas.native.library import NATIVE
from schemas.native.packed import Packed
from streams.records.record_batches import MAX_TIME_MS, NO_TIME, BatchHeader, FetchedBatch

Int64s = npt.NDArray[np.int64]
Headers = tuple[tuple[str, bytes | None], ...]

MAX_RECORDS: Final = 500_000
"""Maximum number of records of a batch. A record of telemetry has 70 bytes or more, so no batch of
telemetry within the bound of bytes reaches it.
"""

MAX_HEADERS: Final = 1_000
"""Maximum number of headers of a record. A header can be two bytes in a batch, and is a hundred
times that in Python. The same as in native.c.
"""

MAX_BATCH_HEADERS: Final = 500_000
"""Maximum number of headers of all records of a batch: bounds the time for a batch that is small on
the wire. The same as in native.c.
"""

LAST_OFFSET: Final = "sentinel-last-offset"
"""Header of a dead letter for a whole batch: its last offset."""
DETAIL: Final = "sentinel-detail"
"""Header of a dead letter for what could not be cut: what was found, in words."""

_WORD: Final = 64


class Broken(StrEnum):
    """Why a batch, or a record of it, could not be read. The texts go to headers of dead letters
    and to labels of metrics: they stay.
    """

    FORMAT = "record batch of an old or unknown format"
    CHECKSUM = "record batch fails its checksum"
    HEADER = "record batch whose header makes no sense"
    CODEC = "record batch does not decompress"
    TOO_LARGE = "record batch decompresses to too many bytes"
    TOO_MANY = "record batch of too many records"
    MANY_HEADERS = "record batch of too many headers"
    UNCUT = "record batch cannot be cut into records"
    RECORD = "record cannot be cut into its parts"
    HEADERS = "record of too many headers"
    TIMESTAMP = "record timestamp out of range"
    DEADLY = "record batch kills the worker"


class BrokenBatch(BadRecord):
    """A batch of which no record can be read; `found` gives the details."""

    def __init__(self, reason: Broken, found: str) -> None:
        super().__init__(reason)
        self.found = found


@dataclass(slots=True)
class Record:
    """One record. Where it, or its batch, is broken (`fault`), the value is the bytes as fetched:
    those of the record, or of the whole batch with its offsets up to `last_offset`.
    """

    offset: int
    timestamp: int
    """ms."""
    key: bytes | None
    value: bytes | None
    headers: Headers
    fault: BadRecord | None = None
    last_offset: int = -1
    marks: tuple[tuple[str, bytes], ...] = ()
    """Headers that a dead letter of it has beside the usual ones."""

    def __post_init__(self) -> None:
        self.last_offset = max(self.last_offset, self.offset)


@dataclass(slots=True)
class PlainRecords:
    """All records of a batch in which each has a value and none has a header that matters here."""

    values: Packed
    offsets: range | Int64s
    """Rising."""
    times_ms: Int64s
    """As their producer stamped them."""


def check_header(batch: FetchedBatch) -> BatchHeader:
    """The header. Raises BrokenBatch when it says what cannot be."""
    header = batch.header
    if header is None:
        raise BrokenBatch(Broken.FORMAT, "it is not of Kafka's record batch format 2")
    if header.last_offset_delta < 0 or not 0 <= header.records <= header.last_offset_delta + 1:
        raise BrokenBatch(
            Broken.HEADER, f"{header.records} records for offsets up to {header.last_offset_delta}"
        )
    if header.records > MAX_RECORDS:
        raise BrokenBatch(
            Broken.TOO_MANY, f"{header.records} records; at most {MAX_RECORDS} are read"
        )
    if header.stamped_ms is not None and not NO_TIME <= header.stamped_ms <= MAX_TIME_MS:
        raise BrokenBatch(Broken.HEADER, f"append time {header.stamped_ms} ms")
    return header


def broken(batch: FetchedBatch, fault: BrokenBatch) -> Record:
    """A whole batch as one record."""
    last = batch.next_offset - 1
    marks = ((LAST_OFFSET, b"%d" % last), (DETAIL, fault.found.encode()[:512]))
    return Record(batch.base_offset, 0, None, bytes(batch.data), (), fault, last, marks)


def plain_records(header: BatchHeader, records: bytes) -> PlainRecords | None:
    """The records as the native code splits them; None when not all are plain, or without native
    code: then each record has to be cut in Python.
    """
    count = header.records
    if NATIVE is None or not 0 < count <= len(records):
        return None
    found = NATIVE.split(records, count, header.last_offset_delta)
    if found is None:
        return None
    addresses, sizes, offsets, times = found
    if header.stamped_ms is None:
        first = header.first_time
        if times.min() < NO_TIME - first or times.max() > MAX_TIME_MS - first:
            return None
        times += first
    base = header.base_offset
    numbers = range(base, base + count) if header.is_numbered else offsets + base
    return PlainRecords(Packed(addresses, sizes, (records,)), numbers, times)


def cut(header: BatchHeader, records: bytes, first: int, last: int) -> Iterator[Record]:
    """The records at offsets from `first` to `last`, in order. Raises BrokenBatch, before the first
    one, when the batch cannot be cut.
    """
    try:
        ends = _ends(records, header.records)
        _check_headers(records, ends)
        deltas: Sequence[int] = (
            range(header.records) if header.is_numbered else _deltas(header, records, ends)
        )
    except _Cut as fault:
        raise BrokenBatch(Broken.UNCUT, str(fault)) from None
    for (start, end), delta in zip(ends, deltas, strict=True):
        if first <= header.base_offset + delta <= last:
            yield _record(header, records, start, end, header.base_offset + delta)


class _Cut(Exception):
    """The bytes end, or say that they should have."""


class _TooManyHeaders(Exception):
    """The text says how many there are."""


def _ends(records: bytes, count: int) -> list[tuple[int, int]]:
    """Where each record begins, behind its length, and ends."""
    found, at, size = [], 0, len(records)
    for row in range(count):
        length, at = _number(records, at, size)
        if not 0 <= length <= size - at:
            raise _Cut(
                f"record {row} of {count} has length {length}, {size - at} bytes before the"
                " batch's end"
            )
        found.append((at, at + length))
        at += length
    if at != size:
        raise _Cut(f"{size - at} bytes lie behind the last of {count} records")
    return found


def _check_headers(records: bytes, ends: Sequence[tuple[int, int]]) -> None:
    """Raises BrokenBatch where the records together have more than `MAX_BATCH_HEADERS` headers,
    before an object is made of any.
    """
    # A header has two bytes at least, so most batches cannot have too many.
    if len(records) <= 2 * MAX_BATCH_HEADERS or len(ends) * MAX_HEADERS <= MAX_BATCH_HEADERS:
        return
    found = sum(_header_count(records, start, end) for start, end in ends)
    if found > MAX_BATCH_HEADERS:
        raise BrokenBatch(
            Broken.MANY_HEADERS, f"{found} headers; at most {MAX_BATCH_HEADERS} are read"
        )


def _header_count(records: bytes, at: int, end: int) -> int:
    """Of a record; 0 where it is broken before they begin, or has too many."""
    try:
        at = _attributes(at, end)
        for _ in range(2):
            at = _number(records, at, end)[1]
        for _ in range(2):
            size, at = _number(records, at, end)
            at += max(size, 0)
        count, at = _number(records, at, end)
    except _Cut:
        return 0
    return count if 0 <= count <= min(MAX_HEADERS, (end - at) // 2) else 0


def _deltas(header: BatchHeader, records: bytes, ends: Sequence[tuple[int, int]]) -> list[int]:
    """The offset delta of each record from the batch's first offset. A compacted log has gaps."""
    found: list[int] = []
    for start, end in ends:
        at = _number(records, _attributes(start, end), end)[1]
        delta = _number(records, at, end)[0]
        if not (found[-1] if found else -1) < delta <= header.last_offset_delta:
            raise _Cut(
                f"a record says that it is {delta} offsets behind the batch's first, of"
                f" {header.last_offset_delta}"
            )
        found.append(delta)
    return found


def _record(header: BatchHeader, records: bytes, start: int, end: int, offset: int) -> Record:
    try:
        key, value, headers, delta = _parts(records, start, end)
    except _Cut as fault:
        return _broken_record(Broken.RECORD, str(fault), records[start:end], offset)
    except _TooManyHeaders as fault:
        return _broken_record(Broken.HEADERS, str(fault), records[start:end], offset)
    time = header.first_time + delta if header.stamped_ms is None else header.stamped_ms
    if not NO_TIME <= time <= MAX_TIME_MS:
        return _broken_record(Broken.TIMESTAMP, f"{time} ms", records[start:end], offset)
    return Record(offset, time, key, value, headers)


def _broken_record(reason: Broken, detail: str, content: bytes, offset: int) -> Record:
    return Record(
        offset, 0, None, content, (), BadRecord(reason), marks=((DETAIL, detail.encode()[:512]),)
    )


def _parts(records: bytes, at: int, end: int) -> tuple[bytes | None, bytes | None, Headers, int]:
    """Key, value, headers, and the timestamp delta from the batch's first timestamp, ms."""
    # Kafka's order: attributes, timestamp delta, offset delta, key, value, headers.
    time, at = _number(records, _attributes(at, end), end)
    _, at = _number(records, at, end)
    key, at = _bytes(records, at, end)
    value, at = _bytes(records, at, end)
    count, at = _number(records, at, end)
    # A header has two bytes at least: the size of its name, and of its value.
    if not 0 <= 2 * count <= end - at:
        raise _Cut(f"{count} headers")
    if count > MAX_HEADERS:
        raise _TooManyHeaders(f"{count} headers; at most {MAX_HEADERS} are read")
    headers = []
    for _ in range(count):
        name, at = _bytes(records, at, end)
        if name is None:
            raise _Cut("a header without a name")
        content, at = _bytes(records, at, end)
        # The protocol asks for UTF-8, but clients in some languages write any bytes.
        headers.append((name.decode(errors="backslashreplace"), content))
    if at != end:
        raise _Cut(f"{end - at} bytes lie behind its headers")
    return key, value, tuple(headers), time


def _attributes(at: int, end: int) -> int:
    """Where the attributes end: one byte, which Kafka does not use yet."""
    if at == end:
        raise _Cut("it is empty")
    return at + 1


def _bytes(records: bytes, at: int, end: int) -> tuple[bytes | None, int]:
    size, at = _number(records, at, end)
    if size < 0:
        return None, at
    if size > end - at:
        raise _Cut(f"{size} bytes where {end - at} are left")
    return records[at : at + size], at + size


def _number(records: bytes, at: int, end: int) -> tuple[int, int]:
    """A signed integer in zigzag encoding, and where it ends."""
    # Seven bits a byte, the lowest first; the high bit is set in all but the last byte.
    read = shift = 0
    while at < end and shift < _WORD:
        byte = records[at]
        at += 1
        read |= (byte & 0x7F) << shift
        if byte < 0x80:
            if read >> _WORD:
                break
            return (read >> 1) ^ -(read & 1), at
        shift += 7
    raise _Cut("a number does not end")
