"""A step: a block through a lane's program, and everything that the step returned."""

import asyncio
from collections.abc import Callable
from typing import Final

from streams import metrics
from streams.lane.dead_letter_log import DeadLetterLog
from streams.lane.effects import Effect
from streams.lane.fact_metrics import count_facts
from streams.lane.flushing import CpuTime, Flusher
from streams.lane.lane import Lane
from streams.lane.outgoing import Step
from streams.lane.ports import Sender
from streams.lane.program import LaneProgram
from streams.records.blocks import Block
from streams.state.position import Position

MAX_PENDING: Final = 20_000
"""Records that may wait for the next flush's transaction; more cause a flush at once, which bounds
memory.
"""


class Stepper:
    """Steps the lanes of one stage. The caller holds the lane's lock."""

    def __init__(
        self,
        stage: str,
        sender: Sender,
        flusher: Flusher,
        effects: asyncio.Queue[tuple[int, LaneProgram, Effect]],
        cpu: CpuTime,
        monotonic: Callable[[], float],
        on_progress: Callable[[], None],
    ) -> None:
        """`effects` receives those of steps whose state is durable."""
        self._stage, self._sender, self._flusher, self._effects = stage, sender, flusher, effects
        self._cpu, self._monotonic, self._on_progress = cpu, monotonic, on_progress
        self._dead_letters = DeadLetterLog(stage, monotonic)

    async def step(self, lane: Lane, block: Block) -> None:
        """Process a block that begins at the lane's position; returns when it is carried out."""
        began = self._cpu.now()
        step = lane.program.step(block)
        self._cpu.in_steps_s += self._cpu.now() - began
        lane.position = Position(block.next_offset, lane.position.topic_id)
        # A block without records is a transaction's marker, which moves no time.
        if len(block):
            lane.idle.on_record(lane.program.last_append, self._monotonic())
        await self.carry_out(lane, step)
        # Metrics of position and progress show only what is carried out.
        self._count(lane, block, step)

    async def carry_out(self, lane: Lane, step: Step) -> None:
        """Send the outputs, flush if the step needs it, and hand effects to the outbox."""
        lane.with_state.extend(step.with_state)
        lane.pending += sum(len(values) for _, _, values in step.with_state)
        lane.unflushed = True
        # Outputs first: a state that is durable without them would never send them again.
        if step.now:
            await self._sender.send(step.now)
        # A side effect of a decision that is not durable would be decided, and run, once more.
        if step.flush or step.effects or lane.pending > MAX_PENDING:
            await self._flusher.flush(lane)
        # After the acknowledgements: what a fenced worker did not carry out, its successor counts.
        count_facts(self._stage, lane.partition, step.facts)
        for effect in step.effects:
            self._effects.put_nowait((lane.partition, lane.program, effect))

    def _count(self, lane: Lane, block: Block, step: Step) -> None:
        name = self._stage
        self._on_progress()
        metrics.RECORDS.labels(name, lane.partition).inc(len(block))
        metrics.EVENTS.labels(name, lane.partition).inc(step.events)
        metrics.POSITION.labels(name, lane.partition).set(lane.position.offset)
        metrics.PROGRESS.labels(name, lane.partition).set_to_current_time()
        metrics.STEP_RECORDS.labels(name).observe(len(block))
        if step.bad:
            self._dead_letters.note(step.now)
        else:
            self._dead_letters.log_due()
        if step.late:
            metrics.LATE_EVENTS.labels(name, lane.partition).inc(step.late)
