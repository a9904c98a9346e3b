"""The supervisor starts again what dies, ends what it started, and says so."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from topology.supervision.orphans import PARENT
from topology.supervision.supervisor import Child, RestartPolicy, Supervisor, cause

SLEEPER = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up',"
    " flush=True); time.sleep(600)"
)
QUICK = RestartPolicy(first_s=0.01, cap_s=0.02)


def _child(code: str, name: str = "stage") -> Child:
    return Child(name, [sys.executable, "-c", code])


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  (what is waited for happens in another process)
            await asyncio.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_waits_double_and_a_long_life_forgives() -> None:
    """The first restart is at once, a process that dies at every start waits longer and longer up
    to the cap.
    """
    policy = RestartPolicy(first_s=1.0, cap_s=6.0, well_after_s=60.0)
    deaths, waits = 0, []
    for ran_s in (5.0, 0.1, 0.1, 0.1, 61.0, 0.1):
        deaths, wait_s = policy.after(deaths, ran_s)
        waits.append(wait_s)
    assert waits == [1.0, 2.0, 4.0, 6.0, 1.0, 2.0]


def test_cause_names_signals() -> None:
    """A person reads SIGKILL, not -9."""
    assert cause(-signal.SIGKILL) == "killed by SIGKILL"
    assert cause(3) == "exit status 3"
    assert "signal 99" in cause(-99)


async def test_killed_child_is_started_again_and_said() -> None:
    """kill -9 of one child: another process takes its place, the others are left alone, and a line
    tells why.
    """
    said: list[str] = []
    supervisor = Supervisor(
        [_child(SLEEPER, "detect"), _child(SLEEPER, "alert")], said.append, QUICK
    )
    running = asyncio.create_task(supervisor.run())
    await _until(lambda: len(supervisor.pids) == 2)
    killed, other = supervisor.pids["detect"], supervisor.pids["alert"]
    os.kill(killed, signal.SIGKILL)
    await _until(lambda: supervisor.pids.get("detect", killed) != killed)
    assert supervisor.pids["alert"] == other
    assert "detect died (killed by SIGKILL); restarting it in 0.01 s" in said
    last = supervisor.pids
    supervisor.stop()
    await running
    assert not any(_alive(pid) for pid in last.values())


async def test_child_that_ends_by_itself_is_started_again_with_its_status_told() -> None:
    """A stage has no reason to end: status 0 and status 70 alike are followed by a new start."""
    said: list[str] = []
    supervisor = Supervisor([_child("raise SystemExit(70)")], said.append, QUICK)
    running = asyncio.create_task(supervisor.run())
    await _until(lambda: sum("started" in line for line in said) >= 3)
    supervisor.stop()
    await running
    assert any("exit status 70: a bug" in line for line in said)


async def test_after_death_runs_between_death_and_next_start() -> None:
    """Examining what a crash left behind ends before the next process starts."""
    order: list[str] = []
    supervisor: Supervisor

    async def look(child: Child, status: int) -> None:
        order.append(f"looked at {child.name} {status}")

    supervisor = Supervisor(
        [_child("raise SystemExit(3)")],
        lambda line: order.append(line.split(" (")[0]),
        QUICK,
        after_death=look,
    )
    running = asyncio.create_task(supervisor.run())
    await _until(lambda: order.count("stage started") >= 2)
    supervisor.stop()
    await running
    assert order[:4] == ["stage started", "stage died", "looked at stage 3", "stage started"]


async def test_stop_while_waiting_ends_at_once() -> None:
    """Nobody waits half a minute for a process that is not even running."""
    said: list[str] = []
    supervisor = Supervisor(
        [_child("raise SystemExit(1)")], said.append, RestartPolicy(first_s=300, cap_s=300)
    )
    running = asyncio.create_task(supervisor.run())
    await _until(lambda: any("died" in line for line in said))
    supervisor.stop()
    await asyncio.wait_for(running, 5)


async def test_second_stop_kills_what_does_not_listen(tmp_path: Path) -> None:
    """A child that ignores SIGTERM is killed when the person asks a second time, and nothing is
    left.
    """
    with (tmp_path / "log").open("w+b") as log:
        supervisor = Supervisor([_child(STUBBORN)], lambda line: None, output=log.fileno())
        running = asyncio.create_task(supervisor.run())
        await _until(lambda: b"up" in (tmp_path / "log").read_bytes())
        (pid,) = supervisor.pids.values()
        supervisor.stop()
        await asyncio.sleep(0)
        supervisor.stop()
        await asyncio.wait_for(running, 10)
        assert not _alive(pid)


async def test_child_that_cannot_start_ends_the_supervisor_and_the_others() -> None:
    """A command that does not exist is not retried for ever, and no process is left behind."""
    supervisor = Supervisor(
        [_child(SLEEPER, "good"), Child("bad", ["/no/such/program"])], lambda line: None
    )
    with pytest.raises(ExceptionGroup) as failed:
        await supervisor.run()
    assert failed.group_contains(FileNotFoundError)
    assert not supervisor.pids


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a process of its parent's death"
)
async def test_children_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    """kill -9 of the supervisor: its children end too, instead of writing on beside the next
    one's.
    """
    note = tmp_path / "pid"
    child = f"""
import os, pathlib, time
from topology.supervision.orphans import end_with_parent
end_with_parent()
pathlib.Path({str(note)!r}).write_text(str(os.getpid()))
time.sleep(600)
"""
    parent = f"""
import asyncio, sys
from topology.supervision.supervisor import Child, Supervisor
asyncio.run(Supervisor([Child("stage", [sys.executable, "-c", {child!r}])], print).run())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", parent, stdout=asyncio.subprocess.DEVNULL
    )
    await _until(lambda: note.exists() and note.read_text() != "")
    pid = int(note.read_text())
    process.kill()
    await process.wait()
    await _until(lambda: not _alive(pid))


def test_orphan_of_a_dead_parent_ends_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor that died while the child was starting has no more claim on it."""
    from topology.supervision.orphans import end_with_parent

    monkeypatch.setenv(PARENT, "1" if os.getppid() != 1 else "2")
    monkeypatch.setattr(
        "ctypes.CDLL", lambda name: type("Libc", (), {"prctl": staticmethod(lambda *args: 0)})
    )
    with pytest.raises(SystemExit):
        end_with_parent()
