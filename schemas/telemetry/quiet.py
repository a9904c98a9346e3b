"""Standard error without the output of a library.

polars reads Avro in Rust, where a malformed record is a panic. It becomes an exception, which is
caught, but by then Rust's panic hook has printed it to standard error, and Python cannot replace
the hook. So the file descriptor leads to /dev/null meanwhile. Code that writes in those
microseconds (another thread that logs, the watchdog) uses `STDERR`, which keeps the original
descriptor.
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
        """Writes to the original standard error."""
        with self._lock:
            if not self._depth:
                return sys.stderr.write(text)
            rest = text.encode("utf-8", "backslashreplace")
            while rest:
                rest = rest[os.write(self._saved, rest) :]
            return len(text)

    def flush(self) -> None:
        """Flushes the stream's own buffer; there is none here."""
        with self._lock:
            if not self._depth:
                sys.stderr.flush()

    def fileno(self) -> int:
        """A descriptor that is standard error at this moment."""
        with self._lock:
            return self._saved if self._depth else sys.stderr.fileno()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """While the block runs, output to descriptor 2 is discarded. Several threads may enter it
        at once: the last one to leave restores the descriptor.
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
