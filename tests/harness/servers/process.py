"""What the servers that tests and benchmarks start have in common: a process group on free ports of
this machine, with its data and its log in a folder of its own.
"""

import abc
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

START_S: Final = 300.0
"""How long a start may take where the machine does other things too."""
_END_S: Final = 60.0
_LOG: Final = "server.log"

SHORT_LIVED: Final = ("-XX:TieredStopAtLevel=1",)
"""Options of a Java that is not measured: it compiles without optimizing, which halves the CPU time
of a server that runs for some minutes.
"""


class CannotStart(Exception):
    """The server did not come up; says what is missing or what its log said last."""


class Server(abc.ABC):
    """A server as a child process. `start` and `stop` may alternate on the same ports and the same
    data; `close` removes both.

    Args:
        name: prefix of its folder, in which everything that it writes is.
        failure: what is raised when it does not start, or is asked while it does not run.
    """

    def __init__(self, name: str, failure: type[CannotStart]) -> None:
        self._name, self._failure = name, failure
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @abc.abstractmethod
    def _missing(self) -> str | None:
        """What this machine lacks to run it, in words; None when nothing is missing."""

    @abc.abstractmethod
    def _configure(self, folder: Path) -> None:
        """Writes what it needs for its first start. Raises the server's failure."""

    @abc.abstractmethod
    def _command(self, folder: Path) -> Sequence[str]:
        """What runs it."""

    @abc.abstractmethod
    def _environment(self, folder: Path) -> dict[str, str]:
        """What it runs in."""

    @abc.abstractmethod
    def _where(self) -> str:
        """Where it answers, once it has been started."""

    @abc.abstractmethod
    def _answers(self) -> bool:
        """Whether it serves requests."""

    @property
    def where(self) -> str:
        """Where it answers; the same over stops and starts. Raises the server's failure before the
        first start.
        """
        if self._folder is None:
            raise self._failure("not started")
        return self._where()

    @property
    def pid(self) -> int:
        """Process id of the leader of its group."""
        return self._running().pid

    def start(self, timeout_s: float = START_S) -> str:
        """Start, wait until it answers, and return where. Raises the server's failure with the end
        of the log.
        """
        self.launch()
        self.wait_until_ready(timeout_s)
        return self.where

    def launch(self) -> None:
        """Start, and return at once. Raises the server's failure."""
        if why := self._missing():
            raise self._failure(why)
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix=f"sentinel-{self._name}-"))
            try:
                self._configure(self._folder)
            except BaseException:
                self.close()
                raise
        with (self._folder / _LOG).open("ab") as log:
            self._process = subprocess.Popen(
                self._command(self._folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(self._folder),
                cwd=self._folder,
                start_new_session=True,
            )

    def wait_until_ready(self, timeout_s: float = START_S) -> None:
        """Return when it answers. Raises the server's failure with the end of the log, and ends
        it.
        """
        try:
            self._wait_until_ready(timeout_s)
        except CannotStart:
            self.close()
            raise

    def stop(self) -> None:
        """Shut down in order; the data stay for the next `start`."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End at once, as a machine that loses power; the data stay for the next `start`."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers, as behind a broken network."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        os.killpg(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End at once and remove the data. Closing twice is fine."""
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise self._failure("not running")
        return self._process

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            # In order, the leader ends the others; at once, all get the signal.
            process.send_signal(how) if how is signal.SIGTERM else os.killpg(process.pid, how)
            os.killpg(process.pid, signal.SIGCONT)
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        _wait_until_gone(process.pid)

    def _wait_until_ready(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self._running().poll() is None:
            if self._answers():
                return
            time.sleep(0.1)
        assert self._folder is not None
        log = (self._folder / _LOG).read_text(errors="replace")
        raise self._failure(
            f"no answer from {self.where} within {timeout_s:g} s: {last_lines(log)}"
        )


def killed_with_parent() -> list[str]:
    """What goes before a command so that the server ends when the test run is killed."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


def last_lines(text: str) -> str:
    """The end of a log, without stack traces."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("\tat ")]
    return " | ".join(lines[-5:]) or "it said nothing"


def _wait_until_gone(group: int) -> None:
    """Until no process of the group is left, so that its files and ports are free."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
