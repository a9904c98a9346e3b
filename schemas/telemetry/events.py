"""Columns of decoded telemetry for counting and judging, made by native code or by polars."""

from collections.abc import Sequence
from typing import Final, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from schemas.native.library import NATIVE
from schemas.native.packed import NOTHING, Packed
from schemas.telemetry.programs import Slots

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]
Name: TypeAlias = tuple[str, ...]

NONE: Final = -1
"""Null in a column of whole numbers. Valid numbers are never negative
(`schemas.telemetry.validity`).
"""

_ODD: Final = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5], np.uint64
)


class Events(Protocol):
    """Good events in the order of their records, with the requested columns. Methods raise KeyError
    for any other column.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, at: slice | Int64s) -> Self:
        """The events at these positions, in this order."""
        ...

    def integers(self, column: str) -> Int64s:
        """Whole numbers, times (µs) and symbols (their index); `NONE` for null. Shape (n,)."""
        ...

    def has(self, column: str) -> Bools:
        """Which events have a text in this column. Shape (n,)."""
        ...

    def names(self, columns: Sequence[str], at: Int64s) -> list[Name]:
        """The texts of a few events, all of which must have one, as a tuple for each event."""
        ...

    def hashes(self, columns: Sequence[str], seed: int) -> tuple[UInt64s, UInt64s]:
        """Two independent hashes of 64 bits of the texts in these columns; in one process the same
        for the same texts, also in `hashes_of`.
        """
        ...

    @property
    def frame(self) -> pl.DataFrame:
        """All columns as polars has them, for those that are lists."""
        ...


class FrameEvents:
    """Events in polars' columns."""

    __slots__ = ("frame",)

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    def __len__(self) -> int:
        return self.frame.height

    def __getitem__(self, at: slice | Int64s) -> "FrameEvents":
        return FrameEvents(self.frame[at])

    def integers(self, column: str) -> Int64s:
        """See `Events`."""
        values = self._series(column).to_numpy()
        if values.dtype.kind == "f":
            # polars gives integers with nulls as floats with NaN: exact below 2^53, and valid
            # numbers are below (`schemas.bounds`).
            values = np.where(np.isnan(values), NONE, values)
        return np.ascontiguousarray(values.astype(np.int64, copy=False))

    def has(self, column: str) -> Bools:
        """See `Events`."""
        return self._series(column).is_not_null().to_numpy()

    def names(self, columns: Sequence[str], at: Int64s) -> list[Name]:
        """See `Events`."""
        return list(
            zip(*(self._series(column).gather(at).to_list() for column in columns), strict=True)
        )

    def hashes(self, columns: Sequence[str], seed: int) -> tuple[UInt64s, UInt64s]:
        """See `Events`."""
        return _hashes([self._series(column) for column in columns], seed)

    def _series(self, column: str) -> pl.Series:
        if column not in self.frame.columns:
            raise KeyError(column)
        return self.frame[column]


class NativeEvents:
    """Events in native columns, of shape (numbers + 2 * texts, n): whole numbers, addresses
    of texts, which lie in their records, and sizes.
    """

    __slots__ = ("_cells", "_holders", "_slots")

    def __init__(self, slots: Slots, cells: Int64s, holders: tuple[object, ...]) -> None:
        self._slots, self._cells, self._holders = slots, cells, holders

    def __len__(self) -> int:
        return int(self._cells.shape[1])

    def __getitem__(self, at: slice | Int64s) -> "NativeEvents":
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            if (start, stop, step) == (0, len(self), 1):
                return self
            if step == 1:
                return NativeEvents(self._slots, self._cells[:, start:stop], self._holders)
            at = np.arange(start, stop, step)
        # The native code needs each column contiguous; indexing by an array may lay them out
        # otherwise.
        return NativeEvents(self._slots, self._cells.take(at, axis=1), self._holders)

    def integers(self, column: str) -> Int64s:
        """See `Events`."""
        numbers: Int64s = self._cells[self._slots.numbers[column]]
        return numbers

    def has(self, column: str) -> Bools:
        """See `Events`."""
        return np.asarray(self._sizes[self._slots.texts[column]] != NOTHING)

    def names(self, columns: Sequence[str], at: Int64s) -> list[Name]:
        """See `Events`."""
        return list(zip(*(map(_text, self._packed(column, at)) for column in columns), strict=True))

    def hashes(self, columns: Sequence[str], seed: int) -> tuple[UInt64s, UInt64s]:
        """See `Events`."""
        assert NATIVE is not None
        places = np.array([self._slots.texts[column] for column in columns], np.int64)
        return NATIVE.hashes(self._texts, self._sizes, places, seed)

    @property
    def _texts(self) -> Int64s:
        first = len(self._slots.numbers)
        return self._cells[first : first + len(self._slots.texts)]

    @property
    def _sizes(self) -> Int64s:
        return self._cells[len(self._slots.numbers) + len(self._slots.texts) :]

    @property
    def frame(self) -> pl.DataFrame:
        """See `Events`."""
        return pl.DataFrame([self._series(column) for column in self._slots.columns])

    def _series(self, column: str) -> pl.Series:
        if column in self._slots.numbers:
            numbers = self.integers(column)
            return pl.Series(column, numbers).set(pl.Series(numbers == NONE), None)
        texts = self._packed(column, np.arange(len(self)))
        return pl.Series(
            column, [None if text is None else _text(text) for text in texts], pl.String
        )

    def _packed(self, column: str, at: Int64s) -> Packed:
        place = self._slots.texts[column]
        return Packed(self._texts[place], self._sizes[place], self._holders)[at]


def hashes_of(names: Sequence[Name], seed: int) -> tuple[UInt64s, UInt64s]:
    """The two hashes of each of these names, which have as many parts each."""
    return _hashes(
        [pl.Series(list(part), dtype=pl.String) for part in zip(*names, strict=True)], seed
    )


def _hashes(columns: Sequence[pl.Series], seed: int) -> tuple[UInt64s, UInt64s]:
    if NATIVE is not None:
        packed = [Packed.of([text.encode() for text in column.to_list()]) for column in columns]
        texts, sizes = (
            np.array([part.addresses for part in packed]),
            np.array([part.sizes for part in packed]),
        )
        return NATIVE.hashes(texts, sizes, np.arange(len(columns)), seed)
    hashed = pl.DataFrame(
        [column.alias(str(place)) for place, column in enumerate(columns)]
    ).select_seq(
        pl.col(str(place)).hash(seed + 2 * place + half).alias(f"{place}/{half}")
        for place in range(len(columns))
        for half in range(2)
    )
    # Products by odd constants spread the columns; u64 arithmetic wraps. Within the query it would
    # cost more to plan than hashing 1,000 names.
    halves = [np.zeros(len(hashed), np.uint64), np.zeros(len(hashed), np.uint64)]
    for place in range(len(columns)):
        for half, total in enumerate(halves):
            total += hashed[f"{place}/{half}"].to_numpy() * _ODD[place]
    return halves[0], halves[1]


def _text(content: bytes | None) -> str:
    assert content is not None
    return content.decode()
