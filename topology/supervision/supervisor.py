"""Keeps the processes of one machine running: starts them, restarts those that die, and stops them.

`RestartPolicy` decides when to restart, as a pure function of deaths and run time; the rest is the
process edge.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from topology.supervision.orphans import PARENT

GRACE_S: Final = 20.0
"""Seconds that a process has to flush and leave its group before it is killed."""


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Exponential backoff before a process that died is restarted.

    The first restart is immediate, since the wait delays the next verdict; then the wait doubles,
    so that a process that dies at every start does not use up the machine.
    """

    first_s: float = 0.2
    cap_s: float = 30.0
    well_after_s: float = 60.0
    """After this run time a process was healthy: its next death counts as the first."""

    def after(self, deaths: int, ran_s: float) -> tuple[int, float]:
        """Deaths in a row including this one, and seconds to wait, for a process that had died
        `deaths` times in a row and then ran for `ran_s`.

        >>> policy = RestartPolicy()
        >>> policy.after(0, 1.0), policy.after(3, 1.0), policy.after(9, 90.0)
        ((1, 0.2), (4, 1.6), (1, 0.2))
        """
        deaths = 1 if ran_s >= self.well_after_s else deaths + 1
        return deaths, min(self.first_s * 2 ** min(deaths - 1, 30), self.cap_s)


@dataclass(frozen=True, slots=True)
class Child:
    """One process to keep running."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Set above this process's own environment."""
    log: Path | None = None
    """File to which its output is appended; None means the supervisor's `output`."""


def cause(status: int) -> str:
    """Why a process ended, from its exit status, in words.

    >>> cause(-9), cause(70), cause(1)
    ('killed by SIGKILL', 'exit status 70: a bug, or state in doubt', 'exit status 1')
    """
    if status < 0:
        try:
            return f"killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"killed by signal {-status}"
    return "exit status 70: a bug, or state in doubt" if status == 70 else f"exit status {status}"


class Supervisor:
    """Runs children until it is asked to stop.

    Args:
        children: what to keep running.
        say: called with one line for each start, death and end.
        policy: when to restart.
        after_death: awaited between a death and the restart, with the child and its status, to
        examine what a crash left behind.
        output: file descriptor for the output of children without a log of their own; None means
        this process's own.
    """

    def __init__(
        self,
        children: Sequence[Child],
        say: Callable[[str], None],
        policy: RestartPolicy | None = None,
        after_death: Callable[[Child, int], Awaitable[None]] | None = None,
        output: int | None = None,
    ) -> None:
        self._children = children
        self._say = say
        self._policy = policy or RestartPolicy()
        self._after_death = after_death
        self._output = output
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the children that run now, by name."""
        return {name: process.pid for name, process in self._running.items()}

    def stop(self) -> None:
        """Let `run` end its children and return. A second call kills those that still run."""
        # A person who presses Ctrl-C twice does not want to wait for flushes.
        if self._stopping.is_set():
            self._signal(signal.SIGKILL)
        self._stopping.set()

    async def run(self) -> None:
        """Keep the children running until `stop`; none runs when this returns or raises."""
        try:
            async with asyncio.TaskGroup() as group:
                for child in self._children:
                    group.create_task(self._keep(child))
        finally:
            # After an exception in one task the others' children still run.
            self._signal(signal.SIGKILL)

    async def run_until_signalled(self) -> None:
        """`run`, with SIGTERM and SIGINT as `stop`."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        for each in signals:
            loop.add_signal_handler(each, self.stop)
        try:
            await self.run()
        finally:
            for each in signals:
                loop.remove_signal_handler(each)

    async def _keep(self, child: Child) -> None:
        deaths = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            status = await self._once(child)
            if self._stopping.is_set():
                self._say(f"{child.name} ended ({cause(status)})")
                return
            deaths, wait_s = self._policy.after(deaths, time.monotonic() - began)
            self._say(f"{child.name} died ({cause(status)}); restarting it in {wait_s:g} s")
            if self._after_death is not None:
                await self._after_death(child, status)
            await self._stopped_within(wait_s)

    async def _once(self, child: Child) -> int:
        """One run of the child, until it ends or `stop` ends it; its exit status."""
        process = await self._start(child)
        self._running[child.name] = process
        self._say(f"{child.name} started (pid {process.pid})")
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await self._end(child, process, ended)
            return ended.result()
        finally:
            stopping.cancel()
            # Left by a cancellation: no child may outlive this.
            if process.returncode is None:
                process.kill()
                await ended
            self._running.pop(child.name, None)

    async def _start(self, child: Child) -> asyncio.subprocess.Process:
        with contextlib.ExitStack() as stack:
            output = (
                stack.enter_context(child.log.open("ab")).fileno()
                if child.log is not None
                else self._output
            )
            return await asyncio.create_subprocess_exec(
                *child.command,
                env={**os.environ, PARENT: str(os.getpid()), **child.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C at a terminal goes to the whole group: children of their own group are
                # ended by us, in order.
                process_group=0,
            )

    async def _end(
        self, child: Child, process: asyncio.subprocess.Process, ended: "asyncio.Task[int]"
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        done, _ = await asyncio.wait({ended}, timeout=GRACE_S)
        if not done:
            self._say(f"{child.name} does not end within {GRACE_S:g} s; killing it")
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await ended

    async def _stopped_within(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _signal(self, which: signal.Signals) -> None:
        for process in self._running.values():
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(which)


def sentinel(*arguments: str) -> list[str]:
    """The command line of `sentinel` in the same Python, wherever the script is installed."""
    return [sys.executable, "-m", "topology", *arguments]
