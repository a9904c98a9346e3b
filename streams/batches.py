"""The values of a Kafka record batch where they lie in its decompressed bytes: no object for each record."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from aiokafka import codec

from schemas.kernel.library import KERNEL
from schemas.packed import Packed

Int64s = npt.NDArray[np.int64]

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
"""Of a batch of the second format (Kafka's protocol, *Record batch*): base offset, length, leader epoch, magic, checksum, attributes, last offset's
delta, first and greatest time, producer's id and epoch, base sequence, number of records."""
_MAGIC: Final = 2
_LENGTH_AT, _AFTER_LENGTH = 8, 12
_CODEC: Final = 0x07

_DECOMPRESSED: Final[Mapping[int, Callable[[memoryview], bytes]]] = {
    0: bytes,
    1: codec.gzip_decode,
    2: codec.snappy_decode,
    3: codec.lz4_decode,
    4: codec.zstd_decode,
}


@dataclass(frozen=True, slots=True)
class PlainRecords:
    """Records that have a value and no headers that say something to us, all of a batch."""

    values: Packed
    offsets: range | Int64s
    """Rising."""
    times_ms: Int64s
    """As their producer stamped them."""


def length_of(data: bytes, at: int) -> int:
    """Bytes of the batch that begins there."""
    (length,) = struct.unpack_from(">i", data, at + _LENGTH_AT)
    return _AFTER_LENGTH + int(length)


def plain_records(batch: memoryview) -> PlainRecords | None:
    """What the kernel finds in one batch; None when it is of another kind, not all of it is plain, or there is no kernel: then each record must be
    looked at, and whoever does so says what is wrong with it."""
    if KERNEL is None or len(batch) < _HEADER.size:
        return None
    base, _, _, magic, _, attributes, _, first_time, _, _, _, _, count = _HEADER.unpack_from(batch)
    decompressed = _DECOMPRESSED.get(attributes & _CODEC)
    if magic != _MAGIC or decompressed is None or count <= 0:
        return None
    records = decompressed(batch[_HEADER.size :])
    if count > len(records):
        return None
    found = KERNEL.split(records, count)
    if found is None:
        return None
    addresses, sizes, offsets, times = found
    whole = int(offsets[-1]) == count - 1
    return PlainRecords(
        Packed(addresses, sizes, (records,)), range(base, base + count) if whole else offsets + base, times + first_time
    )
