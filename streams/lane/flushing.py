"""Flushes: when a lane's state is due to be committed, and the commit."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from streams import metrics
from streams.lane.lane import Lane
from streams.lane.state_store import StateStore
from streams.settings import Lanes as Limits

_FLUSH_WAIT_S: Final = 0.1
"""How long other lanes wait for one lane's flush: longer than nearly all of them last, so that few
are in progress at once.
"""


@dataclass(slots=True)
class CpuTime:
    """CPU seconds of this thread, and those spent in steps.

    While a flush waits for the broker, other lanes step; that time is not part of the flush's cost.
    """

    now: Callable[[], float] = time.thread_time
    in_steps_s: float = 0.0

    def outside_steps_s(self) -> float:
        """CPU seconds spent on everything but steps."""
        return self.now() - self.in_steps_s


class Flusher:
    """Commits the state of a stage's lanes, each in transactions of its own."""

    def __init__(
        self,
        stage: str,
        lanes: Mapping[int, Lane],
        limits: Limits,
        store: StateStore,
        cpu: CpuTime,
        monotonic: Callable[[], float],
    ) -> None:
        """`lanes` are those owned at any time, by partition."""
        self._stage, self._lanes, self._limits, self._store = stage, lanes, limits, store
        self._cpu, self._monotonic = cpu, monotonic
        self._tasks: set[asyncio.Task[None]] = set()

    async def flush(self, lane: Lane) -> None:
        """Commit a lane's changes; its lock is held by the caller. Raises what the store raises."""
        wall, cpu = self._monotonic(), self._cpu.outside_steps_s()
        others, lane.with_state, lane.pending = lane.with_state, [], 0
        # If this raises, the process must end: `changes` has marked the rows as unchanged, and the
        # records are in no list any more.
        count = await self._store.commit(
            lane.partition, lane.position, lane.program.changes(), others
        )
        lane.durable = lane.position.offset
        lane.unflushed = False
        lane.flushes += 1
        lane.flushed_at = self._monotonic()
        lane.flush_cost_s = self._cpu.outside_steps_s() - cpu
        metrics.DURABLE.labels(self._stage, lane.partition).set(lane.durable)
        metrics.FLUSH_SECONDS.labels(self._stage).observe(lane.flushed_at - wall)
        metrics.FLUSH_ROWS.labels(self._stage).inc(count)

    async def flush_all(self) -> None:
        """Commit the changes of every lane."""
        await asyncio.gather(
            *[self._flush_owned(lane) for lane in self._lanes.values() if lane.unflushed]
        )

    async def flush_due(self) -> None:
        """Flush the lanes that are due, one after the other.

        A lane whose step or commit waits for an acknowledgement holds up no other: its flush
        continues in the background after `_FLUSH_WAIT_S`. Raises what any flush failed with, in
        this call or since the last.
        """
        for lane in list(self._lanes.values()):
            # Before each flush: a lane whose flush failed must not be flushed again without the
            # changes that were in it.
            self._raise_failed()
            if self._is_due(lane):
                lane.flushing = asyncio.create_task(
                    self._flush_owned(lane), name=f"sentinel-flush-{lane.partition}"
                )
                self._tasks.add(lane.flushing)
                await asyncio.wait({lane.flushing}, timeout=_FLUSH_WAIT_S)
        self._raise_failed()

    async def finish(self) -> None:
        """Wait for flushes that are in progress. Raises what they failed with."""
        await asyncio.gather(*self._tasks)

    def _is_due(self, lane: Lane) -> bool:
        # The interval stretches, so that the flushes of all lanes together cost a limited share of
        # the CPU.
        interval = lane.flush_cost_s / self._limits.flush_cpu_share * len(self._lanes)
        interval = min(max(interval, self._limits.flush_min_s), self._limits.flush_max_s)
        is_flushing = lane.flushing is not None and not lane.flushing.done()
        return (
            lane.unflushed and not is_flushing and self._monotonic() - lane.flushed_at >= interval
        )

    def _raise_failed(self) -> None:
        done = {task for task in self._tasks if task.done()}
        self._tasks -= done
        faults = [fault for task in done if (fault := task.exception()) is not None]
        if len(faults) > 1:
            raise BaseExceptionGroup("several lanes could not be flushed", faults)
        for fault in faults:
            raise fault

    async def _flush_owned(self, lane: Lane) -> None:
        async with lane.lock:
            # While this waited for the lock, the lane may have been flushed or released.
            if self._lanes.get(lane.partition) is lane and lane.unflushed:
                await self.flush(lane)
