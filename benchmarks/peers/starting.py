"""An engine as a process: its orders in the environment, its log, its end."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.peers.catalogue import ENGINES, Engine
from benchmarks.peers.marks import Listener
from benchmarks.peers.work import GRACE_S, WINDOW_S
from schemas.avro import packaged
from tests.harness.installation import PARTITIONS, Installation
from tests.harness.processes import last_words
from tests.harness.showing import BenchmarkFailed

KEYED: Final = "peers-keyed"
"""The copy of the telemetry whose record keys are application and model."""

COMMIT_S: Final = 5.0
"""Seconds between commits of an engine that lets one choose; Sentinel flushes every one to ten
seconds by its load.
"""

_END_S: Final = 30.0
_LOG_LINES: Final = 15
"""Of an engine that failed: what went wrong stands some lines before what its framework says of it
at last.
"""


@dataclass(frozen=True, slots=True)
class Started:
    """A running engine."""

    listener: Listener
    log: Path
    _process: "subprocess.Popen[str]"

    def check(self) -> None:
        """Raises BenchmarkFailed when it has ended."""
        if (status := self._process.poll()) is not None:
            raise BenchmarkFailed(f"ended with status {status}: {last_words(self.log, _LOG_LINES)}")


@contextlib.contextmanager
def started(installation: Installation, engine: Engine, out: str, events: int) -> Iterator[Started]:
    """Starts the engine, which writes to the topic `out`. Leaving ends it: in order if it can, and
    every child with it.
    """
    state = installation.folder / f"{engine.name}-state"
    state.mkdir()
    log = installation.folder / f"{engine.name}.log"
    if engine.prepare:
        _prepare(_filled_in(engine.prepare, state))
    # setpriv: when the benchmark is killed, the engine goes too.
    guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*guard, *_filled_in(engine.command, state)],
            env={**os.environ, **_orders(installation, engine, state, out, events)},
            cwd=ENGINES,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    try:
        assert process.stdout is not None
        listener = Listener(process.pid, process.stdout)
        listener.start()
        yield Started(listener, log, process)
    finally:
        _end(process)


def _prepare(command: Sequence[str]) -> None:
    done = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise BenchmarkFailed(
            f"{' '.join(command)} ended with status {done.returncode}: {done.stderr.strip()[-200:]}"
        )


def _filled_in(command: Sequence[str], state: Path) -> list[str]:
    return [part.replace("{STATE}", str(state)) for part in command]


def _orders(
    installation: Installation, engine: Engine, state: Path, out: str, events: int
) -> dict[str, str]:
    schema = installation.folder / "telemetry.avsc"
    known = packaged.IDS[packaged.newest("TelemetryEvent")]
    schema.write_text(packaged.source(known.name, known.version))
    orders = {
        "BROKER": installation.server.address,
        "TOPIC": KEYED if engine.reads_keyed else installation.names.telemetry,
        "OUT": out,
        "GROUP": f"peers-{engine.name}",
        "STATE": str(state),
        "SCHEMA": str(schema),
        "EVENTS": str(events),
        "WINDOW_S": str(WINDOW_S),
        "GRACE_S": str(GRACE_S),
        "COMMIT_S": str(COMMIT_S),
        "PARTITIONS": str(PARTITIONS),
    }
    return {f"PEER_{name}": value for name, value in orders.items()}


def _end(process: "subprocess.Popen[str]") -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
            return
