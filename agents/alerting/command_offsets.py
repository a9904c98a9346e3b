"""How far a lane is in `commands`, so that it obeys each command once."""

import struct
from collections.abc import Iterable
from typing import Final

from streams.state.chunks import seal, unseal

_VERSION: Final = 1
_OFFSET: Final = struct.Struct("<q")
_KEY: Final = b"commands/"


class CommandOffsets:
    """The next offset of each partition of `commands`."""

    def __init__(self) -> None:
        self._next: Final[dict[int, int]] = {}
        self._touched: Final[set[int]] = set()

    def next(self, partition: int) -> int:
        """Offset of the first record of the partition that is not processed."""
        return self._next.get(partition, 0)

    def passed(self, partition: int, offset: int) -> bool:
        """Note that the record at this offset is processed; false if it was before."""
        if offset < self.next(partition):
            return False
        self._next[partition] = offset + 1
        self._touched.add(partition)
        return True

    def restart(self, partition: int) -> None:
        """The partition was created again: all its records are new."""
        self._next[partition] = 0
        self._touched.add(partition)

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over the rows that `changed` gave. Raises NewerState."""
        for key, value in rows:
            (offset,) = _OFFSET.unpack(unseal(value, _VERSION, "commands")[1])
            self._next[int(key.removeprefix(_KEY))] = int(offset)

    def changed(self) -> list[tuple[bytes, bytes | None]]:
        """The rows that changed since the last call."""
        rows: list[tuple[bytes, bytes | None]] = [
            (b"%s%d" % (_KEY, partition), seal(_VERSION, _OFFSET.pack(self._next[partition])))
            for partition in sorted(self._touched)
        ]
        self._touched.clear()
        return rows


def is_row(key: bytes) -> bool:
    """Whether the row under this key belongs to CommandOffsets."""
    return key.startswith(_KEY)
