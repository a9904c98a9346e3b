"""One lane while a worker owns it."""

import asyncio
from dataclasses import dataclass, field

from streams.lane.idle_timer import IdleTimer
from streams.lane.program import LaneProgram
from streams.lane.state_store import TopicRecords
from streams.state.position import Position


@dataclass(slots=True)
class Lane:
    """One partition, its program, and how much of the program's state is durable."""

    partition: int
    program: LaneProgram
    position: Position
    """The next record to be processed."""
    durable: int
    """The offset up to which state is committed: what the consumer group may commit."""
    flushed_at: float
    """When state was last committed, monotonic seconds."""
    idle: IdleTimer
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held from a step until its outputs are acknowledged, and during a flush."""
    with_state: list[TopicRecords] = field(default_factory=list)
    """Records that the next flush commits together with state."""
    pending: int = 0
    """Number of records in `with_state`."""
    unflushed: bool = False
    """Whether the program has state that is not committed."""
    flush_cost_s: float = 0.0
    """CPU seconds of the last flush."""
    flushes: int = 0
    flushing: asyncio.Task[None] | None = None
    """The last flush that was started because it was due."""
    strayed_at: float | None = None
    """Since when all blocks have begun after `position`, monotonic seconds."""
    lag: int = 0
    """Offsets to the end of the log when it was last known."""
