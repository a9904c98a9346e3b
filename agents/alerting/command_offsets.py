"""How far a lane is in `commands`, so that it obeys each command once."""

import struct
from collections.abc import Iterable
from typing import Final

from streams.state.chunks import seal, unseal
from streams.state.rows import RowCodec, Rows

_VERSION: Final = 1
_OFFSET: Final = struct.Struct("<q")


def _to_row(offset: int) -> bytes:
    return seal(_VERSION, _OFFSET.pack(offset))


def _from_row(value: bytes) -> int:
    (offset,) = _OFFSET.unpack(unseal(value, _VERSION, "commands")[1])
    return int(offset)


_OFFSETS: Final[RowCodec[int, int]] = RowCodec(
    b"commands/", lambda partition: b"%d" % partition, int, _to_row, _from_row
)
is_row: Final = _OFFSETS.is_row


class CommandOffsets:
    """The next offset of each partition of `commands`."""

    def __init__(self) -> None:
        self._next: Final = Rows(_OFFSETS)

    def next(self, partition: int) -> int:
        """Offset of the first record of the partition that is not processed."""
        return self._next.view().get(partition, 0)

    def passed(self, partition: int, offset: int) -> bool:
        """Note that the record at this offset is processed; false if it was before."""
        if offset < self.next(partition):
            return False
        self._next[partition] = offset + 1
        return True

    def restart(self, partition: int) -> None:
        """The partition was created again: all its records are new."""
        self._next[partition] = 0

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Restore its rows of these, as `changes` returned them. Raises NewerState."""
        self._next.restore(rows)

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """Rows that changed since the last call."""
        return self._next.changes()
