"""Who is killed when, and when a second worker of detect joins and leaves."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.exactness_run.workers import Member, until

_STAGES: Final = ("detect", "detect", "detect", "correlate", "alert")
"""Detect dies more often than the others together: it has most to lose."""

_MOST_PAUSE_S: Final = 2.5
"""Longest wait between a worker's good work and the next death, seconds; in between every moment is as likely."""

_EARLY: Final = 0.2
"""Share of kills that do not wait until what was killed before works again."""

_MOST_EARLY_S: Final = 4.0
_READY_S: Final = 90.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill of the schedule."""

    stage: str
    early: bool
    pause_s: float
    """After good work, or, if `early`, after the kill before."""


def schedule(kills: int, seed: int) -> list[Kill]:
    """The kills in order; every stage has one if there are enough."""
    rng = random.Random(seed)
    stages = [*dict.fromkeys(_STAGES)][:kills]
    stages += [rng.choice(_STAGES) for _ in range(kills - len(stages))]
    rng.shuffle(stages)
    made = []
    for number, stage in enumerate(stages):
        early = number > 0 and rng.random() < _EARLY
        made.append(Kill(stage, early, rng.uniform(0.0, _MOST_EARLY_S if early else _MOST_PAUSE_S)))
    return made


@dataclass(slots=True)
class Group:
    """The workers of the run, by name."""

    config: Path
    folder: Path
    members: dict[str, Member]

    @staticmethod
    def of(stages: tuple[str, ...], config: Path, folder: Path) -> "Group":
        """One worker of each stage, not yet started."""
        return Group(config, folder, {stage: Member(stage, stage, config, folder) for stage in stages})

    def add(self, name: str, stage: str) -> Member:
        """One more worker of a stage, started."""
        member = self.members[name] = Member(name, stage, self.config, self.folder)
        member.start()
        return member

    def of_stage(self, stage: str) -> list[Member]:
        """The workers of a stage that have not left."""
        return [member for member in self.members.values() if member.stage == stage and not member.has_left]

    async def drop(self) -> None:
        """Ends all processes, however they are."""
        await asyncio.gather(*[member.drop() for member in self.members.values()])


async def disturb(group: Group, kills: list[Kill], seed: int, say: Say) -> None:
    """Carries the schedule out. A second worker of detect joins after a third of the kills, and leaves in order after two thirds.

    Raises BenchmarkFailed when a stage does not come back.
    """
    rng = random.Random(seed + 1)
    joins, leaves = len(kills) // 3, max(len(kills) * 2 // 3, len(kills) // 3 + 1)
    hit: Member | None = None
    for number, kill in enumerate(kills):
        if number == joins:
            await _works(group.add("detect-2", "detect"))
            say("a second worker of detect has joined")
        if number == leaves:
            await _leaves(group.members["detect-2"], say)
        if hit is not None and not kill.early:
            await _works(hit)
        await asyncio.sleep(kill.pause_s)
        hit = rng.choice(group.of_stage(kill.stage))
        await until(hit.kill, _READY_S, f"{hit.name} does not run")
        say(f"kill {number + 1} of {len(kills)}: {hit.name}" + (", early" if kill.early else ""))
    for member in list(group.members.values()):
        if not member.has_left:
            await _works(member)
    if "detect-2" in group.members and not group.members["detect-2"].has_left:
        await _leaves(group.members["detect-2"], say)


async def _leaves(member: Member, say: Say) -> None:
    """Ends a worker in order, once it works: one that is told to end while it starts just ends."""
    await _works(member)
    await member.leave()
    say("the second worker of detect has left")


async def _works(member: Member) -> None:
    """Until it is ready, and, if its stage always has something to do, has made something durable since it started."""
    await until(member.is_ready, _READY_S, f"{member.name} is not ready")
    if member.stage == "detect":

        async def has_flushed() -> bool:
            return await member.durable() > 0

        await until(has_flushed, _READY_S, f"{member.name} flushes nothing")
