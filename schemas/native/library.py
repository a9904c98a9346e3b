"""The functions of native.c, if they were compiled at installation (hatch_build.py). Without them
the results are the same, more slowly.
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

ABI: Final = 6
"""Version that the library must report: one compiled from older source has other arguments, or
accepts other records.
"""

UNSURE, GOOD, UNDECODABLE, TRAILING = range(4)
"""Verdicts of the native code on a record: undecided (polars or fastavro decide); good; not of its
schema; longer than its schema says.
"""

_FILE: Final = Path(__file__).with_name("native.so")
_INT: Final = ctypes.c_int64
_AT: Final = ctypes.c_void_p


@dataclass(frozen=True, slots=True)
class Schemas:
    """The schemas that `decode` reads: their ids (shape (k,)), the start of each one's program and
    the end of the last (shape (k + 1,)), and the programs (schemas.telemetry.programs).
    """

    ids: Int64s
    starts: Int64s
    programs: Int64s
    fill: Sequence[tuple[int, int]] = ()
    """Columns, by row, that some schema does not have, each with its default."""

    arguments: tuple[int, ...] = field(init=False)
    """Of the native code."""

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "arguments", (len(self.ids), *map(_at, (self.ids, self.starts, self.programs)))
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """What `count` finds in a row: numbers that are added and numbers that are raised; for each
    column that is summed by its logarithm three numbers; then sketches of `bins` 32-bit words. A
    value's bin is its float64's bits, shifted right by `shift`, less `offset`. `clamped` says of
    each sum whether it adds nothing below zero; `mantissas` has the logarithms of mantissas by
    their first ten bits, shape (1024,).
    """

    sums: int
    maxima: int
    logs: int
    sketches: int
    clamped: Int64s
    mantissas: Int64s
    bins: int
    shift: int
    offset: int


class Native:
    """The compiled functions. Arrays are contiguous, except the columns of `count`. Arrays of
    addresses point into memory that the caller keeps alive. The GIL is held: a call takes
    milliseconds at most.
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
            library.sentinel_count, None, _INT, _AT, _AT, *[_INT] * 5, *[_AT] * 4, *[_INT] * 3
        )

    def split(self, records: bytes, count: int, last: int) -> Int64s | None:
        """The records of a decompressed Kafka batch: address and size of each value, and the
        differences of its offset and time (ms) from the batch's first; shape (4, count). `last` is
        the difference of the batch's last offset from its first. If there are as many records as
        offsets, they are numbered in order, whatever offsets they claim. None if any record is not
        plain: it has no value, has headers for Sentinel or too many headers, its offset does not
        ascend or is not in the batch, or bytes are missing or left over.
        """
        found = np.empty((4, count), np.int64)
        return found if self._split(records, len(records), count, last, _at(found)) else None

    def decode(
        self,
        addresses: Int64s,
        sizes: Int64s,
        max_bytes: int,
        schemas: Schemas,
        numbers: int,
        texts: int,
    ) -> tuple[Int64s, Verdicts, int]:
        """Columns from framed records, given by address and size, the verdict on each (shape (n,)),
        and the number of good ones.

        The columns have shape (numbers + 2 * texts, n): whole numbers, addresses of texts, sizes of
        texts. Records that are not good leave their cells undefined; a column that a schema does
        not have holds the value of `schemas.fill`.
        """
        count = len(addresses)
        columns, verdicts = (
            np.empty((numbers + 2 * texts, count), np.int64),
            np.empty(count, np.uint8),
        )
        # Before decoding: a schema that has the column writes over its default.
        for row, content in schemas.fill:
            columns[row] = content
        at = _at(columns)
        good = self._decode(
            *(count, _at(addresses), _at(sizes), max_bytes),
            *schemas.arguments,
            *(at, at + 8 * count * numbers, at + 8 * count * (numbers + texts), _at(verdicts)),
        )
        return columns, verdicts, good

    def hashes(
        self, texts: Int64s, sizes: Int64s, places: Int64s, seed: int
    ) -> tuple[UInt64s, UInt64s]:
        """Two hashes of each name, whose parts are the texts in the rows `places`; `texts`
        (addresses) and `sizes` have shape (texts, n) and the same strides. Equal names have equal
        hashes in every call.
        """
        count = texts.shape[1]
        both = np.empty((2, count), np.uint64)
        at, stride = _at(both), texts.strides[0] // 8
        self._hash(
            count, stride, len(places), *map(_at, (places, texts, sizes)), seed, at, at + 8 * count
        )
        return both[0], both[1]

    def find(self, first: UInt64s, second: UInt64s, known: UInt64s, slots: Int64s) -> Int64s:
        """The row of each pair of hashes, -1 if it is unknown; shape (n,). `known` has the pairs by
        row, shape (2, capacity); `slots`, a table with open addressing by the first hash, has a
        power of two of rows, at least one of which is -1.
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
        """Counts events into rows of a table of `words` 64-bit words each; a column has shape (n,),
        or is one number for all events.
        """
        arrays = [np.asarray(column, np.int64) for column in columns]
        ats = np.array([_at(array) for array in arrays], np.int64)
        steps = np.array([array.strides[0] // 8 if array.ndim else 0 for array in arrays], np.int64)
        self._count(
            *(len(rows), _at(rows), _at(table), words),
            *(layout.sums, layout.maxima, layout.logs, layout.sketches),
            *map(_at, (ats, steps, layout.clamped, layout.mantissas)),
            *(layout.bins, layout.shift, layout.offset),
        )


def address_of(content: bytes | memoryview) -> int:
    """The address of its first byte."""
    return _at(np.frombuffer(content, np.uint8))


def _at(array: Any) -> int:
    """Address of its first element. A small step needs it for some fifty arrays, and numpy's own
    attribute takes most of a microsecond each.
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
    except (OSError, AttributeError):  # not compiled, or another library
        return None
    return Native(library) if answer == ABI else None


NATIVE: Final = _loaded()
"""None if it was not compiled."""
