"""The life of a worker's process is the same on Faust and without it."""

import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from streams.exit_status import AGAIN
from tests.harness.worker import Installation

STAGES = ("detect", "sink")
"""One on Faust, one without it."""


def store(folder: Path) -> Mapping[str, object]:
    """The sink needs one."""
    return {"kind": "embedded", "path": str(folder / "store.db")}


@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_says_how_it_is_until_a_signal_ends_it_in_order(
    installation: Installation, tmp_path: Path, stage: str
) -> None:
    """It names its port and process once, and ends with status 0 and without a traceback."""
    with installation.worker(stage, store=store(tmp_path)) as worker:
        worker.ready()
        assert worker.get("/live") == (200, "moving\n")
        assert worker.metric("sentinel_ready", stage=stage) == 1
        (started,) = [
            json.loads(line) for line in worker.said().splitlines() if "worker.started" in line
        ]
        assert (started["sentinel.stage"], started["sentinel.health_port"]) == (
            stage,
            worker.port(),
        )
        assert started["log.logger"] == "sentinel.worker"
        assert started["sentinel.pid"] > 1
        worker.signal(signal.SIGTERM)
        assert worker.ends() == 0, worker.said()
        assert "Traceback" not in worker.said()


@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_whose_check_hangs_ends_to_be_started_again(
    installation: Installation, tmp_path: Path, stage: str
) -> None:
    """The watchdog takes it for a loop that hangs, and says where each task waits."""
    command = (sys.executable, "-m", "tests.stages.hanging_check")
    with installation.worker(stage, *command, store=store(tmp_path)) as worker:
        assert worker.ends() == AGAIN, worker.said()
        assert "the event loop does not run" in worker.said()
        assert "hanging_check.py" in worker.said()
