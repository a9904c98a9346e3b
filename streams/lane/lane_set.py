"""The lanes of one stage in one worker: which are owned, and what may be done with them when."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any, Final, TypeVar

from streams import metrics
from streams.lane.effects import Effect
from streams.lane.flushing import CpuTime, Flusher
from streams.lane.lane import Lane
from streams.lane.outgoing import Step
from streams.lane.ports import CatchesUp, InputLogs, KnownSettings, Sender
from streams.lane.program import LaneProgram, Stage
from streams.lane.restoring import Restorer
from streams.lane.state_store import StateStore
from streams.lane.stepping import Stepper
from streams.process.allocation import give_back
from streams.records.blocks import Block
from streams.settings import Lanes as Limits
from streams.state.position import Displaced

_REBALANCE_LOOK_S: Final = 0.1
"""Interval at which work that waits for the end of a rebalance checks for it, seconds."""
_STRAY_S: Final = 5.0
"""For how long all blocks may begin after a lane's position, seconds: a rebalance leaves a few."""

P = TypeVar("P", bound=LaneProgram)


class LaneSet:
    """The lanes of one stage in one worker.

    A lane is suspended before each rebalance and steps again after `assign`; blocks that come
    meanwhile are dropped, since they come again from the position on.
    """

    def __init__(
        self,
        stage: Stage,
        limits: Limits,
        store: StateStore,
        sender: Sender,
        logs: InputLogs,
        followed: CatchesUp,
        *,
        settings: KnownSettings | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        cpu_time: Callable[[], float] = time.thread_time,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.stage = stage
        self._limits, self._store, self._logs, self._settings = limits, store, logs, settings
        self._monotonic = monotonic
        self._lanes: dict[int, Lane] = {}
        self._suspended = asyncio.Event()
        self._suspended.set()
        self.moves = 0
        """Grows with everything that a lane does; the watchdog watches it."""
        # Bounded by the lanes, which bound how many of their effects wait for an outcome.
        self.effects: asyncio.Queue[tuple[int, LaneProgram, Effect]] = asyncio.Queue()
        """Effects whose decision is durable, for the outbox."""
        cpu = CpuTime(cpu_time)
        self._flusher = Flusher(stage.name, self._lanes, limits, store, cpu, monotonic)
        self._stepper = Stepper(
            stage.name, sender, self._flusher, self.effects, cpu, monotonic, self._moved
        )
        self._restorer = Restorer(
            stage, limits, store, logs, followed, monotonic, wall, self._moved
        )

    @property
    def lanes(self) -> Mapping[int, Lane]:
        """The lanes owned now, by partition."""
        return self._lanes

    def durable_position(self, partition: int) -> int | None:
        """Return the offset that the consumer group may commit: never more than state covers."""
        lane = self._lanes.get(partition)
        return None if lane is None else lane.durable

    async def suspend(self) -> None:
        """Stop stepping before a rebalance, and make all lanes durable."""
        # Set first: a step that waits for its lane's lock then drops its block.
        self._suspended.set()
        await self.flush()

    async def assign(self, partitions: Collection[int]) -> dict[int, int]:
        """Own exactly these lanes: keep, release and restore, then let them step.

        Returns the offset from which each is to be read.

        Raises:
            Refused, NewerState: a lane must not start.
        """
        for partition in set(self._lanes) - set(partitions):
            await self._release(partition)
            metrics.forget_lane(self.stage.name, partition)
        if not partitions:
            # Either there are more workers than lanes, or the topic was deleted: then this raises.
            await self._logs.describe([])
        new = sorted(set(partitions) - set(self._lanes))
        if new:
            started = self._monotonic()
            self._lanes.update(await self._restorer.restore(new))
            metrics.RECOVERY_SECONDS.labels(self.stage.name).set(self._monotonic() - started)
        # The memory of released lanes, and of the rows that new ones were restored from.
        give_back()
        self._suspended.clear()
        self._moved()
        return {partition: lane.position.offset for partition, lane in self._lanes.items()}

    async def close(self) -> None:
        """Make all lanes durable and release them."""
        await self.suspend()
        await self._flusher.finish()
        for partition in list(self._lanes):
            await self._release(partition)

    async def process(self, block: Block) -> None:
        """Step a lane through a block, in pieces: each is sent and acknowledged before the next.

        Call it for one block of a partition at a time. A block that overlaps the lane's position is
        cut; one that lies before it, or comes while lanes are suspended, is dropped.

        Raises:
            Displaced: the lane's next records are gone from the log.
        """
        for piece in block.in_steps():
            await self._process(piece)
            # A large block is many steps: other work, a heartbeat for example, runs between them.
            await asyncio.sleep(0)

    async def _process(self, block: Block) -> None:
        await self._wait_for_settings(block)
        lane = self._lanes.get(block.partition)
        if lane is None:
            self._drop(block)
            return
        async with lane.lock:
            offset = lane.position.offset
            if block.start > offset or self._suspended.is_set():
                # It belongs to an earlier assignment: records before it have not been processed,
                # and it is fetched again after them.
                self._drop(block)
                self._check_stray(lane)
                return
            lane.strayed_at = None
            if block.next_offset > offset:
                await self._stepper.step(lane, block.from_offset(offset))

    async def run_in_lane(self, partition: int, work: Callable[[P], Step], program: P) -> None:
        """Run work on a lane's program between its blocks, and carry out the step it returns.

        For stages that act on wall-clock time. Does nothing if the lane has another program by now;
        during a rebalance it waits for its end.
        """
        while True:
            lane = self._lanes.get(partition)
            if lane is None or lane.program is not program:
                return
            async with lane.lock:
                if not self._suspended.is_set():
                    await self._stepper.carry_out(lane, work(program))
                    return
            await asyncio.sleep(_REBALANCE_LOOK_S)

    async def flush_due(self) -> None:
        """Flush the lanes that are due. Raises what any flush failed with since the last call."""
        await self._flusher.flush_due()

    async def flush(self) -> None:
        """Make every lane durable."""
        await self._flusher.flush_all()

    def lanes_with_work(self) -> dict[int, int]:
        """Return the lanes that have something to do, with a number that grows as they do it.

        That is records before them, as far as the broker has reported, or state that should have
        been flushed. The watchdog calls it from another thread.
        """
        lanes = list(self._lanes.items())
        due = self._monotonic() - self._limits.flush_max_s
        return {
            partition: lane.position.offset + lane.flushes
            for partition, lane in lanes
            # The second condition: a lane that has processed its last record, and waits for an
            # acknowledgement that never comes, has no lag.
            if lane.lag > 0 or (lane.unflushed and lane.flushed_at < due)
        }

    def idle_partitions(self) -> dict[int, int]:
        """Return the partitions that need a tick, with the µs for which nothing moved their time.

        Each is returned once until its lane has processed a record. Records that move no time, late
        and bad ones, replace no tick: they would hide that everything else is silent.
        """
        if self._suspended.is_set():
            return {}
        now = self._monotonic()
        return {
            partition: lane.idle.ask(now)
            for partition, lane in self._lanes.items()
            if lane.idle.is_due(now) and lane.program.wants_ticks
        }

    async def _release(self, partition: int) -> None:
        # Removed before the first await: nothing may step it while its store closes.
        del self._lanes[partition]
        await self._store.close(partition)

    async def _wait_for_settings(self, block: Block) -> None:
        """Wait until the settings versions that the block names are known.

        Without the lane's lock, since the wait may be long, and the lane's state is flushed
        meanwhile.
        """
        lane = self._lanes.get(block.partition)
        if (
            lane is not None
            and not self._suspended.is_set()
            and block.next_offset > lane.position.offset
        ):
            for version in lane.program.settings_named(block):
                if self._settings is None:
                    raise TypeError(f"{self.stage.name} names settings {version}, and reads none")
                await self._unless_suspended(self._settings.wait_for(version))

    async def _unless_suspended(self, waiting: Coroutine[Any, Any, None]) -> None:
        """Wait until lanes are suspended at the latest: what is waited for may never come, and the
        block is fetched again after the rebalance.
        """
        tasks = [asyncio.create_task(waiting), asyncio.create_task(self._suspended.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _check_stray(self, lane: Lane) -> None:
        """Raise Displaced when only later blocks have come for a while: retention has deleted the
        records between, and the lane would wait for them for ever.
        """
        now = self._monotonic()
        lane.strayed_at = lane.strayed_at or now
        if now - lane.strayed_at > _STRAY_S and not self._suspended.is_set():
            raise Displaced(
                f"lane {self.stage.name}/{lane.partition}: the log continues after offset"
                f" {lane.position.offset}, its next records were deleted; restarting from the"
                " oldest record that is left"
            )

    def _drop(self, block: Block) -> None:
        metrics.STALE_BLOCKS.labels(self.stage.name, block.partition).inc()

    def _moved(self) -> None:
        self.moves += 1
