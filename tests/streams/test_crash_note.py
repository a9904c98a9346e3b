"""What a process was decoding can be read after it died of a signal."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streams.process.crash_note import CrashNote, Decoding, read_note

_DIES = """
import ctypes, os, sys
from pathlib import Path
from streams.process.crash_note import CrashNote
with CrashNote(Path(sys.argv[1])).decoding(3, 100, 200):
    if sys.argv[2] == "SIGSEGV":
        ctypes.string_at(0)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSEGV])
def test_the_note_survives_its_process(tmp_path: Path, death: signal.Signals) -> None:
    """SIGKILL, and a real segmentation fault while native code runs: the supervisor reads lane and
    offsets.
    """
    note = tmp_path / "notes" / "detect"
    died = subprocess.run(
        [sys.executable, "-c", _DIES, str(note), death.name], capture_output=True, check=False
    )
    assert died.returncode == -death
    assert read_note(note) == Decoding(partition=3, start=100, end=200)


def test_after_decoding_there_is_no_note(tmp_path: Path) -> None:
    """A process that dies between two blocks condemns nothing."""
    path = tmp_path / "note"
    note = CrashNote(path)
    with note.decoding(3, 100, 200):
        pass
    assert read_note(path) is None


def test_a_new_process_begins_without_a_note(tmp_path: Path) -> None:
    """What the one before was doing is not what this one does."""
    path = tmp_path / "note"
    CrashNote(path).decoding(3, 100, 200).__enter__()
    assert read_note(path) is not None
    CrashNote(path)
    assert read_note(path) is None


@pytest.mark.parametrize("content", [None, b"", b"short"])
def test_a_missing_or_torn_note_is_none(tmp_path: Path, content: bytes | None) -> None:
    """A process that died before its first block wrote none."""
    path = tmp_path / "note"
    if content is not None:
        path.write_bytes(content)
    assert read_note(path) is None
