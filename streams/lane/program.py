"""What a stage is to the core: how its lanes are made, and what a lane does with a block of
records.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from streams.lane.outgoing import Step
from streams.records.blocks import Block
from streams.records.contents import Reading


class LaneProgram(Protocol):
    """The state of one lane and what is done with its records: a pure function of them in offset
    order, but for `now` where a stage lives in wall-clock time.
    """

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Restores the rows that `changes` returned; called once, before the first step.

        Raises:
            NewerState: a newer program wrote them.
        """
        ...

    def step(self, block: Block) -> Step:
        """Processes a block; its result is carried out before the next call."""
        ...

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Rows changed since the last call; None is a tombstone."""
        ...

    def settings_named(self, block: Block) -> set[str]:
        """Settings versions that the block's control records name and that must be known before
        `step`.
        """
        ...

    @property
    def wants_ticks(self) -> bool:
        """Whether a partition without records needs ticks, which move its time."""
        ...

    @property
    def last_append(self) -> int | None:
        """Append time of the last record that moved the lane's time, µs; None when there was none,
        or the program has no event time. The first tick after a restart counts from it.
        """
        ...


class LaneFactory(Protocol):
    """Makes the program of a lane."""

    def __call__(self, partition: int) -> LaneProgram: ...


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its name, the topics that it reads and keeps state in, and its lanes."""

    name: str
    topic: str
    state_topic: str
    group: str
    new_lane: LaneFactory
    reading: Reading = field(default_factory=Reading)
    """How its batches are read, but for the bound of their size, which is a limit of lanes."""
