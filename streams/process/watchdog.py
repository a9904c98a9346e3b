"""Liveness is progress, not a process: what `/live` says, and when a worker without it ends.

It looks from a thread of its own, so that a blocked event loop is seen too. It counts looks and not
time: after a machine was suspended, or a process was stopped and continued, no worker hangs.
"""

import asyncio
import faulthandler
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from schemas.telemetry.quiet import STDERR
from streams.exit_status import SAID_WITHIN_S, end_process
from streams.state.position import Displaced

LOOK_S: Final = 1.0

MOVING: Final = 15
"""Number of looks at a lane that has something to do, and neither steps nor flushes, after which
the worker is not live; after twice as many it ends. The flush of a lane with a million series
takes ten seconds on a busy machine.
"""

READY: Final = 30
"""The same for a worker that is not assigned and recovered and does not restore. Longer, since a
group waits up to 20 s for a member that does not answer.
"""

_LOOP: Final = "the event loop does not run"
_NOT_READY: Final = "the worker is not assigned and recovered"


class Stalled(Displaced):
    """The worker makes no progress, and is to be started again."""


class Watched(Protocol):
    """What a watchdog looks at. Called from another thread than the event loop's."""

    @property
    def moves(self) -> int:
        """Grows with everything that is done, restoring included."""
        ...

    def lanes_with_work(self) -> Mapping[int, int]:
        """The lanes that have something to do, by partition, each with a number that changes
        whenever it moves.
        """
        ...


class Watchdog:
    """Counts for how long a worker, or a single lane of it, makes no progress. The event loop is to
    call `beat` more often than once a second; `loops` are those whose tasks it lists at the end.
    """

    def __init__(
        self,
        watched: Watched,
        is_ready: Callable[[], bool],
        loops: Callable[[], Sequence[asyncio.AbstractEventLoop]] = lambda: (),
        end: Callable[[BaseException], None] = end_process,
    ) -> None:
        self._watched, self._is_ready, self._loops, self._end = watched, is_ready, loops, end
        self._beats = self._seen_beats = 0
        self._stands: dict[str | int, tuple[int, int]] = {}
        """By lane, or by what is wrong with the whole worker: its last progress value, and for how
        many looks it has been the same.
        """
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sentinel-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._stopped.set()

    def beat(self) -> None:
        """To be called by the event loop, as a sign that it runs."""
        self._beats += 1

    def stalled(self) -> str | None:
        """What makes no progress, and for how long; None while the worker is live."""
        return self._complaint(1)

    def look(self) -> None:
        """Count once, and end the process when something has made no progress for twice as long as
        a live worker may.
        """
        seen = self._seen()
        self._stands = {what: (at, self._looks(what, at)) for what, at in seen.items()}
        self._seen_beats = self._beats
        if (complaint := self._complaint(2)) is not None:
            # In a thread of its own, for a limited time: the process must end even when the report
            # blocks, as a write to a pipe without a reader does.
            saying = threading.Thread(target=self._say, name="sentinel-watchdog-says", daemon=True)
            saying.start()
            saying.join(SAID_WITHIN_S)
            self._end(Stalled(f"{complaint}; ending, to be started again"))

    def _seen(self) -> dict[str | int, int]:
        if not self._is_ready():
            return {_NOT_READY: self._watched.moves}
        # Lanes are counted even when the loop is busy: a loop that is busy now and then would
        # otherwise hide a lane that makes no progress.
        seen: dict[str | int, int] = dict(self._watched.lanes_with_work().items())
        if self._beats == self._seen_beats:
            seen[_LOOP] = self._beats
        return seen

    def _looks(self, what: str | int, at: int) -> int:
        before, looks = self._stands.get(what, (None, 0))
        return looks + 1 if before == at else 0

    def _complaint(self, times: int) -> str | None:
        standing = {
            what: looks
            for what, (_, looks) in list(self._stands.items())
            if looks >= times * (READY if what == _NOT_READY else MOVING)
        }
        if not standing:
            return None
        lanes = sorted(what for what in standing if isinstance(what, int))
        whole = next((what for what in standing if isinstance(what, str)), None)
        what = whole or f"lanes {lanes} have something to do and did not move"
        return f"{what} for {max(standing.values()) * LOOK_S:g} s"

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_S):
            self.look()

    def _say(self) -> None:
        try:
            self._say_where()
        except Exception:  # noqa: BLE001 - a process edge: what it says is a help, that it ends is the promise
            traceback.print_exc(file=STDERR)

    def _say_where(self) -> None:
        """Write to standard error where each thread and task waits: it is not known later."""
        faulthandler.dump_traceback(STDERR.fileno())
        for task in [task for loop in self._loops() for task in asyncio.all_tasks(loop)]:
            STDERR.write(f"Task {task.get_name()}:\n")
            # Not print_stack: it looks for the lines' text, and fails where compiled code has none.
            for frame in task.get_stack():
                code = frame.f_code
                STDERR.write(
                    f'  File "{code.co_filename}", line {frame.f_lineno} in {code.co_name}\n'
                )
