"""The functions of native.c, if they were compiled when this was installed (hatch_build.py).
Without them all is the same, but slower.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]
Verdicts = npt.NDArray[np.uint8]

ABI: Final = 5
"""What the library must answer: one that was compiled from an older source takes other arguments,
or other records.
"""

UNSURE, GOOD, UNDECODABLE, TRAILING = range(4)
"""What the native code says of a record: only the slow way knows; it is good; it is not of
its schema; it is longer.
"""

_FILE: Final = Path(__file__).with_name("native.so")
_INT: Final = ctypes.c_int64
_AT: Final = ctypes.c_void_p


@dataclass(frozen=True, slots=True)
class Schemas:
    """What `decode` is to read: ids, where each one's program starts and the last one ends, and the
    programs (schemas.telemetry.programs).
    """

    ids: Int64s
    starts: Int64s
    programs: Int64s
    fill: Sequence[tuple[int, int]] = ()
    """Columns by place that some schema does not have, with what stands there then."""

    arguments: tuple[int, ...] = field(init=False)
    """Of the native code."""

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "arguments", (len(self.ids), *map(_at, (self.ids, self.starts, self.programs)))
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """What `count` finds in a row: numbers that are added and numbers that are raised, then
    sketches of `bins` 32-bit words. A value's bin is its float64's bits, shifted right by `shift`,
    less `offset`. `clamped` says of each sum whether it adds nothing below zero.
    """

    sums: int
    maxima: int
    sketches: int
    clamped: Int64s
    bins: int
    shift: int
    offset: int


class Native:
    """The compiled functions. Arrays are contiguous, but for the columns of `count`. Arrays of
    addresses say where bytes lie; whoever asks holds what lies there. Python's lock is kept
    meanwhile: a call takes milliseconds at most.
    """

    def __init__(self, library: ctypes.PyDLL) -> None:
        self._split = _function(library.sentinel_split, _INT, ctypes.c_char_p, *[_INT] * 3, _AT)
        self._decode = _function(
            library.sentinel_decode,
            _INT,
            *[_INT, _AT, _AT, _INT],
            *[_INT, _AT, _AT, _AT],
            *[_AT] * 4,
        )
        self._hash = _function(
            library.sentinel_hash, None, _INT, _INT, _INT, *[_AT] * 3, ctypes.c_uint64, _AT, _AT
        )
        self._find = _function(
            library.sentinel_find, None, _INT, _AT, _AT, _AT, _INT, _AT, _INT, _AT
        )
        self._count = _function(
            library.sentinel_count, None, _INT, _AT, _AT, *[_INT] * 4, *[_AT] * 3, *[_INT] * 3
        )

    def split(self, records: bytes, count: int, last: int) -> Int64s | None:
        """The records of a Kafka batch, decompressed: address and size of each value, and how far
        its offset and its time (ms) are from the batch's first; shape (4, count). `last` is how far
        the batch's last offset is from its first; where there are as many records as offsets, they
        are numbered in order, whatever they say. None when any is not plain: it has no value, or
        headers that say something to us or are too many, offsets do not rise or are not the
        batch's, or bytes are missing or left.
        """
        found = np.empty((4, count), np.int64)
        return found if self._split(records, len(records), count, last, _at(found)) else None

    def decode(
        self,
        addresses: Int64s,
        sizes: Int64s,
        most_bytes: int,
        schemas: Schemas,
        numbers: int,
        texts: int,
    ) -> tuple[Int64s, Verdicts, int]:
        """Columns from framed records, given by address and size, what each record is (shape (n,)),
        and how many are good.

        The columns have shape (numbers + 2 * texts, n): whole numbers, addresses of texts, sizes of
        texts. What stands in rows that are not good means nothing, and where a schema does not have
        a column, `schemas.fill` stands.
        """
        count = len(addresses)
        columns, verdicts = (
            np.empty((numbers + 2 * texts, count), np.int64),
            np.empty(count, np.uint8),
        )
        for place, content in schemas.fill:
            columns[place] = content
        at = _at(columns)
        good = self._decode(
            *(count, _at(addresses), _at(sizes), most_bytes),
            *schemas.arguments,
            *(at, at + 8 * count * numbers, at + 8 * count * (numbers + texts), _at(verdicts)),
        )
        return columns, verdicts, good

    def hashes(
        self, texts: Int64s, sizes: Int64s, places: Int64s, seed: int
    ) -> tuple[UInt64s, UInt64s]:
        """Two hashes of each name, whose parts are the texts in some places; `texts` (addresses)
        and `sizes` have shape (texts, n) and the same strides. Equal for equal names, whatever else
        is asked.
        """
        count = texts.shape[1]
        both = np.empty((2, count), np.uint64)
        at, stride = _at(both), texts.strides[0] // 8
        self._hash(
            count, stride, len(places), *map(_at, (places, texts, sizes)), seed, at, at + 8 * count
        )
        return both[0], both[1]

    def find(self, first: UInt64s, second: UInt64s, known: UInt64s, slots: Int64s) -> Int64s:
        """The row of each pair of hashes, -1 where there is none; shape (n,). `known` has the pairs
        by row, shape (2, capacity); `slots` a power of two of rows, at least one of which is -1:
        open addressing by the first hash.
        """
        rows = np.empty(len(first), np.int64)
        pairs = map(_at, (first, second, known))
        self._find(len(first), *pairs, known.shape[1], _at(slots), len(slots) - 1, _at(rows))
        return rows

    def count(
        self,
        rows: Int64s,
        table: Int64s,
        words: int,
        columns: Sequence[Int64s | np.int64],
        layout: Layout,
    ) -> None:
        """Counts events into rows of a table of so many words each; a column is of shape (n,), or
        one number for all events.
        """
        arrays = [np.asarray(column, np.int64) for column in columns]
        ats = np.array([_at(array) for array in arrays], np.int64)
        steps = np.array([array.strides[0] // 8 if array.ndim else 0 for array in arrays], np.int64)
        self._count(
            *(len(rows), _at(rows), _at(table), words),
            *(layout.sums, layout.maxima, layout.sketches),
            *map(_at, (ats, steps, layout.clamped)),
            *(layout.bins, layout.shift, layout.offset),
        )


def address_of(content: bytes | memoryview) -> int:
    """Where it lies."""
    return _at(np.frombuffer(content, np.uint8))


def _at(array: Any) -> int:
    """Where its first element lies. A small step asks for some fifty arrays; numpy's own answer
    takes most of a microsecond.
    """
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    except (TypeError, ValueError):  # read-only, or empty
        return int(array.ctypes.data)


def _function(function: Any, result: Any, *arguments: Any) -> Any:
    function.restype, function.argtypes = result, arguments
    return function


def _loaded() -> Native | None:
    try:
        library = ctypes.PyDLL(str(_FILE))
        answer = _function(library.sentinel_abi, _INT)()
    except (OSError, AttributeError):  # none, or another library
        return None
    return Native(library) if answer == ABI else None


NATIVE: Final = _loaded()
"""None where there is none."""
