"""Standard error without what a library prints there by itself.

polars reads Avro in Rust, where a record that is not as its schema says is a panic. It becomes an
exception that we take, but Rust's hook has printed it to the process's standard error by then, and
nothing in Python can set another. So that file descriptor leads nowhere meanwhile. Who has
something to say in those microseconds (another thread that logs, the watchdog) writes to `STDERR`,
which still leads where it did.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_FD: Final = 2


class Stderr:
    """Standard error, also while it is `quiet` for libraries. A text stream as far as logging and
    tracebacks need one.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._saved = -1

    def write(self, text: str) -> int:
        """Writes to where standard error leads for everybody else."""
        with self._lock:
            if not self._depth:
                return sys.stderr.write(text)
            rest = text.encode("utf-8", "backslashreplace")
            while rest:
                rest = rest[os.write(self._saved, rest) :]
            return len(text)

    def flush(self) -> None:
        """Nothing is held back here; the stream's own buffer is written out."""
        with self._lock:
            if not self._depth:
                sys.stderr.flush()

    def fileno(self) -> int:
        """A descriptor that is standard error at this moment."""
        with self._lock:
            return self._saved if self._depth else sys.stderr.fileno()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """While the block runs, what is written to descriptor 2 goes nowhere. May be entered by
        several threads.
        """
        self._enter()
        try:
            yield
        finally:
            self._leave()

    def _enter(self) -> None:
        with self._lock:
            if not self._depth:
                self._saved = os.dup(_FD)
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, _FD)
                os.close(nowhere)
            self._depth += 1

    def _leave(self) -> None:
        with self._lock:
            self._depth -= 1
            if not self._depth:
                os.dup2(self._saved, _FD)
                os.close(self._saved)


STDERR: Final = Stderr()
