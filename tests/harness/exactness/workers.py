"""The stages as supervised processes, which can be killed, and ended in order."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.harness.metrics import Scrape, is_ready, scrape
from tests.harness.processes import last_words
from tests.harness.showing import BenchmarkFailed
from topology.supervision.ports import free_port
from topology.supervision.supervisor import Child, RestartPolicy, Supervisor, sentinel

_POLICY: Final = RestartPolicy(cap_s=0.2)
"""Here it is not the program's fault that it dies again and again."""

_LOOK_S: Final = 0.05
_TAIL: Final = 20_000
_TOLD: Final = 1
"""Exit status of what a person can put right."""
_NO_BROKER: Final = "no Kafka broker answers"
_MAX_DEATHS: Final = 5
"""Deaths of a worker that nobody killed after which the run is given up."""


AfterDeath = Callable[[int], Awaitable[None]]
"""Told the exit status."""


@dataclass(slots=True)
class Member:
    """One worker of a stage under a supervisor of its own."""

    name: str
    stage: str
    config: Path
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    """Settings of its own, above those of the file."""
    program: Sequence[str] = field(default_factory=sentinel)
    """What is run; its arguments follow."""
    after_death: AfterDeath | None = None
    """Awaited after each death, before it is started again."""
    port: int = field(default_factory=free_port)
    killed: int = 0
    deaths: Counter[int] = field(default_factory=Counter)
    """Exit statuses of deaths, kills included."""
    last_words: list[str] = field(default_factory=list)
    """Of every death that was nobody's doing here."""
    _supervisor: Supervisor | None = None
    _task: asyncio.Task[None] | None = None
    _stale: int = 0
    _stale_before: int = 0
    _ended_well: bool = False
    _last_said: str = ""

    @property
    def log(self) -> Path:
        """Its output."""
        return self.folder / f"{self.name}.log"

    def tail(self) -> str:
        """The end of its log: where its tasks stood, if it was ended because it did not move."""
        return self.log.read_text(errors="replace")[-_TAIL:]

    def told_lanes(self) -> str:
        """What it tells of its lanes now, as metrics."""
        answer = scrape(self.port)
        said = [
            f"{sample.name}{sample.labels} {sample.value:g}"
            for sample in ([] if answer is None else answer.samples)
            if sample.name.startswith(("sentinel_lane_", "sentinel_ready"))
        ]
        return "\n".join(said) or "it tells nothing of its lanes"

    @property
    def unexpected(self) -> dict[int, int]:
        """Deaths that were nobody's doing here, by exit status."""
        others = self.deaths.copy()
        others[-signal.SIGKILL] -= self.killed
        return {status: count for status, count in others.items() if count > 0}

    def start(self) -> None:
        """Starts it; it is not ready yet."""
        child = Child(
            self.name,
            [*self.program, "worker", self.stage, "--config", str(self.config)],
            {
                **self.environment,
                "SENTINEL_WORKER__HEALTH_PORT": str(self.port),
                "RUST_BACKTRACE": "0",
            },
        )
        with self.log.open("ab") as log:
            output = os.dup(log.fileno())
        self._supervisor = Supervisor([child], self._say, _POLICY, self._died, output)
        self._task = asyncio.create_task(self._supervisor.run())
        self._task.add_done_callback(lambda _: os.close(output))

    async def kill(self) -> bool:
        """SIGKILL; false when it is not running just now."""
        pid = self.pid
        if pid is None:
            return False
        os.kill(pid, signal.SIGKILL)
        self.killed += 1
        return True

    def terminate(self) -> None:
        """SIGTERM: it ends in order, and is started again."""
        self._signal(signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP: it neither works nor ends, and its connections stay open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, which: signal.Signals) -> None:
        pid = self.pid
        if pid is None:
            raise BenchmarkFailed(f"{self.name} does not run")
        os.kill(pid, which)

    @property
    def pid(self) -> int | None:
        """Of the process, while it runs."""
        return self._supervisor.pids.get(self.name) if self._supervisor is not None else None

    async def is_up(self) -> bool:
        """Whether it answers at all: it is about to join its group."""
        self.check()
        return await asyncio.to_thread(scrape, self.port) is not None

    async def is_ready(self) -> bool:
        """Whether it is recovered and assigned. Raises BenchmarkFailed when it dies again and
        again.
        """
        self.check()
        return await asyncio.to_thread(is_ready, self.port)

    async def durable(self) -> float:
        """Sum of the durable positions of its lanes since it started; 0 while it does not answer or
        has flushed nothing.
        """
        self.check()
        answer = await self._scraped()
        return 0.0 if answer is None else answer["sentinel_lane_durable_position"]

    async def flushed_lanes(self) -> int:
        """How many lanes it made durable since it started, those that it has lost again
        included.
        """
        self.check()
        return await asyncio.to_thread(self._count_flushed)

    def _count_flushed(self) -> int:
        answer = scrape(self.port)
        return 0 if answer is None else len(answer.by("lane", "sentinel_lane_durable_position"))

    async def has_unflushed(self) -> bool:
        """Whether it has taken records that its durable state does not cover."""
        self.check()
        answer = await self._scraped()
        return (
            answer is not None
            and answer["sentinel_lane_position"] > answer["sentinel_lane_durable_position"]
        )

    async def has_flushed(self) -> bool:
        """Whether it made something durable since it started."""
        return await self.durable() > 0

    @property
    def has_left(self) -> bool:
        """Whether it was ended in order."""
        return self._ended_well

    @property
    def stale_blocks(self) -> int:
        """Blocks of old assignments that it dropped, as far as it was looked at before it died."""
        return self._stale_before + self._stale

    async def _scraped(self) -> Scrape | None:
        answer = await asyncio.to_thread(scrape, self.port)
        if answer is not None:
            self._stale = int(answer["sentinel_stale_blocks_total"])
        return answer

    async def leave(self) -> None:
        """Ends it in order. Raises BenchmarkFailed when it does not end well."""
        assert self._supervisor is not None
        assert self._task is not None
        await self._scraped()
        self._supervisor.stop()
        await self._task
        if not self._ended_well:
            raise BenchmarkFailed(f"{self._last_said}, not in order: {last_words(self.log)}")

    async def drop(self) -> None:
        """Ends it however it is; nothing of it is left."""
        if self._supervisor is not None and self._task is not None and not self._task.done():
            self._supervisor.stop()
            self._supervisor.stop()
            await asyncio.gather(self._task, return_exceptions=True)

    def forgive(self, status: int | None = None) -> None:
        """Its deaths so far were meant: all, or those with this exit status."""
        if status is None:
            self.deaths.clear()
            self.last_words.clear()
        else:
            del self.deaths[status]
            self.last_words = [
                line for line in self.last_words if not line.startswith(self._last_word(status, ""))
            ]

    def forgive_starts(self) -> None:
        """That it started while no broker answered, said so and ended, was right: those deaths were
        meant.
        """
        right = [
            line
            for line in self.last_words
            if line.startswith(self._last_word(_TOLD, "")) and _NO_BROKER in line
        ]
        self.deaths[_TOLD] -= len(right)
        self.last_words = [line for line in self.last_words if line not in right]

    def gone(self) -> None:
        """It was dropped, and nobody waits for it any more."""
        self._ended_well = True

    def check(self) -> None:
        """Raises BenchmarkFailed when it died by itself too often."""
        if sum(self.unexpected.values()) > _MAX_DEATHS:
            raise BenchmarkFailed(
                f"{self.name} dies by itself, {dict(self.unexpected)}: {last_words(self.log)}"
            )

    async def _died(self, child: Child, status: int) -> None:
        self.deaths[status] += 1
        if self.after_death is not None:
            await self.after_death(status)
        self._stale_before, self._stale = self.stale_blocks, 0
        if status != -signal.SIGKILL:
            # Where its tasks stood, if it stood still.
            words = self.tail() if "did not move" in last_words(self.log) else last_words(self.log)
            self.last_words.append(self._last_word(status, words))

    def _last_word(self, status: int, words: str) -> str:
        return f"{self.name}, status {status}: {words}"

    def _say(self, line: str) -> None:
        self._last_said = line
        self._ended_well |= line.endswith("ended (exit status 0)")


async def until(done: Callable[[], Awaitable[bool]], timeout_s: float, what: str) -> None:
    """Looks until the answer is true. Raises BenchmarkFailed, saying `what`, when time is up."""
    deadline = time.monotonic() + timeout_s
    while not await done():
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"{what} after {timeout_s:g} s")
        await asyncio.sleep(_LOOK_S)
