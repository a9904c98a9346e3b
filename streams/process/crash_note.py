"""What this process is decompressing and cutting, or decoding, where it can be read after the
process died of it.
"""

import mmap
import os
import struct
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

_ROW: Final = struct.Struct("<qqqq")
_SIZE: Final = 4096


@dataclass(frozen=True, slots=True)
class Decoding:
    """The records that were being decoded: partition, first offset, last offset + 1."""

    partition: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Unpacking:
    """The batch that was being decompressed: partition, first offset, last offset + 1."""

    partition: int
    start: int
    end: int


_DECODING, _UNPACKING = 1, 2


class CrashNote:
    """A memory-mapped file that says *decoding* or *decompressing*, lane and offsets. What was
    written stays when the process is killed.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(handle, _SIZE)
            self._map = mmap.mmap(handle, _SIZE)
        finally:
            os.close(handle)
        _ROW.pack_into(self._map, 0, 0, 0, 0, 0)

    def decoding(self, partition: int, start: int, end: int) -> AbstractContextManager[None]:
        """Says so while the body runs."""
        return _Doing(self._map, _DECODING, partition, start, end)

    def unpacking(self, partition: int, start: int, end: int) -> AbstractContextManager[None]:
        """Says that a batch is decompressed, or cut into records, while the body runs."""
        return _Doing(self._map, _UNPACKING, partition, start, end)


class _Doing(AbstractContextManager[None]):
    """A note while the body runs, one for each batch; a generator would be slower."""

    __slots__ = ("_map", "_row")

    def __init__(self, noted: mmap.mmap, *row: int) -> None:
        self._map, self._row = noted, row

    def __enter__(self) -> None:
        _ROW.pack_into(self._map, 0, *self._row)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        # After an exception the note stays: the process may end because of it.
        if kind is None:
            _ROW.pack_into(self._map, 0, 0, 0, 0, 0)


def read_note(path: Path) -> Decoding | Unpacking | None:
    """What a dead process was doing; None if it was neither, or never wrote a note."""
    if not path.exists():
        return None
    data = path.read_bytes()
    if len(data) < _ROW.size:
        return None
    what, *place = _ROW.unpack_from(data)
    if what == _UNPACKING:
        return Unpacking(*place)
    return Decoding(*place) if what else None
