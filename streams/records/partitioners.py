"""The partition that each of the usual clients' partitioners gives a keyed record."""

from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum
from typing import Final
from zlib import crc32

import numpy as np
import numpy.typing as npt
from aiokafka.partitioner import murmur2

Int64s = npt.NDArray[np.int64]
UInt32s = npt.NDArray[np.uint32]

_M: Final = np.uint32(0x5BD1E995)
_SEED: Final = np.uint32(0x9747B28C)
_MANY: Final = 16
"""Keys from which on arrays are faster than a loop."""
_FNV_PRIME: Final = 0x01000193
_FNV_BASIS: Final = 0x811C9DC5


class Partitioner(StrEnum):
    """Partitioners by the hash that they take of the key."""

    MURMUR2 = "murmur2"
    """Java's and aiokafka's default, librdkafka's `murmur2_random`: what Sentinel reads telemetry
    by.
    """
    CRC32 = "crc32"
    """librdkafka's default (`consistent_random`), hence that of confluent-kafka everywhere."""
    FNV1A = "fnv1a"
    """Sarama's default; kafka-go's `Hash` balancer; librdkafka's `fnv1a_random`."""
    FNV1A_UNSIGNED = "fnv1a-unsigned"
    """Sarama's and kafka-go's `ReferenceHash`."""


def murmur2_partitions(keys: Sequence[bytes], partitions: int) -> Int64s:
    """The partition of each key by murmur2, as Java's client computes it; shape (n,).

    >>> murmur2_partitions([b"acme/shop", b"acme/bot", b""], 12).tolist()
    [8, 9, 9]
    """
    if len(keys) < _MANY:
        return np.array([(murmur2(key) & 0x7FFFFFFF) % partitions for key in keys], np.int64)
    hashes = np.empty(len(keys), np.uint32)
    of_length: dict[int, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        of_length[len(key)].append(place)
    for length, places in of_length.items():
        packed = np.frombuffer(b"".join(keys[place] for place in places), np.uint8).reshape(
            len(places), length
        )
        hashes[places] = _murmur2(packed)
    return np.asarray((hashes & np.uint32(0x7FFFFFFF)).astype(np.int64) % partitions)


def _murmur2(keys: npt.NDArray[np.uint8]) -> UInt32s:
    """Of keys of one length, shape (n, length)."""
    count, length = keys.shape
    words, rest = divmod(length, 4)
    whole = np.ascontiguousarray(keys[:, : 4 * words]).view("<u4").reshape(count, words)
    state = np.full(count, _SEED ^ np.uint32(length), np.uint32)
    for place in range(words):
        word = whole[:, place] * _M
        word ^= word >> np.uint32(24)
        state = (state * _M) ^ (word * _M)
    if rest:
        for place in range(rest):
            state ^= keys[:, 4 * words + place].astype(np.uint32) << np.uint32(8 * place)
        state *= _M
    state ^= state >> np.uint32(13)
    state *= _M
    return state ^ (state >> np.uint32(15))


def partitioners_of(key: bytes, partition: int, partitions: int) -> frozenset[Partitioner]:
    """The partitioners that put this key there.

    >>> key = b"acme/shop"
    >>> [[str(one) for one in partitioners_of(key, partition, 12)] for partition in (8, 10, 11)]
    [['murmur2'], ['crc32'], []]
    """
    fnv = _FNV_BASIS
    for byte in key:
        fnv = ((fnv ^ byte) * _FNV_PRIME) & 0xFFFFFFFF
    signed = fnv - (1 << 32) if fnv >> 31 else fnv
    places = {
        Partitioner.MURMUR2: int(murmur2_partitions([key], partitions)[0]),
        Partitioner.CRC32: crc32(key) % partitions,
        # Go's remainder has the sign of the dividend, and both libraries then take its absolute
        # value.
        Partitioner.FNV1A: abs(signed) % partitions,
        Partitioner.FNV1A_UNSIGNED: (fnv & 0x7FFFFFFF) % partitions,
    }
    return frozenset(name for name, place in places.items() if place == partition)
