"""Decompression up to a bound: a few thousand bytes may claim to be gigabytes, or really be."""

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Final

import cramjam
import numpy as np

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)

_FIRST_GUESS: Final = 24
_MIN_GUESS: Final = 262_144
_GROWTH: Final = 4
_XERIAL: Final = b"\x82SNAPPY\0"
_XERIAL_HEADER: Final = 16
_GZIP_WINDOW: Final = 31
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_IS_FULL: Final = "whole buffer"
"""Part of cramjam's message when the output does not fit its buffer."""


class CannotUnpack(Exception):
    """The bytes cannot be decompressed by their codec."""


class TooLarge(Exception):
    """The output would exceed the bound; the text gives its size as far as known."""


def unpacked(codec: int, packed: memoryview, max_bytes: int) -> bytes:
    """The decompressed bytes. Without a codec they are returned as they are, of any size: they are
    in memory already.

    Never allocates much more than `max_bytes`, regardless of the size that the bytes claim.

    Raises:
        TooLarge: the output would exceed `max_bytes`.
        CannotUnpack: the codec is unknown, or the bytes are not valid for it.
        MemoryError: there is no memory for an output within the bound.
    """
    if codec == NONE:
        return bytes(packed)
    unpack = _CODECS.get(codec)
    if unpack is None:
        raise CannotUnpack(f"codec {codec} is not known")
    try:
        return unpack(packed, max_bytes)
    except (
        cramjam.DecompressionError,
        zlib.error,
        struct.error,
        ValueError,
        OverflowError,
    ) as fault:
        raise CannotUnpack(str(fault)) from fault
    except _panics() as fault:
        raise CannotUnpack(str(fault)) from fault


def _panics() -> tuple[type[BaseException], ...]:
    """What a panic in Rust is raised as. No such type can be imported, and none exists before the
    first panic of its library; each is a direct subclass of BaseException.
    """
    return tuple(
        each for each in BaseException.__subclasses__() if each.__name__ == "PanicException"
    )


def _gunzipped(packed: memoryview, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    room, left = max_bytes, bytes(packed)
    # A gzip stream may have several members, one after the other, and zeros as padding after each.
    while left:
        member = zlib.decompressobj(_GZIP_WINDOW)
        # One byte more than is allowed, to see that there is more.
        parts.append(member.decompress(left, room + 1))
        room -= len(parts[-1])
        if room < 0:
            raise TooLarge(f"more than {max_bytes} bytes")
        if not member.eof:
            raise CannotUnpack("the gzip stream is cut")
        left = member.unused_data.lstrip(b"\0")
    return b"".join(parts)


def _unsnapped(packed: memoryview, max_bytes: int) -> bytes:
    blocks = list(_snappy_blocks(packed))
    claimed = sum(cramjam.snappy.decompress_raw_len(block) for block in blocks)
    if claimed > max_bytes:
        raise TooLarge(f"{claimed} bytes, as it says itself")
    return b"".join(bytes(cramjam.snappy.decompress_raw(block)) for block in blocks)


def _snappy_blocks(packed: memoryview) -> Iterator[memoryview]:
    """The raw snappy blocks: one, or those of the framing that Java's client uses (xerial), each
    after its size.
    """
    if len(packed) <= _XERIAL_HEADER or bytes(packed[: len(_XERIAL)]) != _XERIAL:
        yield packed
        return
    at = _XERIAL_HEADER
    while at < len(packed):
        (size,) = struct.unpack_from(">i", packed, at)
        at += 4
        if not 0 < size <= len(packed) - at:
            raise CannotUnpack("a snappy block is cut")
        yield packed[at : at + size]
        at += size


def _unlz4(packed: memoryview, max_bytes: int) -> bytes:
    return _into(cramjam.lz4.decompress_into, packed, None, max_bytes)


def _unzstd(packed: memoryview, max_bytes: int) -> bytes:
    claimed = _zstd_claims(packed)
    if claimed is not None and claimed > max_bytes:
        # The decoder holds a frame to what it claims.
        raise TooLarge(f"{claimed} bytes, as it says itself")
    return _into(cramjam.zstd.decompress_into, packed, claimed, max_bytes)


def _zstd_claims(packed: memoryview) -> int | None:
    """Size of a first frame's content as its header has it (RFC 8878, 3.1.1.1); None where it does
    not.
    """
    if len(packed) < 5 or bytes(packed[:4]) != _ZSTD_MAGIC:
        return None
    descriptor = packed[4]
    flag, single = descriptor >> 6, descriptor >> 5 & 1
    size = (single, 2, 4, 8)[flag]
    at = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    if not size or len(packed) < at + size:
        return None
    return int.from_bytes(packed[at : at + size], "little") + (256 if size == 2 else 0)


def _into(
    unpack: Callable[..., int], packed: memoryview, guess: int | None, max_bytes: int
) -> bytes:
    """Into room that grows until it is enough. What decodes streams stops where the room ends."""
    size = min(
        max(_FIRST_GUESS * len(packed), _MIN_GUESS) if guess is None else guess + 1, max_bytes
    )
    while True:
        room = np.empty(size, np.uint8)
        try:
            return room[: unpack(packed, room)].tobytes()
        except cramjam.DecompressionError as fault:
            if size == max_bytes:
                if _IS_FULL in str(fault):
                    raise TooLarge(f"more than {max_bytes} bytes") from fault
                raise
        size = min(size * _GROWTH, max_bytes)


_CODECS: Final = {GZIP: _gunzipped, SNAPPY: _unsnapped, LZ4: _unlz4, ZSTD: _unzstd}
