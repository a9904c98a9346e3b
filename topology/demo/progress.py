"""Decides whether the demo's processes make progress, so that the demo waits only while they do.

A slow machine is not a fault: a process that computes, reads on, or has nothing to do makes
progress, however long it takes. One that does none of these is stuck, and so is one that dies at
every start.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

STUCK_AFTER_S: Final = 60.0
"""Seconds without progress after which a process counts as stuck: many times the wait for a broker
or a group.
"""

WORKED_S: Final = 0.5
"""CPU seconds that count as progress. A process that only waits and polls takes some percent of a
core: less than this in `STUCK_AFTER_S`.
"""

MAX_DEATHS: Final = 3
"""Deaths without progress in between after which a process counts as failing at every start."""

_LAST_LINES: Final = 5
_TAIL_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True)
class Seen:
    """One process at one moment."""

    pid: int | None
    """None while it does not run."""
    ready: bool = False
    idle: bool = False
    """Ready, and with nothing left to do."""
    positions: Mapping[str, float] = field(default_factory=dict)
    """How far it has read, by lane or partition."""
    cpu_s: float | None = None
    """CPU that it has used since its start, seconds. None where the system does not say: then it
    counts as moving.
    """


@dataclass(slots=True)
class Progress:
    """Progress of one process over time. Times are monotonic seconds."""

    name: str
    moved_at: float
    seen: Seen = Seen(None)
    _counted_s: float = 0.0
    _deaths: list[str] = field(default_factory=list)

    def look(self, seen: Seen, now: float) -> None:
        """Note another observation of it."""
        if seen.pid != self.seen.pid:
            # CPU time starts at 0 with each process.
            self._counted_s = 0.0
        further = seen.ready and (not self.seen.ready or seen.positions != self.seen.positions)
        worked = seen.cpu_s is None or seen.cpu_s >= self._counted_s + WORKED_S
        # CPU alone does not clear deaths: a process that fails at every start computes too.
        if seen.idle or further:
            self._deaths.clear()
        if seen.idle or further or (worked and seen.pid is not None):
            self.moved_at, self._counted_s = now, seen.cpu_s or 0.0
        self.seen = seen

    def died(self, cause: str) -> None:
        """It ended unexpectedly."""
        self._deaths.append(cause)

    def stuck(self, now: float) -> str | None:
        """Why it is stuck; None while it may make progress."""
        if len(self._deaths) >= MAX_DEATHS:
            return f"{self.name} ended {len(self._deaths)} times in a row ({self._deaths[-1]})"
        if now - self.moved_at >= STUCK_AFTER_S:
            state = "it has records to read" if self.seen.ready else "it is not ready"
            return f"{self.name} has made no progress for {now - self.moved_at:.0f} s ({state})"
        return None


def cpu_seconds(pid: int) -> float | None:
    """CPU that a process and its threads have used, seconds; 0 for one that ended, None where the
    system does not say (only Linux does).

    >>> (cpu_seconds(os.getpid()) or 1) > 0
    True
    """
    if not Path("/proc/self/stat").exists():
        return None
    try:
        # The name, in parentheses, may hold blanks; user and system time are the 14th and 15th
        # field.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def last_lines(log: Path) -> Iterator[str]:
    """The last lines of a log, for a person who wants to know why."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        # A log may be large; its end is enough.
        file.seek(max(size - _TAIL_BYTES, 0))
        text = file.read().decode(errors="replace")
    yield from [line for line in text.splitlines() if line.strip()][-_LAST_LINES:]
