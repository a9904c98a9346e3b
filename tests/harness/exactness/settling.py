"""Waiting until everything is worked off, and ending the stages one after the other, so that
nothing moves any more.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from agents.alerting.thread import Thread
from streams.state.position import KEY, Position
from tests.harness.exactness import storing
from tests.harness.exactness.disturbing import Group, Say
from tests.harness.exactness.plan import PARTITIONS, Plan
from tests.harness.exactness.storing import SINK
from tests.harness.reference.reading import Reader
from tests.harness.showing import BenchmarkFailed

_LOOK_S: Final = 0.5

_STANDSTILL: Final = 400
"""Looks after which a stage that has records and did not move has failed: more than its watchdog
needs to end it, and it to come back.
"""


async def settle(plan: Plan, group: Group, say: Say) -> None:
    """Ends detect when it has taken all of `telemetry`, then correlate when it has taken all that
    detect wrote, then alert, then a sink.

    Ticks go on for as long as a stage lives, so the log's end is looked at once. Raises
    BenchmarkFailed at a standstill.
    """
    with Reader(plan.broker) as reader:
        await _settle(plan, group, reader, say)


async def _settle(plan: Plan, group: Group, reader: Reader, say: Say) -> None:
    names = plan.names
    for stage, topic in (
        ("detect", names.telemetry),
        ("correlate", names.anomalies),
        ("alert", names.incidents),
    ):
        goal = await asyncio.to_thread(reader.ends, topic, PARTITIONS)
        await _reached(plan, group, reader, stage, goal)
        if stage == "alert":
            await _told(plan, group, reader)
        for member in group.of_stage(stage):
            await member.leave()
        say(f"{stage} has worked everything off and ended")
    for sink in group.of_stage(SINK):
        await _stored(plan, group)
        await sink.leave()
        say("sink has stored everything and ended")


def positions(plan: Plan, reader: Reader, stage: str) -> list[int]:
    """Where each lane of a stage stands, as its state topic says; 0 for one without state."""
    tables = (reader.table(plan.names.state(stage), partition) for partition in range(PARTITIONS))
    return [Position.from_bytes(rows[KEY]).offset if KEY in rows else 0 for rows in tables]


async def _reached(
    plan: Plan, group: Group, reader: Reader, stage: str, goal: Sequence[int]
) -> None:
    def look() -> tuple[bool, object]:
        at = positions(plan, reader, stage)
        return all(here >= end for here, end in zip(at, goal, strict=True)), at

    await _moving(look, group, stage, f"{stage} does not come to {list(goal)}")


async def _stored(plan: Plan, group: Group) -> None:
    """Until the sink has committed a position after every record that it is to store."""
    goal = await asyncio.to_thread(storing.goal, plan)

    def look() -> tuple[bool, object]:
        at = storing.committed(plan, goal)
        behind = [
            f"{topic}/{lane}: {at[topic, lane]} of {end}"
            for (topic, lane), end in goal.items()
            if at[topic, lane] < end
        ]
        return not behind, behind

    await _moving(look, group, SINK, "sink does not store everything")


async def _told(plan: Plan, group: Group, reader: Reader) -> None:
    """Until no message waits or is under way."""

    def look() -> tuple[bool, object]:
        waiting = 0
        for partition in range(PARTITIONS):
            for key, value in reader.table(plan.names.state("alert"), partition).items():
                waiting += len(Thread.from_row(value).queue) if key.startswith(b"told/") else 0
                waiting += key.startswith(b"summary/")
        return waiting == 0, waiting

    await _moving(look, group, "alert", "alert does not send what it decided")


async def _moving(
    look: Callable[[], tuple[bool, object]], group: Group, stage: str, what: str
) -> None:
    """Looks until it is done, and gives up when what it sees does not change for too long."""
    last, unchanged = None, 0
    while True:
        done, seen = await asyncio.to_thread(look)
        if done:
            return
        for member in group.of_stage(stage):
            member.check()
        last, unchanged = seen, unchanged + 1 if seen == last else 0
        if unchanged > _STANDSTILL:
            members = group.of_stage(stage)
            told = await asyncio.gather(
                *[asyncio.to_thread(member.told_lanes) for member in members]
            )
            logs = "".join(
                f"\n--- {member.name}, deaths {dict(member.deaths)}\n{lanes}\n{member.tail()}"
                for member, lanes in zip(members, told, strict=True)
            )
            raise BenchmarkFailed(
                f"{what}, but stands at {seen} for {unchanged * _LOOK_S:g} s{logs}"
            )
        await asyncio.sleep(_LOOK_S)
