"""Runs the effects of lanes beside the lanes: a slow one holds up no lane and no other queue."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol, runtime_checkable
from weakref import WeakSet

from streams.lane.effects import Effect, RetryAt
from streams.lane.lane_set import LaneSet
from streams.lane.outgoing import Step
from streams.lane.program import LaneProgram

_LOOK_EVERY_S: Final = 0.2
"""Seconds between looks for lanes that came with a rebalance: a comparison for each lane."""
_MAX_ATTEMPTS: Final = 64
"""Attempts under way at a time in one queue; effects that wait for their next one do not count."""


class EffectKind(Protocol):
    """How effects of one kind are run."""

    def queue(self, effect: Effect) -> str:
        """Name of the queue that the effect waits in; a queue that hangs holds up no other."""

    async def attempt(self, effect: Effect, attempt: int) -> object | RetryAt:
        """Make one attempt, the attempt-th since the effect came here (1, 2, …).

        Returns the outcome, or RetryAt, which only this kind's retry policy decides. A fault of the
        outside world is an outcome; whatever is raised ends the worker.
        """

    async def close(self) -> None:
        """Close connections."""


@runtime_checkable
class EffectProgram(LaneProgram, Protocol):
    """A lane program with effects."""

    def pending(self) -> list[Effect]:
        """Effects that the restored state says were decided and have no outcome."""

    def is_pending(self, effect_id: str) -> bool:
        """Whether this effect was decided and has no outcome yet."""

    def ended(self, effect: Effect, outcome: object, attempt: int) -> Step:
        """Note the outcome of an effect after `attempt` attempts."""


class Outbox:
    """Runs every effect until its outcome is known, and reports it back through the lane.

    It holds no state that must survive: pending effects are in the lanes' state, and the next owner
    of a lane runs them again, under the same ids.
    """

    def __init__(self, kinds: Mapping[str, EffectKind], now: Callable[[], int]) -> None:
        self._kinds, self._now = kinds, now
        self._under_way: set[tuple[int, str]] = set()
        self._resumed: WeakSet[LaneProgram] = WeakSet()
        self._slots: defaultdict[tuple[str, str], asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(_MAX_ATTEMPTS)
        )

    async def run(self, lanes: LaneSet) -> None:
        """Runs effects until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._resume(lanes))
                while True:
                    self._begin(group, lanes, *await lanes.effects.get())
        finally:
            for kind in self._kinds.values():
                await kind.close()

    def _begin(
        self,
        group: asyncio.TaskGroup,
        lanes: LaneSet,
        partition: int,
        program: LaneProgram,
        effect: Effect,
    ) -> None:
        if not isinstance(program, EffectProgram):
            raise TypeError(f"{type(program).__name__} cannot note outcomes of effects")
        # An effect may come twice: from the step that decided it, and from the search for what
        # its restored lane still has to run. By then its outcome may be known.
        key = (id(program), effect.id)
        if key not in self._under_way and program.is_pending(effect.id):
            self._under_way.add(key)
            group.create_task(self._run(lanes, partition, program, effect))

    async def _resume(self, lanes: LaneSet) -> None:
        """Runs again the pending effects of each lane that was restored."""
        while True:
            # Nothing here refers to a lane while it sleeps: the state of a lane that was revoked
            # is freed, however large.
            self._resume_new(lanes)
            await asyncio.sleep(_LOOK_EVERY_S)

    def _resume_new(self, lanes: LaneSet) -> None:
        for partition, owned in list(lanes.lanes.items()):
            program = owned.program
            if program in self._resumed:
                continue
            self._resumed.add(program)
            if isinstance(program, EffectProgram):
                for effect in program.pending():
                    lanes.effects.put_nowait((partition, program, effect))

    async def _run(
        self, lanes: LaneSet, partition: int, program: EffectProgram, effect: Effect
    ) -> None:
        try:
            kind = self._kinds[effect.kind]
            attempt = 0
            # The lane's next owner runs the effect again, under the same id.
            while _is_owned(lanes, partition, program):
                attempt += 1
                async with self._slots[effect.kind, kind.queue(effect)]:
                    outcome = await kind.attempt(effect, attempt)
                if isinstance(outcome, RetryAt):
                    await asyncio.sleep(max(outcome.at - self._now(), 0) / 1e6)
                    continue
                await lanes.run_in_lane(
                    partition, partial(_ended, effect, outcome, attempt), program
                )
                return
        finally:
            self._under_way.discard((id(program), effect.id))


def _ended(effect: Effect, outcome: object, attempt: int, program: EffectProgram) -> Step:
    return program.ended(effect, outcome, attempt)


def _is_owned(lanes: LaneSet, partition: int, program: LaneProgram) -> bool:
    owned = lanes.lanes.get(partition)
    return owned is not None and owned.program is program
