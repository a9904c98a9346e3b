"""What every worker's process has beside its work: health and metrics, a watchdog, and rounds.

A worker on Faust opens and closes it from Faust's hooks (`streams.faust.worker`); every other
process from `streams.process.serving`.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeAlias

import structlog

from streams.exit_status import ends_process
from streams.process.health import HealthServer
from streams.process.watchdog import Watchdog, Watched

Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

CHECK_S: Final = 0.5
"""Seconds between checks; the watchdog counts a second without one."""

_log: Final = structlog.get_logger("sentinel.worker")


class Runtime:
    """Opened before the work connects to anything, and closed after it has let go of everything.

    `watched` is the work as the watchdog sees it. `is_ready` says whether it takes part in its
    group and is recovered; a worker that `is_starting` waits for something else, such as a store,
    and may do so for as long as that takes. `loops` are the event loops whose tasks the watchdog
    lists before it ends the process.
    """

    def __init__(
        self,
        stage: str,
        host: str,
        port: int,
        watched: Watched,
        is_ready: Callable[[], bool],
        *,
        is_starting: Callable[[], bool] = lambda: False,
        loops: Callable[[], Sequence[asyncio.AbstractEventLoop]] = lambda: (),
    ) -> None:
        self._stage = stage
        self._watchdog = Watchdog(watched, lambda: is_ready() or is_starting(), loops)
        self._health = HealthServer(stage, host, port, self._watchdog.stalled, is_ready)
        self._rounds: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        """Of health and metrics; known when it is open."""
        return self._health.port

    async def open(self) -> None:
        """Serve health and metrics, and watch. Raises Refused when the port cannot be bound."""
        await self._health.start()
        self._watchdog.start()
        _log.info("worker.started", stage=self._stage, health_port=self.port, pid=os.getpid())

    def begin_rounds(self, *rounds: Work) -> None:
        """Run these beside the work until `end_rounds`; what one raises ends the process."""
        for each in rounds:
            self._rounds.append(asyncio.create_task(ends_process(each)()))

    def begin_checks(self, check: Work) -> None:
        """Await `check` twice a second until `end_rounds`. Each time counts as a beat of the event
        loop, so the watchdog sees a check that hangs as a loop that hangs.
        """

        async def beat() -> None:
            self._watchdog.beat()
            await check()

        self.begin_rounds(lambda: every(CHECK_S, beat))

    def end_rounds(self) -> None:
        """Cancel them. The watchdog goes on, so that an end that hangs is an end too."""
        for task in self._rounds:
            task.cancel()
        self._rounds.clear()

    async def close(self) -> None:
        """The last thing that a worker does."""
        self.end_rounds()
        await self._health.stop()
        self._watchdog.stop()


async def every(seconds: float, work: Work) -> None:
    """Work after each pause of `seconds`, until cancelled."""
    while True:
        await asyncio.sleep(seconds)
        await work()
