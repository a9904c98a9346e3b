"""What this process is decoding, where it can be read after the process died of a signal in native code."""

import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
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


class CrashNote:
    """A memory-mapped file that says *decoding*, lane and offsets. The kernel keeps what was written also when the process is killed."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(handle, _SIZE)
            self._map = mmap.mmap(handle, _SIZE)
        finally:
            os.close(handle)
        _ROW.pack_into(self._map, 0, 0, 0, 0, 0)

    @contextmanager
    def decoding(self, partition: int, start: int, end: int) -> Iterator[None]:
        """Says so while the body runs."""
        _ROW.pack_into(self._map, 0, 1, partition, start, end)
        yield
        # Not in a `finally`: an exception is not a death, and the process ends with the note as it was.
        _ROW.pack_into(self._map, 0, 0, 0, 0, 0)


def read_note(path: Path) -> Decoding | None:
    """What a dead process was decoding; None if it was not, or never wrote a note."""
    if not path.exists():
        return None
    data = path.read_bytes()
    if len(data) < _ROW.size:
        return None
    busy, partition, start, end = _ROW.unpack_from(data)
    return Decoding(partition, start, end) if busy else None
