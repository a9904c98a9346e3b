"""Who is killed when, and when a second worker of detect joins and leaves."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Final

from confluent_kafka.admin import AdminClient

from streams.admin.topics import STAGES
from streams.client.brokers import librdkafka_config
from streams.settings import Broker
from tests.harness.exactness.inbox import Inbox
from tests.harness.exactness.plan import PARTITIONS, Plan
from tests.harness.exactness.sending import Sender
from tests.harness.exactness.storing import SINK
from tests.harness.exactness.workers import AfterDeath, Member, until
from tests.harness.showing import BenchmarkFailed
from topology.supervision.supervisor import sentinel

_STAGES: Final = ("detect", "correlate", "alert", "detect", "detect")
"""Who dies, in turn, before the order is drawn. Detect dies more often than the others together: it
has most to lose.
"""

_MOST_PAUSE_S: Final = 2.5
"""Longest wait between a worker's good work and the next death, seconds; in between every moment is
as likely.
"""

_EARLY: Final = 0.2
"""Share of kills that do not wait until what was killed before works again."""

_RUSHED: Final = 0.7
"""Share of detect's kills before which many events come at once."""

_MOST_EARLY_S: Final = 4.0
_BUSY_S: Final = 6.0
_READY_S: Final = 90.0

_SECOND: Final = "detect-2"

_SMALL_FETCHES: Final = {"SENTINEL_LANES__MAX_FETCH_BYTES": "16384"}
"""Of the first worker of detect, which then is slower: it has a backlog when others join and leave.
The second one fetches as usual.
"""

_RUSH_AT_REBALANCE: Final = 0.1
_RUSH_AT_KILL: Final = 0.04
"""Shares of all events that are sent at once before."""

Say = Callable[[str], None]
Disturb = Callable[[Plan, "Group", Sender, Inbox, Say], Awaitable[None]]
"""Does harm to a run while events flow; when it returns, everything that there should be runs."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill of the schedule."""

    stage: str
    early: bool
    pause_s: float
    """After good work, or, if `early`, after the kill before."""
    rushed: bool
    """Whether many events come at once just before it."""


def schedule(kills: int, seed: int, more: Sequence[str] = ()) -> list[Kill]:
    """The kills in order; every stage, and of those that not every run has `more`, has one if there
    are enough.
    """
    rng = random.Random(seed)
    stages = [
        stage
        for stage, _ in zip(cycle((*_STAGES[:3], *more, *_STAGES[3:])), range(kills), strict=False)
    ]
    rng.shuffle(stages)
    made = []
    for number, stage in enumerate(stages):
        early = number > 0 and rng.random() < _EARLY
        pause_s = rng.uniform(0.0, _MOST_EARLY_S if early else _MOST_PAUSE_S)
        made.append(
            Kill(stage, early, pause_s, rushed=stage == "detect" and rng.random() < _RUSHED)
        )
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
        own = {"detect": _SMALL_FETCHES}
        return Group(
            config,
            folder,
            {stage: Member(stage, stage, config, folder, own.get(stage, {})) for stage in stages},
        )

    def add(
        self,
        name: str,
        stage: str,
        program: Sequence[str] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        config: Path | None = None,
        after_death: AfterDeath | None = None,
    ) -> Member:
        """One more worker of a stage, started; what is not given is as for the others. A name that
        was there before gets a number.
        """
        before = sum(each.split("#")[0] == name for each in self.members)
        name = f"{name}#{before + 1}" if before else name
        member = self.members[name] = Member(
            name,
            stage,
            config or self.config,
            self.folder,
            environment or {},
            sentinel() if program is None else program,
            after_death,
        )
        member.start()
        return member

    def of_stage(self, stage: str) -> list[Member]:
        """The workers of a stage that have not left."""
        return [
            member
            for member in self.members.values()
            if member.stage == stage and not member.has_left
        ]

    def only(self, stage: str) -> Member:
        """The one worker of a stage that has not left."""
        (member,) = self.of_stage(stage)
        return member

    async def as_usual(self) -> None:
        """Workers that run something else, or with other settings, are relieved by usual ones."""
        for member in list(self.members.values()):
            if not member.has_left and not self._is_usual(member):
                await works(self.add(f"{member.stage}-usual", member.stage))
                await member.leave()

    def _is_usual(self, member: Member) -> bool:
        usual = (tuple(sentinel()), self.config)
        return (tuple(member.program), member.config) == usual and member.environment in (
            {},
            _SMALL_FETCHES,
        )

    async def drop(self) -> None:
        """Ends all processes, however they are."""
        await asyncio.gather(*[member.drop() for member in self.members.values()])


@dataclass(slots=True)
class Disturber:
    """Carries a plan's deaths out. Raises BenchmarkFailed when a stage does not come back."""

    plan: Plan
    group: Group
    sender: Sender
    inbox: Inbox
    say: Say

    async def run(self) -> None:
        """All kills. A second worker of detect joins after a third of them, and leaves in order
        after two thirds; in between the first is frozen.
        """
        kills = schedule(
            self.plan.kills, self.plan.seed, () if self.plan.store is None else (SINK,)
        )
        rng = random.Random(self.plan.seed + 1)
        joins, leaves = len(kills) // 3, max(len(kills) * 2 // 3, len(kills) // 3 + 1)
        hit: Member | None = None
        for number, kill in enumerate(kills):
            if number == joins:
                await self.join()
            if number == leaves:
                await self.leave()
            if hit is not None and not hit.has_left and not kill.early:
                await works(hit)
            hit = rng.choice(self.group.of_stage(kill.stage))
            await asyncio.sleep(kill.pause_s)
            if kill.rushed:
                self.sender.rush(_RUSH_AT_KILL)
            busy = not kill.early and await self._is_busy(hit)
            await until(hit.kill, _READY_S, f"{hit.name} does not run")
            how = (
                ", early"
                if kill.early
                else ", idle"
                if not busy
                else ", with a backlog"
                if kill.rushed
                else ""
            )
            self.say(f"kill {number + 1} of {len(kills)}: {hit.name}{how}")
        for member in [
            member for stage in (*STAGES, SINK) for member in self.group.of_stage(stage)
        ]:
            await works(member)
        if len(kills) <= leaves:
            await self.leave()

    async def join(self) -> None:
        """A second worker of detect joins while there is a backlog, and, if the plan says so, the
        first is then frozen.
        """
        first = self.group.only("detect")
        second = self.group.add(_SECOND, "detect")
        await until(second.is_up, _READY_S, f"{second.name} does not start")
        self.sender.rush(_RUSH_AT_REBALANCE)
        await works(second)
        self.say("a second worker of detect has joined")
        if self.plan.freezes:
            await self.freeze(first, second)

    async def leave(self) -> None:
        """The second worker leaves. Once it works: one that is told to end while it starts just
        ends.
        """
        first, second = self.group.of_stage("detect")
        await works(second)
        await works(first)
        self.sender.rush(_RUSH_AT_REBALANCE)
        await second.leave()
        self.say("the second worker of detect has left")

    async def freeze(self, frozen: Member, other: Member) -> None:
        """Stops a worker in the middle of whatever it does until another has its lanes and goes on
        with them; then it wakes, and knows of nothing.
        """
        await works(frozen)
        deaths = frozen.deaths.total()
        self.sender.rush(_RUSH_AT_KILL)
        await self._is_busy(frozen)
        frozen.freeze()

        async def has_all() -> bool:
            return await other.flushed_lanes() == PARTITIONS

        await until(has_all, _READY_S, f"{other.name} does not take the frozen worker's lanes")
        frozen.thaw()

        async def has_noticed() -> bool:
            return frozen.deaths.total() > deaths or await self._are_two()

        await until(has_noticed, _READY_S, "the frozen worker does not come back")
        await works(frozen)
        fenced = (
            "ended, fenced, and was started again"
            if frozen.deaths.total() > deaths
            else "joined again"
        )
        self.say(f"detect was frozen until the second worker had its lanes, and then {fenced}")

    async def _is_busy(self, member: Member) -> bool:
        """Waits for a moment at which it has done something that is not durable yet, or has a
        message under way; false when none comes soon. Of a sink every moment is as good.
        """

        async def sends() -> bool:
            return self.inbox.under_way > 0

        if member.stage == SINK:
            return True
        try:
            await until(
                sends if member.stage == "alert" else member.has_unflushed, _BUSY_S, "nothing to do"
            )
        except BenchmarkFailed:
            return False
        return True

    async def _are_two(self) -> bool:
        return await asyncio.to_thread(_members, self.plan.broker, f"{self.plan.prefix}detect") == 2


async def killed(plan: Plan, group: Group, sender: Sender, inbox: Inbox, say: Say) -> None:
    """The kills of the plan, and a second worker that joins and leaves."""
    await Disturber(plan, group, sender, inbox, say).run()


def _members(broker: Broker, group: str) -> int:
    admin = AdminClient({**librdkafka_config(broker), "log_level": 0})
    return len(
        admin.describe_consumer_groups([group], request_timeout=10.0)[group].result().members
    )


async def works(member: Member) -> None:
    """Returns when it is ready, and, if its stage always has something to do, has made something
    durable since it started.
    """
    await until(member.is_ready, _READY_S, f"{member.name} is not ready")
    if member.stage == "detect":
        await until(member.has_flushed, _READY_S, f"{member.name} flushes nothing")
