"""Sentinel's workers as processes of their own: the one way in which tests and benchmarks start
them.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import psutil

from tests.harness.metrics import Scrape, is_ready, scrape
from tests.harness.showing import BenchmarkFailed
from topology.supervision.memory import shared_out_mb
from topology.supervision.orphans import PARENT
from topology.supervision.ports import free_port
from topology.supervision.supervisor import sentinel

T = TypeVar("T")

_READY_S: Final = 120.0
_LOG_LINES: Final = 3


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used so far, or what processes used between two looks."""

    cpu_s: float
    wall_s: float

    def since(self, before: "Usage") -> "Usage":
        """The difference."""
        return Usage(self.cpu_s - before.cpu_s, self.wall_s - before.wall_s)

    @property
    def share(self) -> float:
        """Of one CPU."""
        return self.cpu_s / self.wall_s if self.wall_s else 0.0


def usage(pid: int) -> Usage:
    """CPU time of a process with all its threads, user and system, and the time of the look. Raises
    psutil.NoSuchProcess.
    """
    times = psutil.Process(pid).cpu_times()
    return Usage(times.user + times.system, time.monotonic())


@dataclass(slots=True)
class WorkerProcess:
    """`sentinel worker STAGE` as a process of its own. Leaving the context ends it, however it is
    left.
    """

    stage: str
    config: Path
    folder: Path
    program: Sequence[str] = field(default_factory=sentinel)
    """What is run; its arguments follow."""
    port: int = field(default_factory=free_port)
    """Of health and metrics; 0 leaves it to the settings."""
    name: str = ""
    """Of its log; that of the stage by default."""
    where: Path | None = None
    """Where it runs, and what relative paths of its settings begin at; `folder` by default."""
    _process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        return self._running().pid

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.folder / f"{self.name or self.stage}.log"

    def start(self) -> subprocess.Popen[bytes]:
        """Start it; it is not ready yet. It ends with this process."""
        port = {"SENTINEL_WORKER__HEALTH_PORT": str(self.port)} if self.port else {}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.program, "worker", self.stage, "--config", str(self.config)],
                env={
                    **os.environ,
                    "RUST_BACKTRACE": "0",
                    "PYTHONUNBUFFERED": "1",
                    PARENT: str(os.getpid()),
                    **port,
                },
                cwd=self.where or self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self._process

    def scrape(self) -> Scrape | None:
        """Its metrics; None while it does not answer. Raises BenchmarkFailed when it has ended."""
        self._check()
        return scrape(self.port)

    def usage(self) -> Usage:
        """Its CPU time."""
        return usage(self.pid)

    def memory_mb(self) -> tuple[float, float]:
        """PSS and RSS now, megabytes."""
        pss = shared_out_mb([self.pid])
        return pss or 0.0, psutil.Process(self.pid).memory_info().rss / 2**20

    def wait_ready(self, timeout_s: float = _READY_S, every_s: float = 0.05) -> None:
        """Until it is recovered and assigned. Raises BenchmarkFailed."""
        wait_until(
            lambda: is_ready(self.port),
            timeout_s,
            f"{self.stage} is not ready",
            self._check,
            every_s,
        )

    def stop(self, timeout_s: float = 120.0) -> None:
        """SIGTERM, and wait until it flushed and ended. Raises BenchmarkFailed when it ended
        otherwise.
        """
        process = self._running()
        self._check()
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise BenchmarkFailed(
                f"{self.stage} does not end within {timeout_s:g} s: {self.last_words()}"
            ) from None
        self._process = None
        if status != 0:
            raise BenchmarkFailed(f"{self.stage} ended with status {status}: {self.last_words()}")

    def last_words(self) -> str:
        """The end of its log, on one line."""
        return last_words(self.log)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise BenchmarkFailed(f"{self.stage} is not running")
        return self._process

    def _check(self) -> None:
        if (status := self._running().poll()) is not None:
            raise BenchmarkFailed(f"{self.stage} ended with status {status}: {self.last_words()}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


def wait_until(
    done: Callable[[], T | None],
    timeout_s: float,
    what: str,
    check: Callable[[], None] = lambda: None,
    every_s: float = 0.05,
) -> T:
    """Looks until there is something or it is done, and answers with that; `check` raises when it
    never will be. Raises BenchmarkFailed, saying `what`, when time is up.
    """
    deadline = time.monotonic() + timeout_s
    while not (found := done()):
        check()
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"{what} after {timeout_s:g} s")
        time.sleep(every_s)
    return found


def last_words(log: Path, most: int = _LOG_LINES) -> str:
    """The end of a log, at most this number of its lines, on one line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-most:]) or "it said nothing"
