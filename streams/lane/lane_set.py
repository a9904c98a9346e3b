"""A worker's lanes: who owns them, what becomes of a block, when state is made durable."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import structlog

from streams import metrics
from streams.lane.dead_letter_log import RefusalLog
from streams.lane.effects import Effect
from streams.lane.fact_metrics import count_facts
from streams.lane.outgoing import Outgoing, Step
from streams.lane.program import LaneProgram, Stage
from streams.lane.state_store import StateStore, StoredLane, TopicRecords
from streams.process.allocation import give_back
from streams.records.blocks import Block
from streams.settings import Lanes as Limits
from streams.state.position import Committed, Displaced, Log, Position, start_of

_MOST_PENDING: Final = 20_000
"""Records that wait for a flush's transaction before one is made early; bounds memory."""

_REBALANCE_LOOK_S: Final = 0.1
_TIME_SHARE: Final = 0.5
"""Share of what has passed here that append times must tell, or a tick of ours is due: they may
lag, and ticks of others may say what they like.
"""
_STRAY_S: Final = 5.0
_FLUSH_WAIT_S: Final = 0.1
"""How long other lanes wait for one's flush: longer than nearly all take, so that not all are under
way at once.
"""

P = TypeVar("P", bound=LaneProgram)

_log = structlog.get_logger("sentinel.lanes")


class Sender(Protocol):
    """Produces records that must be durable before the lane goes on."""

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Returns when the broker acknowledged all."""
        ...


class InputLogs(Protocol):
    """What the broker says of the input topic."""

    async def describe(self, partitions: Collection[int]) -> dict[int, Log]:
        """Id, begin and end of each partition."""
        ...

    async def committed(self, partition: int) -> Committed | None:
        """What the group committed, if it did."""
        ...


class KnownSettings(Protocol):
    """The immutable configuration versions."""

    async def wait_for(self, version: str) -> None:
        """Returns when the version has been read; a lane waits for one that it does not know yet."""
        ...

    async def catch_up(self) -> None:
        """Returns when all has been read that there is now."""
        ...


@dataclass(slots=True)
class Lane:
    """One partition and all state that its records built. `lock` holds step, awaits and flush
    together.
    """

    partition: int
    program: LaneProgram
    position: Position
    durable: int
    lock: asyncio.Lock
    with_state: list[TopicRecords]
    timed_at: float
    """When its time was last moved on, as far as records with append times and ticks do that; see
    `_time_passes`.
    """
    flushed_at: float
    pending: int = 0
    """Records in `with_state`."""
    flush_cost_s: float = 0.0
    flushes: int = 0
    strayed_at: float | None = None
    """Since when only blocks behind the position's next record have come."""
    lag: int = 0
    """Offsets to the end of the log when last looked."""
    ticked: bool = False
    """Whether a tick is on its way to it: what it measured would be measured again."""
    ticked_at: float = 0.0
    """When one was last asked for."""
    timed_append: int | None = None
    """The program's `last_append` at `timed_at`."""
    flushing: asyncio.Task[None] | None = None
    """Its last flush by `flush_due`."""
    unflushed: bool = False
    """Whether the topic does not have what the lane has."""


class LaneSet:
    """The lanes of one stage in one worker."""

    def __init__(
        self,
        stage: Stage,
        limits: Limits,
        store: StateStore,
        sender: Sender,
        logs: InputLogs,
        settings: KnownSettings,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        cpu_time: Callable[[], float] = time.thread_time,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.stage = stage
        self._limits = limits
        self._store = store
        self._sender = sender
        self._logs = logs
        self._settings = settings
        self._monotonic, self._cpu_time, self._wall = monotonic, cpu_time, wall
        self._refusals = RefusalLog(stage.name, monotonic)
        self._lanes: dict[int, Lane] = {}
        self._suspending = asyncio.Event()
        """Set while they are suspended, for those who wait."""
        self._suspending.set()
        self._flushing: set[asyncio.Task[None]] = set()
        self._suspended = True
        self._stepped_s = 0.0
        """CPU time of all steps, which other lanes take while one is flushed."""
        # Bounded by the lanes, which bound how many of their effects wait for an outcome.
        self.effects: asyncio.Queue[tuple[int, LaneProgram, Effect]] = asyncio.Queue()
        """Effects whose decision is durable, for the outbox."""
        self.moves = 0
        """Grows with everything that a lane does: what a watchdog looks at."""

    @property
    def lanes(self) -> Mapping[int, Lane]:
        """The lanes owned now."""
        return self._lanes

    def durable_position(self, partition: int) -> int | None:
        """What may be committed for the partition: never more than its state covers."""
        lane = self._lanes.get(partition)
        return None if lane is None else lane.durable

    async def suspend(self) -> None:
        """Before a rebalance: flushes; what still comes from Faust's buffers is dropped, since it
        will come again.
        """
        self._suspended = True
        self._suspending.set()
        await self.flush()

    async def assign(self, partitions: Collection[int]) -> dict[int, int]:
        """Keeps the lanes that stay as they are, lets go of those that went, restores the new ones.
        The answer says where to read on.

        Raises:
            Refused, NewerState: a lane must not go on.
        """
        for partition in set(self._lanes) - set(partitions):
            del self._lanes[partition]
            await self._store.close(partition)
            metrics.forget_lane(self.stage.name, partition)
        if not partitions:
            # More workers than lanes, or a topic that is gone: then this raises.
            await self._logs.describe([])
        new = sorted(set(partitions) - set(self._lanes))
        if new:
            started = self._monotonic()
            await self._restore(new)
            metrics.RECOVERY_SECONDS.labels(self.stage.name).set(self._monotonic() - started)
        # Lanes that went, and the logs that new ones were read from.
        give_back()
        self._suspended = False
        self._suspending.clear()
        self._moved()
        return {partition: lane.position.offset for partition, lane in self._lanes.items()}

    async def close(self) -> None:
        """Flushes and lets go of all lanes."""
        await self.suspend()
        await asyncio.gather(*self._flushing)
        for partition in list(self._lanes):
            del self._lanes[partition]
            await self._store.close(partition)

    async def take(self, block: Block) -> None:
        """Carries a block through, piece by piece: step, outputs awaited, position moved. To be
        called for one block of a partition at a time.
        """
        for piece in block.in_steps():
            await self._take(piece)
            # A large block is many steps: what else is to be done, a heartbeat for example, comes
            # between them.
            await asyncio.sleep(0)

    async def _take(self, block: Block) -> None:
        await self._settings_for(block)
        lane = self._lanes.get(block.partition)
        if lane is None:
            self._drop(block)
            return
        async with lane.lock:
            offset = lane.position.offset
            if block.start > offset or self._suspended:
                # Of an old assignment: records between are not taken yet, and these will come again
                # after them.
                self._drop(block)
                self._refuse_to_wait(lane)
                return
            lane.strayed_at = None
            if block.next_offset > offset:
                await self._step(lane, block.from_offset(offset))

    async def flush_due(self) -> None:
        """Flushes the lanes whose interval is over; it stretches so that flushing costs a limited
        share of the CPU.

        One after the other, but each for itself: a lane whose step or commit waits for an
        acknowledgement is left to its flush after a moment, and holds up no other. Raises what any
        of them failed with, in this call or since the last.
        """
        for lane in list(self._lanes.values()):
            # Before the next begins: a lane whose flush failed must not be flushed again without
            # what was in it.
            self._refuse_failed()
            if self._is_due(lane):
                lane.flushing = asyncio.create_task(
                    self._flush_locked(lane), name=f"sentinel-flush-{lane.partition}"
                )
                self._flushing.add(lane.flushing)
                await asyncio.wait({lane.flushing}, timeout=_FLUSH_WAIT_S)
        self._refuse_failed()

    async def flush(self) -> None:
        """Makes every lane durable."""
        await asyncio.gather(
            *[self._flush_locked(lane) for lane in self._lanes.values() if lane.unflushed]
        )

    def behind(self) -> dict[int, int]:
        """Lanes that have something to do, by partition: records before them, as far as the broker
        told, or state that is long due to be durable. Each with a number that grows with its steps
        and flushes.
        """
        lanes = list(self._lanes.items())
        due = self._monotonic() - self._limits.flush_max_s
        return {
            partition: lane.position.offset + lane.flushes
            for partition, lane in lanes
            # A lane that has taken its last record and waits for an acknowledgement that never
            # comes has none before it.
            if lane.lag > 0 or (lane.unflushed and lane.flushed_at < due)
        }

    def quiet(self) -> dict[int, int]:
        """Partitions in which nothing moved time for a while and whose lane needs to know that it
        passes, with the µs that passed. Each is to be ticked, and is named no more until its lane
        has had a record: that of the tick, if nothing else. Records that move no time, late and bad
        ones, do not stand in for ticks: the silence of all others would go unnoticed while they
        come.
        """
        if self._suspended:
            return {}
        now = self._monotonic()
        quiet = {
            partition: lane
            for partition, lane in self._lanes.items()
            if now - max(lane.timed_at, lane.ticked_at) >= self._limits.tick_after_s
            and not lane.ticked
            and lane.program.wants_ticks
        }
        for lane in quiet.values():
            lane.ticked, lane.ticked_at = True, now
        return {partition: round((now - lane.timed_at) * 1e6) for partition, lane in quiet.items()}

    async def act(self, partition: int, work: Callable[[P], Step], program: P) -> None:
        """Lets a lane's program act besides its records, and carries out what it answers; nothing
        happens if the lane is not its any more.

        For a stage that lives in wall-clock time. While a rebalance is on, it waits for its end.
        """
        while True:
            lane = self._lanes.get(partition)
            if lane is None or lane.program is not program:
                return
            async with lane.lock:
                if not self._suspended:
                    await self._carry_out(lane, work(program))
                    return
            await asyncio.sleep(_REBALANCE_LOOK_S)

    async def _restore(self, partitions: Sequence[int]) -> None:
        logs = await self._logs.describe(partitions)
        stored = await self._store.open(partitions, self._moved)
        lanes = {}
        try:
            # What the lanes' last owner knew, this worker may not have read yet.
            await self._settings.catch_up()
            for partition in partitions:
                lanes[partition] = await self._started(
                    partition, stored.pop(partition), logs[partition]
                )
        except BaseException:
            # Another rebalance cancels this one: what was opened is not ours to keep.
            await asyncio.gather(
                *[self._store.close(partition) for partition in partitions], return_exceptions=True
            )
            raise
        self._lanes.update(lanes)

    async def _started(self, partition: int, stored: StoredLane, log: Log) -> Lane:
        committed = None if stored.position is not None else await self._logs.committed(partition)
        start = start_of(f"{self.stage.name}/{partition}", stored.position, committed, log)
        if start.jumped:
            metrics.JUMPED.labels(self.stage.name, partition).inc(start.jumped)
            _log.error(
                "lane.jumped",
                stage=self.stage.name,
                lane=partition,
                records=start.jumped,
                begin=log.begin,
            )
        metrics.begin_lane(self.stage.name, partition, start.position.offset)
        program = self.stage.new_lane(partition)
        program.restore(stored.rows)
        now = self._monotonic()
        # While nobody had the lane, time passed too; a broker's clock that is ahead of ours takes
        # nothing back.
        last = program.last_append
        away_s = 0.0 if last is None else max(self._wall() - last / 1e6, 0.0)
        lane = Lane(
            partition,
            program,
            start.position,
            start.position.offset,
            asyncio.Lock(),
            [],
            timed_at=now - away_s,
            flushed_at=now,
            ticked_at=now - self._limits.tick_after_s,
            timed_append=last,
        )
        if start.first or start.jumped:
            # The position is set before the first block is taken.
            await self._store.commit(partition, start.position)
        return lane

    async def _settings_for(self, block: Block) -> None:
        """Waits for versions that the block names, which may take long; not under the lane's lock,
        so that what it has taken is flushed meanwhile.
        """
        lane = self._lanes.get(block.partition)
        if lane is not None and not self._suspended and block.next_offset > lane.position.offset:
            for version in lane.program.settings_named(block):
                await self._until_suspended(self._settings.wait_for(version))

    async def _until_suspended(self, waiting: Coroutine[Any, Any, None]) -> None:
        """Waits, but no longer than lanes may step: what was waited for may never come, and the
        block comes again.
        """
        tasks = [asyncio.create_task(waiting), asyncio.create_task(self._suspending.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _step(self, lane: Lane, block: Block) -> None:
        began = self._cpu_time()
        step = lane.program.step(block)
        self._stepped_s += self._cpu_time() - began
        lane.position = Position(block.next_offset, lane.position.topic_id)
        if len(block):
            lane.ticked = False
            self._time_passes(lane)
        await self._carry_out(lane, step)
        self._count(lane, block, step)

    def _time_passes(self, lane: Lane) -> None:
        """A record came: whether it moved the lane's time is told by its append time, unless that
        is by much less than what has passed here. Anyone may write ticks that say so, which then do
        not keep ours away.
        """
        now, append, before = self._monotonic(), lane.program.last_append, lane.timed_append
        if append == before:
            return
        moved_us = None if append is None or before is None else append - before
        if (
            moved_us is None
            or moved_us < 0
            or moved_us >= _TIME_SHARE * (now - lane.timed_at) * 1e6
        ):
            lane.timed_at, lane.timed_append = now, append

    async def _carry_out(self, lane: Lane, step: Step) -> None:
        lane.with_state.extend(step.with_state)
        lane.pending += sum(len(values) for _, _, values in step.with_state)
        lane.unflushed = True
        if step.now:
            await self._sender.send(step.now)
        # A side effect of a decision that is not durable would be decided, and run, once more.
        if step.flush or step.effects or lane.pending > _MOST_PENDING:
            await self._flush(lane)
        # Behind the acknowledgements: what a fenced worker did not carry out, its successor counts.
        count_facts(self.stage.name, lane.partition, step.facts)
        for effect in step.effects:
            self.effects.put_nowait((lane.partition, lane.program, effect))

    def _count(self, lane: Lane, block: Block, step: Step) -> None:
        name = self.stage.name
        self._moved()
        metrics.RECORDS.labels(name, lane.partition).inc(len(block))
        metrics.EVENTS.labels(name, lane.partition).inc(step.events)
        metrics.POSITION.labels(name, lane.partition).set(lane.position.offset)
        metrics.PROGRESS.labels(name, lane.partition).set_to_current_time()
        metrics.STEP_RECORDS.labels(name).observe(len(block))
        if step.bad:
            self._refusals.note(step.now)
        else:
            self._refusals.tell_due()
        if step.late:
            metrics.LATE_EVENTS.labels(name, lane.partition).inc(step.late)

    def _moved(self) -> None:
        self.moves += 1

    def _refuse_to_wait(self, lane: Lane) -> None:
        """Blocks that never come again would leave the lane standing for ever: retention took the
        records between.
        """
        now = self._monotonic()
        lane.strayed_at = lane.strayed_at or now
        if now - lane.strayed_at > _STRAY_S and not self._suspended:
            raise Displaced(
                f"lane {self.stage.name}/{lane.partition}: the log goes on behind offset"
                f" {lane.position.offset}; starting again from what is left"
            )

    def _drop(self, block: Block) -> None:
        metrics.STALE_BLOCKS.labels(self.stage.name, block.partition).inc()

    def _is_due(self, lane: Lane) -> bool:
        interval = lane.flush_cost_s / self._limits.flush_cpu_share * len(self._lanes)
        interval = min(max(interval, self._limits.flush_min_s), self._limits.flush_max_s)
        is_flushing = lane.flushing is not None and not lane.flushing.done()
        return (
            lane.unflushed and not is_flushing and self._monotonic() - lane.flushed_at >= interval
        )

    def _refuse_failed(self) -> None:
        done = {task for task in self._flushing if task.done()}
        self._flushing -= done
        faults = [fault for task in done if (fault := task.exception()) is not None]
        if len(faults) > 1:
            raise BaseExceptionGroup("several lanes could not be flushed", faults)
        for fault in faults:
            raise fault

    async def _flush_locked(self, lane: Lane) -> None:
        async with lane.lock:
            if self._lanes.get(lane.partition) is lane and lane.unflushed:
                await self._flush(lane)

    async def _flush(self, lane: Lane) -> None:
        wall, cpu = self._monotonic(), self._cpu_time() - self._stepped_s
        others, lane.with_state, lane.pending = lane.with_state, [], 0
        # If this raises, the process ends: changes and records that were handed over would be lost.
        count = await self._store.commit(
            lane.partition, lane.position, lane.program.changes(), others
        )
        lane.durable = lane.position.offset
        lane.unflushed = False
        lane.flushes += 1
        lane.flushed_at = self._monotonic()
        lane.flush_cost_s = self._cpu_time() - self._stepped_s - cpu
        metrics.DURABLE.labels(self.stage.name, lane.partition).set(lane.durable)
        metrics.FLUSH_SECONDS.labels(self.stage.name).observe(lane.flushed_at - wall)
        metrics.FLUSH_ROWS.labels(self.stage.name).inc(count)
