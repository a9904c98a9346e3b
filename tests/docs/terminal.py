"""A shell as a reader has it: what is typed is run in order, and what was set stays set."""

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_DONE: Final = re.compile(r"@done (\d+)@")


class Terminal:
    """bash with a folder, and `sentinel` and this Python on its path."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        ours = {
            name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")
        }
        path = f"{Path(sys.executable).parent}:{ours['PATH']}"
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**ours, "PATH": path, **variables},
            text=True,
            start_new_session=True,
        )
        # When nobody types any more because the test was killed, what was started here goes too.
        self._say("trap 'kill 0' EXIT")
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def run(self, typed: str, within_s: float = 300.0) -> tuple[int, str]:
        """Status of the first line that fails, or 0; and what was printed."""
        self._say(f"trap 'status=$?' ERR; status=0\n{typed}\necho; echo \"@done $status@\"")
        deadline, said = time.monotonic() + within_s, ""
        while True:
            try:
                line = self._lines.get(timeout=max(deadline - time.monotonic(), 0.001))
            except queue.Empty:
                raise AssertionError(f"not done within {within_s:g} s:\n{typed}\n{said}") from None
            if done := _DONE.search(line):
                return int(done[1]), said.strip()
            said += line

    def until(self, typed: str, shows: str, within_s: float = 300.0) -> str:
        """What was printed once it is that (a regular expression) and no line fails; typed again
        until then, as a reader would.
        """
        deadline = time.monotonic() + within_s
        while True:
            status, said = self.run(typed)
            if status == 0 and re.search(shows, said):
                return said
            assert time.monotonic() < deadline, (
                f"status {status}, and no {shows!r} after\n{typed}\n{said}"
            )
            time.sleep(0.3)

    def hang_up(self) -> None:
        """What becomes of it when the typing process dies: there is nothing more to read. Returns
        when it has ended.
        """
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def close(self) -> None:
        """Ends it, and what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reading.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)


@contextmanager
def terminal(folder: Path, variables: Mapping[str, str]) -> Iterator[Terminal]:
    """A shell, until the end of the block."""
    opened = Terminal(folder, variables)
    try:
        yield opened
    finally:
        opened.close()
