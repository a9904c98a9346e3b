"""Workers as they run in service: one process per stage under the supervisor, which starts again
what dies.
"""

import asyncio
import contextlib
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from tests.harness.installation import Installation
from tests.harness.metrics import Scrape, is_ready, scrape
from tests.harness.processes import last_words, wait_until
from tests.harness.showing import BenchmarkFailed, Screen
from topology.stages.standalone import stage_processes
from topology.supervision.ports import free_port
from topology.supervision.supervisor import RestartPolicy, Supervisor

_READY_S: Final = 120.0
_END_S: Final = 60.0
_ANSWERS_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Stages:
    """The running stages. `deaths` is what the supervisor said of those that died."""

    installation: Installation
    ports: Mapping[str, int]
    supervisor: Supervisor
    deaths: list[str]

    def pids(self) -> dict[str, int]:
        """Process ids by stage, of those that run now."""
        return self.supervisor.pids

    def scrape(self, stage: str) -> Scrape:
        """Its metrics, as soon as it answers. Raises BenchmarkFailed when it died, or does not
        answer for a minute.
        """
        return wait_until(
            lambda: scrape(self.ports[stage]), _ANSWERS_S, f"{stage} does not answer", self.check
        )

    def are_ready(self) -> bool:
        """Whether all are recovered and assigned."""
        return all(is_ready(port) for port in self.ports.values())

    def last_words(self) -> str:
        """The end of the stages' log."""
        return last_words(self.installation.folder / "stages.log")

    def check(self) -> None:
        """Raises BenchmarkFailed when a stage died, where none should."""
        if self.deaths:
            raise BenchmarkFailed(f"{self.deaths[0]}: {self.last_words()}")


@contextlib.contextmanager
def supervised(
    installation: Installation,
    which: Collection[str],
    screen: Screen,
    policy: RestartPolicy | None = None,
) -> Iterator[Stages]:
    """These stages, all ready; they end in order with the context. Raises BenchmarkFailed."""
    ports = {stage: free_port() for stage in which}
    deaths: list[str] = []

    def say(line: str) -> None:
        screen.note(line)
        if " died " in line:
            deaths.append(line)

    children = [
        replace(
            child,
            environment={
                **child.environment,
                "SENTINEL_WORKER__HEALTH_PORT": str(ports[child.name]),
            },
        )
        for child in stage_processes(
            installation.config, installation.folder / "decoding", stages=tuple(which)
        )
    ]
    with (installation.folder / "stages.log").open("ab") as log:
        supervisor = Supervisor(children, say, policy, output=log.fileno())
        with _running(supervisor):
            stages = Stages(installation, ports, supervisor, deaths)
            wait_until(stages.are_ready, _READY_S, "the stages are not ready", stages.check)
            yield stages


@contextlib.contextmanager
def _running(supervisor: Supervisor) -> Iterator[None]:
    """Runs a supervisor in a thread with a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(
        target=loop.run_until_complete, args=(supervisor.run(),), name="supervisor"
    )
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(supervisor.stop)
        thread.join(_END_S)
        if thread.is_alive():
            # Its second stop kills.
            loop.call_soon_threadsafe(supervisor.stop)
            thread.join()
        loop.close()
