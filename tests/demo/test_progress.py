"""The demo waits for as long as its processes make progress, and says which one does not."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from topology.demo.progress import (
    MAX_DEATHS,
    STUCK_AFTER_S,
    Progress,
    Seen,
    cpu_seconds,
    last_lines,
)

HOURS_S = 7_200


def _after(looks: list[Seen], every_s: float) -> str | None:
    """What is said after these looks, from time 0 on."""
    progress = Progress("detect", 0.0)
    for number, seen in enumerate(looks, 1):
        progress.look(seen, number * every_s)
        if reason := progress.stuck(number * every_s):
            return reason
    return None


@pytest.mark.parametrize(
    "looks",
    [
        [Seen(1, cpu_s=0.6 * number) for number in range(HOURS_S // 30)],
        [Seen(1, cpu_s=None) for _ in range(HOURS_S // 30)],
        [
            Seen(1, ready=True, positions={"0": number}, cpu_s=1.0)
            for number in range(HOURS_S // 30)
        ],
        [Seen(1, ready=True, idle=True, cpu_s=1.0)] * (HOURS_S // 30),
    ],
    ids=["computes", "where nobody can say", "reads on", "has nothing to do"],
)
def test_slow_is_not_stuck(looks: list[Seen]) -> None:
    """For hours, if it must be."""
    assert _after(looks, 30.0) is None


@pytest.mark.parametrize(
    ("looks", "says"),
    [
        ([Seen(None)] * 100, "it is not ready"),
        ([Seen(1, cpu_s=2.0)] * 100, "it is not ready"),
        ([Seen(1, cpu_s=2.0 + number * 0.005) for number in range(100)], "it is not ready"),
        ([Seen(1, ready=True, positions={"0": 7.0}, cpu_s=2.0)] * 100, "it has records to read"),
    ],
    ids=["never started", "frozen", "only polls", "stands before records"],
)
def test_stuck_is_said_after_a_minute(looks: list[Seen], says: str) -> None:
    """With what it should be doing."""
    reason = _after(looks, 1.0)
    assert reason is not None
    assert re.match(r"detect has made no progress for 6\d s", reason)
    assert says in reason
    assert STUCK_AFTER_S == 60


def test_dying_at_every_start_is_stuck_and_a_death_after_work_is_not() -> None:
    """What the stage worked off in between counts."""
    progress = Progress("sink", 0.0)
    for number in range(MAX_DEATHS * 3):
        progress.look(Seen(number, ready=True, positions={"0": number}, cpu_s=2.0), number)
        progress.died("exit status 70")
        assert progress.stuck(number) is None
    for number in range(MAX_DEATHS):
        progress.look(Seen(100 + number, cpu_s=2.0), 100 + number)
        progress.died("exit status 78")
    assert progress.stuck(103) == "sink ended 4 times in a row (exit status 78)"


def test_cpu_of_a_process_and_the_end_of_a_log_are_read(tmp_path: Path) -> None:
    """A process that is gone has used nothing; lines without text do not count."""
    assert (cpu_seconds(os.getpid()) or 0) > 0
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert cpu_seconds(gone.pid) == 0
    log = tmp_path / "log"
    log.write_text("\n".join(f"line {number}\n" for number in range(5_000)))
    assert list(last_lines(log)) == [f"line {number}" for number in range(4_995, 5_000)]


FROZEN = """
from topology.demo import progress
from topology.supervision import supervisor
progress.STUCK_AFTER_S, progress.WORKED_S, supervisor.GRACE_S = 10.0, 0.05, 1.0
from topology.cli import main
main(["demo", "--exit-when-done", "--speed", "0"])
"""


@pytest.mark.system
def test_a_frozen_stage_ends_the_demo_with_its_name_and_its_log() -> None:
    """One line for people says which process it is and where its log is; the last lines of the log
    follow. Nothing is left running.
    """
    with subprocess.Popen(
        [sys.executable, "-c", FROZEN], stderr=subprocess.PIPE, text=True
    ) as demo:
        try:
            assert demo.stderr is not None
            said = []
            for line in demo.stderr:
                said.append(line.strip())
                if line.startswith("playing "):
                    children = psutil.Process(demo.pid).children(recursive=True)
                    (correlate,) = [child for child in children if "correlate" in child.cmdline()]
                    correlate.send_signal(signal.SIGSTOP)
            assert demo.wait(120) == 1
        finally:
            demo.kill()
    (at,) = [number for number, line in enumerate(said) if "no progress" in line]
    found = re.match(
        r"sentinel: correlate has made no progress for \d+ s \(.*\); its log, (\S+), ends:",
        said[at],
    )
    assert found, said[at]
    assert said[-1].removeprefix("sentinel: ") in Path(found[1]).read_text().splitlines()
    assert not any(child.is_running() for child in children)
