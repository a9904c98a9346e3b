"""Byte strings that stay in the memory of what was received, without an object for each."""

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, overload

import numpy as np
import numpy.typing as npt

from schemas.native.library import address_of

Int64s = npt.NDArray[np.int64]

NOTHING: Final = -1
"""Size of a null value."""


class Packed(Sequence[bytes | None]):
    """Values or texts, by address and size, both of shape (n,); size -1 means null. `holders` are
    the objects that own the memory; they are kept alive.
    """

    __slots__ = ("addresses", "holders", "sizes")

    def __init__(self, addresses: Int64s, sizes: Int64s, holders: tuple[object, ...]) -> None:
        self.addresses, self.sizes, self.holders = addresses, sizes, holders

    @staticmethod
    def of(values: Sequence[bytes | None]) -> "Packed":
        """Copies of these, one after the other."""
        sizes = np.array([NOTHING if value is None else len(value) for value in values], np.int64)
        whole = b"".join(value for value in values if value is not None)
        ends = np.cumsum(np.maximum(sizes, 0))
        return Packed(ends - np.maximum(sizes, 0) + address_of(whole), sizes, (whole,))

    @staticmethod
    def joined(parts: "Iterable[Packed]") -> "Packed":
        """All of them in a row."""
        several = list(parts)
        if len(several) == 1:
            return several[0]
        addresses = np.concatenate([part.addresses for part in several])
        sizes = np.concatenate([part.sizes for part in several])
        return Packed(
            addresses, sizes, tuple(holder for part in several for holder in part.holders)
        )

    def __len__(self) -> int:
        return len(self.sizes)

    @overload
    def __getitem__(self, at: int) -> bytes | None: ...

    @overload
    def __getitem__(self, at: "slice | Int64s") -> "Packed": ...

    def __getitem__(self, at: "int | slice | Int64s") -> "bytes | Packed | None":
        if isinstance(at, slice | np.ndarray):
            # The native code needs contiguous arrays; a slice with a step is not.
            return Packed(
                np.ascontiguousarray(self.addresses[at]),
                np.ascontiguousarray(self.sizes[at]),
                self.holders,
            )
        size = int(self.sizes[at])
        return None if size == NOTHING else ctypes.string_at(int(self.addresses[at]), size)

    def __iter__(self) -> Iterator[bytes | None]:
        for address, size in zip(self.addresses.tolist(), self.sizes.tolist(), strict=True):
            yield None if size == NOTHING else ctypes.string_at(address, size)


def packed(values: Sequence[bytes | None]) -> Packed:
    """The values as Packed; unchanged if they are already."""
    return values if isinstance(values, Packed) else Packed.of(values)
