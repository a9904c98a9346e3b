"""What happens to workers: they die, are frozen, come and go."""

import asyncio
from dataclasses import replace
from typing import Final

from streams.exit_status import BUG, REFUSED
from tests.faults.astray import astray
from tests.faults.scene import Scene
from tests.harness.exactness.disturbing import killed as dies
from tests.harness.exactness.disturbing import works
from tests.harness.exactness.workers import Member, until
from tests.harness.showing import BenchmarkFailed

_STORM_S: Final = 25.0
_LONG_STORM_S: Final = 180.0
_DEATHS: Final = 5
_DEATH_S: Final = 60.0
_TOLD: Final = 1
"""Exit status of what a person can put right."""
_WRONG: Final = (
    ("detect", {"SENTINEL_LANES__BUCKET_S": "20"}),
    ("detect", {"SENTINEL_WORKER__CONTROL_KEY": "not-the-one-that-signed-the-settings"}),
    ("detect", {"SENTINEL_LANES__PARTITIONS": "16"}),
    (
        "correlate",
        {
            "SENTINEL_BROKER__BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "SENTINEL_BROKER__CONNECT_TIMEOUT_S": "2",
        },
    ),
    ("alert", {"SENTINEL_ALERTING__RETRY__FIRST_S": "soon"}),
)
_STAYS_S: Final = (0.0, 0.5, 2.0, 6.0)


async def killed(scene: Scene) -> None:
    """SIGKILL of any stage at random, some before the one before is back; a second worker of detect
    joins and leaves.
    """
    await dies(scene.plan, scene.group, scene.sender, scene.inbox, scene.say)


async def frozen(scene: Scene) -> None:
    """SIGSTOP of one of two workers for longer than the group waits: it wakes as one whose lanes
    are another's, and must neither write nor page.
    """
    disturber = replace(scene.disturber, plan=replace(scene.plan, freezes=True))
    await disturber.join()
    await disturber.leave()


async def storm(scene: Scene) -> None:
    """Two more workers of detect join and leave again and again, also while they start, under
    load.
    """
    rng, number = scene.rng, 1
    end = asyncio.get_running_loop().time() + (_LONG_STORM_S if scene.long else _STORM_S)
    there: list[Member] = []
    while asyncio.get_running_loop().time() < end:
        if len(there) < 2 and (not there or rng.random() < 0.6):
            number += 1
            there.append(scene.group.add(f"detect-{number}", "detect"))
            scene.say(f"{there[-1].name} joins")
        else:
            member = there.pop(rng.randrange(len(there)))
            if rng.random() < 0.5:
                await works(member)
                await member.leave()
                scene.say(f"{member.name} left in order")
            else:
                await member.drop()
                member.gone()
                scene.say(f"{member.name} is gone at once")
        await scene.flow(0.02, rng.choice(_STAYS_S))
    for member in there:
        await works(member)
        await member.leave()


async def scaled(scene: Scene) -> None:
    """One worker of detect, two, four, and one again."""
    more: list[Member] = []
    for numbers in ((2,), (3, 4)):
        more += [scene.group.add(f"detect-{number}", "detect") for number in numbers]
        await scene.all_work()
        await scene.flow(0.05, 3.0)
    for member in more:
        await member.leave()
        await scene.flow(0.02, 1.0)


async def misled(scene: Scene) -> None:
    """Workers of every stage whose clocks are ten minutes ahead, then ten minutes behind, take over
    from those before.
    """
    for way in ("clock-ahead", "clock-behind"):
        for stage in ("detect", "correlate", "alert"):
            before = scene.group.of_stage(stage)
            heir = scene.group.add(f"{stage}-{way}", stage, astray(way))
            await works(heir)
            await scene.flow(0.03, 0.5)
            for member in before:
                await member.leave()
        await scene.flow(0.05, 2.0)


async def buggy(scene: Scene) -> None:
    """A bug breaks off one step of a hundred of a worker of detect, which ends and is started
    again; then it is repaired.
    """
    before = scene.group.only("detect")
    worker = scene.group.add("detect-bug", "detect", astray("bug"))

    async def has_worked() -> bool:
        # A life may be over before anybody looks at it, several times over where the machine is
        # busy.
        worker.forgive(BUG)
        return await worker.has_flushed()

    await until(has_worked, _DEATH_S, "a worker with a bug flushes nothing")
    await before.leave()
    async with scene.harm("the bug is there"):
        for _ in range(_DEATHS if scene.long else 2):
            await scene.flow(0.05, 0.0)

            async def died() -> bool:
                return worker.deaths[BUG] > 0

            await until(died, _DEATH_S, "the bug shows nowhere")
            worker.forgive(BUG)
        await worker.drop()
        worker.gone()
        worker.forgive()
        await works(scene.group.add("detect-repaired", "detect"))


async def misconfigured(scene: Scene) -> None:
    """Workers join that were given other settings than those that work: each ends, says why, and
    has changed nothing.
    """
    for number, (stage, wrong) in enumerate(_WRONG):
        worker = scene.group.add(f"{stage}-wrong-{number}", stage, environment=wrong)
        await scene.flow(0.03, 0.0)

        async def ended(worker: Member = worker) -> bool:
            return worker.deaths.total() > 0

        async with scene.harm(f"{stage} with {', '.join(wrong)}"):
            await until(ended, _DEATH_S, f"a {stage} with {wrong} goes on")
            await worker.drop()
        if not set(worker.deaths) <= {_TOLD, REFUSED}:
            raise BenchmarkFailed(
                f"with {wrong} it ended so: {dict(worker.deaths)}; {worker.last_words}"
            )
        scene.say(f"ended with {dict(worker.deaths)}")
        worker.gone()
        worker.forgive()
        await scene.all_work()


async def relieved(scene: Scene) -> None:
    """Every stage is ended in order while it works, and another worker takes its place."""
    for stage in ("detect", "correlate", "alert"):
        before = scene.group.only(stage)
        await works(scene.group.add(f"{stage}-heir", stage))
        await scene.flow(0.05, 0.5)
        await before.leave()
