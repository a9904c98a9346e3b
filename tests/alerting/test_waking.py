"""Lanes of alert are woken at the time that they ask for, each on its own."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, cast

from agents.alerting.settings import AlertSettings
from agents.stages.alert import AlertLane, Surroundings
from agents.stages.waking import Waker
from streams.control.command_log import Arrived
from streams.lane.outgoing import Step
from streams.topic_names import TopicNames


class _NoCommands:
    def ends(self) -> Mapping[int, int]:
        return {}

    def since(self, partition: int, offset: int) -> Iterator[Arrived]:
        return iter(())


class _Lane(AlertLane):
    """A lane that asks to be woken once."""

    def __init__(self, partition: int, wake_at: int) -> None:
        super().__init__(
            partition,
            Surroundings(TopicNames(""), AlertSettings(), 2, _now_us, _NoCommands()),
        )
        self.wake_at: int | None = wake_at
        self.woken_at: int | None = None

    def next_wake(self) -> int | None:
        return self.wake_at

    def is_due(self) -> bool:
        return self.wake_at is not None and self.wake_at <= _now_us()

    def wake(self) -> Step:
        self.wake_at, self.woken_at = None, _now_us()
        return Step()


class _Lanes:
    """A worker's lanes, of which lane 0 waits for an acknowledgement of the broker that does not
    come.
    """

    def __init__(self, *lanes: _Lane) -> None:
        self.lanes = {lane.partition: type("Owned", (), {"program": lane})() for lane in lanes}
        self.acts: list[int] = []

    async def run_in_lane(
        self, partition: int, work: Callable[[Any], Step], program: _Lane
    ) -> None:
        self.acts.append(partition)
        if partition == 0:
            await asyncio.Event().wait()
        program.wake()


def _now_us() -> int:
    return time.time_ns() // 1000


async def test_a_lane_that_waits_for_the_broker_holds_up_no_others_wake() -> None:
    """Lane 1 is woken though lane 0's flush hangs, which is not begun again meanwhile; and not
    before its time.
    """
    due = _now_us() + 50_000
    held, other = _Lane(0, due - 50_000), _Lane(1, due)
    lanes = _Lanes(held, other)
    run = asyncio.create_task(Waker(_now_us).run(cast("Any", lanes)))
    async with asyncio.timeout(10):
        while other.woken_at is None:  # noqa: ASYNC110 - what is watched is no task of ours
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    run.cancel()
    with suppress(asyncio.CancelledError):
        await run
    assert lanes.acts == [0, 1]
    assert other.woken_at >= due
