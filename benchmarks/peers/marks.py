"""How far an engine is, and what it has used by then."""

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Final

import psutil

from tests.harness.processes import Usage, usage
from tests.harness.showing import BenchmarkFailed

WARM_UP: Final = 0.1
"""Share of an engine's events before it is measured: caches fill, and Python specialises. Kafka
Streams has had a run of its own before.
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """Events taken in so far, what the process and its children have used by then, and its memory,
    megabytes.
    """

    events: int
    usage: Usage
    rss_mb: float


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured between the end of the warm-up and the last event."""

    events: int
    cpu_s: float
    wall_s: float
    rss_mb: float

    @property
    def events_per_cpu_s(self) -> int:
        """User and system time of all threads."""
        return round(self.events / self.cpu_s)


def mark(pid: int, events: int) -> Mark:
    """Looks at a process now. Raises psutil.NoSuchProcess."""
    own = usage(pid)
    cpu_s, rss = own.cpu_s, psutil.Process(pid).memory_info().rss
    for child in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = child.cpu_times()
            cpu_s, rss = cpu_s + times.user + times.system, rss + child.memory_info().rss
    return Mark(events, Usage(cpu_s, own.wall_s), rss / 2**20)


def speed(marks: Sequence[Mark], events: int) -> Speed:
    """From the first mark after the warm-up to the first that has all `events`. Raises
    BenchmarkFailed when these are one.
    """
    warm = [each for each in marks if each.events >= WARM_UP * events]
    last = next((each for each in warm if each.events >= events), None)
    if last is None:
        raise BenchmarkFailed(
            f"the engine took {marks[-1].events if marks else 0:,} of {events:,} events"
        )
    used = last.usage.since(warm[0].usage)
    if last is warm[0] or used.cpu_s <= 0:
        raise BenchmarkFailed(
            "the events were over before they could be measured; give more --events"
        )
    return Speed(
        last.events - warm[0].events, used.cpu_s, used.wall_s, max(each.rss_mb for each in marks)
    )


@dataclass(slots=True)
class Listener:
    """Reads `SEEN n` from an engine's standard output in a thread of its own, and looks at the
    process each time.
    """

    pid: int
    output: IO[str]
    marks: list[Mark] = field(default_factory=list)

    def start(self) -> None:
        """Listens until the output ends."""
        threading.Thread(target=self._listen, daemon=True).start()

    def seen(self) -> int:
        """Events taken in so far."""
        return self.marks[-1].events if self.marks else 0

    def _listen(self) -> None:
        for line in self.output:
            word, _, count = line.partition(" ")
            if word == "SEEN":
                with contextlib.suppress(psutil.NoSuchProcess):
                    self.marks.append(mark(self.pid, int(count)))
