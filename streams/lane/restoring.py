"""A lane's start: opened in the state store, restored, and set to where it continues."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import structlog

from streams import metrics
from streams.lane.idle_timer import IdleTimer
from streams.lane.lane import Lane
from streams.lane.ports import CatchesUp, InputLogs
from streams.lane.program import Stage
from streams.lane.state_store import StateStore, StoredLane
from streams.settings import Lanes as Limits
from streams.state.position import Log, start_of

_log = structlog.get_logger("sentinel.lanes")


class Restorer:
    """Takes lanes of one stage over from their previous owners."""

    def __init__(
        self,
        stage: Stage,
        limits: Limits,
        store: StateStore,
        logs: InputLogs,
        followed: CatchesUp,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
        on_progress: Callable[[], None],
    ) -> None:
        self._stage, self._limits, self._store = stage, limits, store
        self._logs, self._followed = logs, followed
        self._monotonic, self._wall, self._on_progress = monotonic, wall, on_progress

    async def restore(self, partitions: Sequence[int]) -> dict[int, Lane]:
        """Return the lanes, ready to step; if it raises, none is open.

        Raises:
            Refused, NewerState: a lane must not start.
        """
        logs = await self._logs.describe(partitions)
        stored = await self._store.open(partitions, self._on_progress)
        lanes = {}
        async with AsyncExitStack() as unless_done:
            # A bug, a refusal, or the next rebalance, which cancels this one: in no case may the
            # lanes stay open here.
            unless_done.push_async_callback(self._close, partitions)
            # The lanes' last owner may have known settings that this worker has not read yet.
            await self._followed.catch_up()
            for partition in partitions:
                # Popped: a lane's rows are not kept while the next lane is restored.
                lanes[partition] = await self._started(
                    partition, stored.pop(partition), logs[partition]
                )
            unless_done.pop_all()
        return lanes

    async def _close(self, partitions: Sequence[int]) -> None:
        # Each is closed, whatever the others raise.
        await asyncio.gather(
            *[self._store.close(partition) for partition in partitions], return_exceptions=True
        )

    async def _started(self, partition: int, stored: StoredLane, log: Log) -> Lane:
        stage = self._stage.name
        committed = None if stored.position is not None else await self._logs.committed(partition)
        start = start_of(f"{stage}/{partition}", stored.position, committed, log)
        if start.jumped:
            metrics.JUMPED.labels(stage, partition).inc(start.jumped)
            _log.error(
                "lane.jumped",
                stage=stage,
                lane=partition,
                records=start.jumped,
                begin=log.begin,
            )
        metrics.begin_lane(stage, partition, start.position.offset)
        # A new program for each owner: nothing of an earlier assignment is carried over.
        program = self._stage.new_lane(partition)
        program.restore(stored.rows)
        lane = Lane(
            partition,
            program,
            start.position,
            durable=start.position.offset,
            flushed_at=self._monotonic(),
            idle=self._idle_since(program.last_append),
        )
        if start.first or start.jumped:
            # The position is committed before the first block is processed: a worker that dies at
            # once leaves its successor a position, not a guess.
            await self._store.commit(partition, start.position)
        return lane

    def _idle_since(self, last_append: int | None) -> IdleTimer:
        """A timer to which the time without an owner counts too."""
        now, after_s = self._monotonic(), self._limits.tick_after_s
        # Never negative: the broker's clock may be ahead.
        away_s = 0.0 if last_append is None else max(self._wall() - last_append / 1e6, 0.0)
        return IdleTimer(
            after_s, moved_at=now - away_s, moved_append=last_append, asked_at=now - after_s
        )
