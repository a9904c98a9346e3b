"""`sentinel standalone`: all stages on one machine, started again when they die, gone when it is
told to end.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

STARTED = re.compile(r"sentinel: (\w+) started \(pid (\d+)\)")


class Standalone:
    """A running `sentinel standalone --embedded` and what it said."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        ours = {
            name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")
        }
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "topology", "standalone", "--embedded"],
                stdout=out,
                stderr=out,
                env=ours,
            )

    def started(self) -> list[tuple[str, int]]:
        """Each start so far: stage and process id."""
        return [(name, int(pid)) for name, pid in STARTED.findall(self.log.read_text())]

    def wait(self, condition: Callable[[], object]) -> None:
        """Until it is so; the log is the message when it never is."""
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)

    def said(self, text: str) -> int:
        """How often."""
        return self.log.read_text().count(text)


@pytest.fixture
def standalone(tmp_path: Path) -> Iterator[Standalone]:
    """Started, with all three stages at work."""
    running = Standalone(tmp_path)
    try:
        running.wait(lambda: running.said("worker.started") == 3)
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_killed_stage_works_again_and_all_end_when_told(standalone: Standalone) -> None:
    """kill -9 of detect: another one is at work soon, and the line says so. SIGTERM then ends all,
    with status 0 and no process left.
    """
    first = dict(standalone.started())
    os.kill(first["detect"], signal.SIGKILL)
    standalone.wait(lambda: standalone.said("worker.started") == 4)
    assert standalone.said("detect died (killed by SIGKILL); restarting it in 0.2 s") == 1
    pids = [pid for _, pid in standalone.started()]
    assert len(pids) == 4
    standalone.process.send_signal(signal.SIGTERM)
    assert standalone.process.wait(60) == 0, standalone.log.read_text()
    assert not [pid for pid in pids if _alive(pid)]
