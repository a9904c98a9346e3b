"""Looking at a run while it lasts: how long lanes stand still, how much memory and how many files
workers take.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from confluent_kafka import KafkaException

from tests.harness.exactness.disturbing import Group
from tests.harness.exactness.plan import PARTITIONS, Plan
from tests.harness.exactness.settling import positions
from tests.harness.reference.reading import Reader


def unstarved() -> float:
    """A clock that stands while this machine has more to do than cores (Linux's pressure stall
    information; a plain monotonic clock elsewhere), seconds: what did not move then may have had no
    turn.
    """
    try:
        first = Path("/proc/pressure/cpu").read_text().splitlines()[0]
    except OSError:
        return time.monotonic()
    return time.monotonic() - int(first.rpartition("total=")[2]) / 1e6


@dataclass(slots=True)
class Watch:
    """Looks at the durable positions of every lane, as the state topics tell them, against the ends
    of what it reads.
    """

    plan: Plan
    clock: Callable[[], float] = unstarved
    """Of gaps."""
    look_s: float = 0.5
    """Between two looks."""
    longest_gap_s: float = 0.0
    """Longest time for which a lane had records before it and did not move, while nothing harmed
    it and the machine had time for it.
    """
    gap_of: str = ""
    during: str = ""
    """The fault under way."""
    recovery_s: float = 0.0
    """Longest time from the end of a harm until detect moved again."""
    most_memory_mb: float = 0.0
    """Of one worker, resident."""
    most_files: int = 0
    """Open in one worker."""
    _harmed: bool = False
    _healed_at: float = 0.0
    _recovers_from: float | None = None
    _moved: dict[tuple[str, int], tuple[int, float]] = field(default_factory=dict)

    def harmed(self) -> None:
        """Something is done to the workers, or to what they need."""
        self._harmed = True

    def healed(self) -> None:
        """Nothing keeps them from working any more."""
        self._harmed = False
        self._healed_at, self._recovers_from = self.clock(), time.monotonic()

    async def run(self, group: Group) -> None:
        """Looks until cancelled."""
        with Reader(self.plan.broker) as reader:
            while True:
                self._look_at(group)
                if not self._harmed:
                    # What the broker does not tell now it tells at the next look.
                    with contextlib.suppress(KafkaException):
                        await asyncio.to_thread(self._look, reader)
                await asyncio.sleep(self.look_s)

    def _look(self, reader: Reader) -> None:
        names = self.plan.names
        for stage, topic in (
            ("detect", names.telemetry),
            ("correlate", names.anomalies),
            ("alert", names.incidents),
        ):
            ends = reader.ends(topic, PARTITIONS)
            at = positions(self.plan, reader, stage)
            for lane, (here, end) in enumerate(zip(at, ends, strict=True)):
                self._see(stage, lane, here, end)

    def _see(self, stage: str, lane: int, here: int, end: int) -> None:
        now = self.clock()
        before, since = self._moved.get((stage, lane), (-1, now))
        if here != before or here >= end:
            self._moved[stage, lane] = (here, now)
            if stage == "detect" and here > before >= 0 and self._recovers_from is not None:
                self.recovery_s = max(self.recovery_s, time.monotonic() - self._recovers_from)
                self._recovers_from = None
            return
        gap = now - max(since, self._healed_at)
        if not self._harmed and gap > self.longest_gap_s:
            self.longest_gap_s = gap
            self.gap_of = f"{stage}/{lane} at {here} of {end} during {self.during}"

    def _look_at(self, group: Group) -> None:
        for member in group.members.values():
            if member.pid is not None:
                # It may be gone by now.
                with contextlib.suppress(psutil.Error):
                    process = psutil.Process(member.pid)
                    self.most_memory_mb = max(self.most_memory_mb, process.memory_info().rss / 1e6)
                    self.most_files = max(self.most_files, process.num_fds())
