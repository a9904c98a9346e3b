"""Liveness is progress, not a process: what `/live` says, and the end of a worker that stands still (§7).

It looks from a thread of its own, so that a blocked event loop is seen too, and it counts looks, not time: a machine that stood still, or a process
that was stopped and goes on, is no worker that hangs.
"""

import asyncio
import faulthandler
import sys
import threading
from collections.abc import Callable
from typing import Final, Protocol

from streams.ending import end_process
from streams.position import Displaced

LOOK_S: Final = 1.0

MOVING: Final = 30
"""Looks at lanes that have records and do not move until the worker is not live. As many again, and it ends."""

READY: Final = 90
"""The same for a worker that is not assigned and recovered and does not restore: a group waits up to 60 s for a member that is stuck."""


class Stalled(Displaced):
    """The worker stands still, and is started again."""


class Watched(Protocol):
    """What a watchdog looks at; read from another thread."""

    @property
    def moves(self) -> int:
        """Grows with everything that a lane does, restoring included."""
        ...

    def behind(self) -> list[int]:
        """Partitions of lanes that have records before them."""
        ...


class Watchdog:
    """Counts how long a worker stands still. The event loop is to call `beat` more often than once a second."""

    def __init__(
        self, watched: Watched, is_ready: Callable[[], bool], end: Callable[[BaseException], None] = end_process
    ) -> None:
        self._watched, self._is_ready, self._end = watched, is_ready, end
        self._beats = self._seen_beats = 0
        self._seen_moves = -1
        self._stands = 0
        self._why = ""
        self._limit = MOVING
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sentinel-watchdog", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Looks from now on; called in the event loop that is watched."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Looks no more."""
        self._stopped.set()

    def beat(self) -> None:
        """The event loop runs."""
        self._beats += 1

    def stalled(self) -> str | None:
        """What stands still, and for how long, if it is too long."""
        return f"{self._why} for {self._stands * LOOK_S:g} s" if self._stands >= self._limit else None

    def look(self) -> None:
        """Counts; ends the process when it stood for twice as long as a live worker may."""
        moves, beats = self._watched.moves, self._beats
        self._limit, why = self._waits(beats)
        if not why or moves != self._seen_moves or why != self._why:
            self._stands = 0
        else:
            self._stands += 1
        self._seen_moves, self._seen_beats, self._why = moves, beats, why
        if self._stands >= 2 * self._limit:
            self._say_where()
            self._end(Stalled(f"{self.stalled()}; ending, to be started again"))

    def _waits(self, beats: int) -> tuple[int, str]:
        if not self._is_ready():
            return READY, "the worker is not assigned and recovered"
        if beats == self._seen_beats:
            return MOVING, "the event loop does not run"
        if behind := self._watched.behind():
            return MOVING, f"lanes {sorted(behind)} have records and did not move"
        return MOVING, ""

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_S):
            self.look()

    def _say_where(self) -> None:
        """On standard error, where each thread and task waits: nobody could tell afterwards."""
        faulthandler.dump_traceback(sys.stderr)
        for task in asyncio.all_tasks(self._loop) if self._loop is not None else ():
            task.print_stack(file=sys.stderr)
