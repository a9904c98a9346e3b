"""The life of a process that does not run on Faust: one service, from its start to a signal."""

import asyncio
import signal
from collections.abc import Sequence
from typing import Protocol

import uvloop

from streams.exit_status import ENDS_WITHIN_S, end_within, ends_process
from streams.process.allocation import settle
from streams.process.runtime import Runtime, Work
from streams.process.watchdog import Watched


class Service(Watched, Protocol):
    """What a process is there for: a pipeline, a server."""

    @property
    def ready(self) -> bool:
        """Whether it does its work now."""
        ...

    @property
    def rounds(self) -> Sequence[Work]:
        """Run beside the work once it is open; what one of them raises ends the process."""
        ...

    async def open(self) -> None:
        """Connect to what the work needs; may wait for as long as that takes."""
        ...

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, and then end within a few seconds."""
        ...

    async def check(self) -> None:
        """Raises what tasks failed with that nobody awaits. Called twice a second."""
        ...

    async def close(self) -> None:
        """Disconnect; called also when `open` was cancelled."""
        ...


def execute(work: Work) -> int:
    """Run a process's work in an event loop of its own; returns the exit status of the process."""
    settle()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ends_process(work)())
    return 0


async def serve(stage: str, host: str, port: int, service: Service) -> None:
    """Run the service until SIGTERM or SIGINT, with health and metrics at `host` and `port`.

    Raises what the service raises, at once and with everything left open: whatever would be closed
    first could only delay the end.
    """
    loop, opened = asyncio.get_running_loop(), asyncio.Event()
    stop = _stopped_by_signals(loop)
    runtime = Runtime(
        stage,
        host,
        port,
        service,
        lambda: service.ready,
        is_starting=lambda: not opened.is_set(),
        loops=lambda: (loop,),
    )
    await runtime.open()
    runtime.begin_checks(service.check)
    working = asyncio.create_task(_work(service, runtime, opened, stop))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not working.done():
        # From the signal on, since another process repeats what is not committed. Faust's workers
        # begin to count only after their lanes are flushed.
        end_within(ENDS_WITHIN_S)
    if not opened.is_set():
        # It is to end while it still waits for what it needs.
        working.cancel()
    await asyncio.wait({working})
    if not working.cancelled():
        working.result()
    stopping.cancel()
    # Before the service closes: rounds use what it opened, and would raise.
    runtime.end_rounds()
    await service.close()
    await runtime.close()


async def _work(
    service: Service, runtime: Runtime, opened: asyncio.Event, stop: asyncio.Event
) -> None:
    await service.open()
    opened.set()
    runtime.begin_rounds(*service.rounds)
    await service.run(stop)


def _stopped_by_signals(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    return stop
