"""What this process is decompressing or decoding, where it can be read after the process died of it."""

import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ROW: Final = struct.Struct("<qqqq")
_SIZE: Final = 4096


@dataclass(frozen=True, slots=True)
class Decoding:
    """The records that were being decoded: partition, first offset, and one more than the last."""

    partition: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Unpacking:
    """The batch that was being decompressed: partition, first offset, and one more than the last."""

    partition: int
    start: int
    end: int


_DECODING, _UNPACKING = 1, 2


class CrashNote:
    """A memory-mapped file that says *decoding* or *decompressing*, lane and offsets. What was written stays when the process is killed."""

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
        return self._doing(_DECODING, partition, start, end)

    def unpacking(self, partition: int, start: int, end: int) -> AbstractContextManager[None]:
        """Says that a batch is decompressed while the body runs."""
        return self._doing(_UNPACKING, partition, start, end)

    @contextmanager
    def _doing(self, what: int, partition: int, start: int, end: int) -> Iterator[None]:
        _ROW.pack_into(self._map, 0, what, partition, start, end)
        yield
        # Not in a `finally`: an exception is not a death, and the process ends with the note as it was.
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
