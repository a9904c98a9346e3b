"""What a broker's answer holds: record batches, of which only the headers are looked at here
(Kafka's protocol, *Record batch*).
"""

import struct
from typing import Final, NamedTuple

from aiokafka.record.util import calc_crc32c

MAGIC: Final = 2
"""The format of Kafka 0.11 and later. Brokers give older ones only out of logs of their time."""

NO_TIME: Final = -1
MAX_TIME_MS: Final = 4_102_444_800_000
"""2100-01-01 UTC, ms: a later time stamp of a record is another unit, or nonsense."""

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
HEADER_BYTES: Final = _HEADER.size
_BASE: Final = struct.Struct(">q")
_LENGTH: Final = struct.Struct(">i")
_LENGTH_AT, _AFTER_LENGTH, _MAGIC_AT, _AFTER_CHECKSUM = 8, 12, 16, 21
_CODEC, _APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20


class BatchHeader(NamedTuple):
    """As it is on the wire. Only base offset and length are written by the broker; every other
    field comes from the producer, and may be wrong.
    """

    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    checksum: int
    attributes: int
    last_offset_delta: int
    first_time: int
    max_time: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records: int

    @property
    def codec(self) -> int:
        """0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd."""
        return self.attributes & _CODEC

    @property
    def stamped_ms(self) -> int | None:
        """Append time of all records, where the topic has the broker stamp them; else None, and
        each record has its producer's time.
        """
        return self.max_time if self.attributes & _APPEND_TIME else None

    @property
    def is_transactional(self) -> bool:
        """Whether it is part of a transaction."""
        return bool(self.attributes & _TRANSACTIONAL)

    @property
    def is_control(self) -> bool:
        """Whether it is a transaction's marker. Only brokers write these."""
        return bool(self.attributes & _CONTROL)

    @property
    def is_numbered(self) -> bool:
        """Whether there are as many records as offsets: then the n-th record has the n-th offset,
        even if its own offset delta says otherwise.
        """
        return self.records == self.last_offset_delta + 1


class FetchedBatch:
    """One batch as it was fetched. `header` is None for another format, and for a batch that is
    shorter than its header.
    """

    __slots__ = ("base_offset", "data", "header")

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.header: BatchHeader | None = None
        if len(data) >= HEADER_BYTES and data[_MAGIC_AT] == MAGIC:
            header = BatchHeader._make(_HEADER.unpack_from(data))
            self.base_offset = header.base_offset
            if header.length == len(data) - _AFTER_LENGTH:
                self.header = header
        else:
            self.base_offset = _BASE.unpack_from(data)[0]

    @property
    def next_offset(self) -> int:
        """The offset after it by its header; always greater than its first offset."""
        return (
            self.base_offset
            + 1
            + (0 if self.header is None else max(self.header.last_offset_delta, 0))
        )

    @property
    def packed(self) -> memoryview:
        """Its records, as they were compressed."""
        return self.data[HEADER_BYTES:]

    def is_sound(self) -> bool:
        """Whether its checksum is that of its bytes. Older formats have other checksums, and are
        refused for their format.
        """
        # The checksum covers everything from the attributes on: the broker may change offset and
        # leader epoch without computing it again.
        return self.header is None or self.header.checksum == calc_crc32c(
            self.data[_AFTER_CHECKSUM:]
        )


class FetchedBytes:
    """Stands in for aiokafka's `MemoryRecords`: the batches of one partition in an answer. A broker
    cuts the answer at a number of bytes, so the last batch may be incomplete; it is left out.
    """

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def size_in_bytes(self) -> int:
        """Bytes fetched."""
        return len(self._data)

    def has_next(self) -> bool:
        """Whether a batch is left."""
        return self._end() is not None

    def next_batch(self) -> FetchedBatch | None:
        """The next record batch; None when there is none."""
        end = self._end()
        if end is None:
            return None
        batch = FetchedBatch(self._data[self._at : end])
        self._at = end
        return batch

    def _end(self) -> int | None:
        if len(self._data) - self._at <= _MAGIC_AT:
            return None
        (length,) = _LENGTH.unpack_from(self._data, self._at + _LENGTH_AT)
        if length <= _MAGIC_AT - _AFTER_LENGTH:
            # The length is less than the header's: where the next batch begins is unknown.
            return len(self._data)
        end: int = self._at + _AFTER_LENGTH + length
        return end if end <= len(self._data) else None
