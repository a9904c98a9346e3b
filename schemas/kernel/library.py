"""The functions of kernel.c, if they were compiled when this was installed (hatch_build.py). Without them all is the same, but slower."""

import ctypes
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

ABI: Final = 1
"""What the library must answer: one that was compiled from an older source takes other arguments."""

_FILE: Final = Path(__file__).with_name("kernel.so")
_INT: Final = ctypes.c_int64
_AT: Final = ctypes.c_void_p


class Kernel:
    """The compiled functions. Arrays of addresses say where bytes lie; whoever asks holds what lies there. Python's lock is kept meanwhile: a call
    takes milliseconds at most."""

    def __init__(self, library: ctypes.PyDLL) -> None:
        self._split = _function(library.sentinel_split, _INT, _AT, _INT, _INT, _AT, _AT, _AT, _AT)
        self._decode = _function(
            library.sentinel_decode, _INT, _INT, _AT, _AT, _INT, _INT, _AT, _AT, _AT, _INT, _AT, _AT, _AT, _AT
        )
        self._hash = _function(library.sentinel_hash, None, _INT, _INT, _INT, _AT, _AT, ctypes.c_uint64, _AT, _AT)
        self._find = _function(library.sentinel_find, None, _INT, _AT, _AT, _AT, _INT, _AT, _INT, _AT)

    def split(self, records: bytes | memoryview, count: int) -> tuple[Int64s, Int64s, Int64s, Int64s] | None:
        """The records of a Kafka batch, decompressed: address and size of each value, and how far its offset and time (ms) are from the batch's
        first; shape (count,). None when any is not plain: it has headers or no value, offsets do not rise, or bytes are missing or left."""
        found = np.empty((4, count), np.int64)
        addresses, sizes, offsets, times = found
        at = address_of(records)
        plain = self._split(at, len(records), count, *map(_at, (addresses, sizes, offsets, times)))
        return (addresses, sizes, offsets, times) if plain else None

    def decode(
        self,
        values: tuple[Int64s, Int64s],
        most_bytes: int,
        schemas: tuple[Int64s, Int64s, Int64s],
        numbers: Int64s,
        texts: Int64s,
        sizes: Int64s,
    ) -> Bools:
        """Fills columns from framed records, given by address and size, and tells which are good; shape (n,).

        `schemas` are ids, where each one's program starts, and the programs (schemas.kernel.programs). `numbers` has shape (slots, n), `texts`
        (addresses) and `sizes` another number of slots. What stands in rows that are not good means nothing.
        """
        addresses, value_sizes = values
        ids, starts, words = schemas
        good = np.empty(len(addresses), np.bool_)
        self._decode(
            len(addresses),
            _at(addresses),
            _at(value_sizes),
            most_bytes,
            len(ids),
            _at(ids),
            _at(starts),
            _at(words),
            len(addresses),
            *map(_at, (numbers, texts, sizes, good)),
        )
        return good

    def hashes(self, texts: Int64s, sizes: Int64s, seed: int) -> tuple[UInt64s, UInt64s]:
        """Two hashes of each name; `texts` (addresses) and `sizes` have shape (parts, n). Equal for equal names, whatever else is asked."""
        parts, count = texts.shape
        both = np.empty((2, count), np.uint64)
        self._hash(count, count, parts, _at(texts), _at(sizes), seed, _at(both[0]), _at(both[1]))
        return both[0], both[1]

    def find(self, first: UInt64s, second: UInt64s, known: UInt64s, slots: Int64s) -> Int64s:
        """The row of each pair of hashes, -1 where there is none; shape (n,). `known` has the pairs by row, shape (2, capacity); `slots` a power
        of two of rows, at least one of which is -1: open addressing by the first hash."""
        rows = np.empty(len(first), np.int64)
        pairs = map(_at, (first, second, known))
        self._find(len(first), *pairs, known.shape[1], _at(slots), len(slots) - 1, _at(rows))
        return rows


def address_of(content: bytes | memoryview) -> int:
    """Where it lies."""
    return _at(np.frombuffer(content, np.uint8))


def _at(array: npt.NDArray[Any]) -> int:
    return array.ctypes.data


def _function(function: Any, result: Any, *arguments: Any) -> Any:
    function.restype, function.argtypes = result, arguments
    return function


def _loaded() -> Kernel | None:
    try:
        library = ctypes.PyDLL(str(_FILE))
    except OSError:
        return None
    return Kernel(library) if _function(library.sentinel_abi, _INT)() == ABI else None


KERNEL: Final = _loaded()
"""None where there is none."""
