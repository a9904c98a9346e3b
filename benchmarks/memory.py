"""Memory of `sentinel standalone` with the embedded store, at rest.

    python -m benchmarks.memory [--json] [--seconds 20]

A real Kafka with four partitions, and every process that `sentinel standalone` starts: its own, a
worker of each stage, the sink, and the API with the page. Nothing is sent. Once the workers are
ready and `--seconds` have passed, the kernel is asked for each process's proportional set size
(PSS: a page that several processes share counts once over all of them). The broker is not in it.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

import psutil

from streams.admin.topics import STAGES
from tests.harness.installation import Installation, installed
from tests.harness.machine import machine
from tests.harness.metrics import is_ready
from tests.harness.processes import wait_until
from tests.harness.showing import BenchmarkFailed, Json, Screen, Sheet, end_in_order
from topology.supervision.memory import shared_out_mb
from topology.supervision.ports import free_port

GOAL_MB: Final = 600
_READY_S: Final = 120.0
_PORTS_TRIED: Final = 20


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--json", action="store_true", help="print one object instead of a table")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="rest before memory is asked for (20)"
    )
    options = parser.parse_args(arguments)
    screen, described = Screen(options.json), machine()
    end_in_order()
    stages = (*STAGES, "sink")
    first = _free_ports(len(stages))
    sections: dict[str, Mapping[str, object]] = {
        "store": {"kind": "embedded"},
        "api": {"port": free_port()},
        "worker": {"health_port": first},
        "alerting": {"receivers": [{"name": "log", "kind": "log"}]},
    }
    try:
        with installed(sections) as installation:
            screen.note("starting every process")
            found = _measured(installation, range(first, first + len(stages)), options.seconds)
    except BenchmarkFailed as why:
        sys.exit(f"benchmarks.memory: {why}")
    total = round(sum(found.values()))
    rows = [(name, f"{mb:.0f}", "") for name, mb in found.items()]
    sheet = Sheet(
        "Memory at rest", ("process", "PSS MB", "goal"), [*rows, ("all", f"{total}", f"{GOAL_MB}")]
    )
    processes: dict[str, Json] = {name: round(mb, 1) for name, mb in found.items()}
    screen.results(described, [sheet], {"pss_mb": total, "processes": processes})


def _free_ports(count: int) -> int:
    """The first of so many neighbouring ports that nobody listens on."""
    taken = {
        connection.laddr.port for connection in psutil.net_connections("tcp") if connection.laddr
    }
    for _ in range(_PORTS_TRIED):
        first = free_port()
        if not taken & set(range(first, first + count)):
            return first
    raise BenchmarkFailed("there are no neighbouring free ports")


def _measured(installation: Installation, ports: Sequence[int], rest_s: float) -> dict[str, float]:
    command = [sys.executable, "-m", "topology", "standalone", "--config", str(installation.config)]
    with (installation.folder / "standalone.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=installation.folder)
    try:
        wait_until(
            lambda: all(is_ready(port) for port in ports), _READY_S, "the workers are not ready"
        )
        time.sleep(rest_s)
        whole = psutil.Process(process.pid)
        return {
            _name(one): shared_out_mb([one.pid]) or 0.0
            for one in [whole, *whole.children(recursive=True)]
        }
    finally:
        process.terminate()
        process.wait()


def _name(process: psutil.Process) -> str:
    words = process.cmdline()
    said = words[words.index("topology") + 1 :]
    return said[1] if said[0] == "worker" else said[0]


if __name__ == "__main__":
    main()
