"""Wakes the lanes of alert when time, or a command, has something for them to do."""

import asyncio
from typing import Final

from agents.stages.alert import AlertLane, Now
from streams.lane.lane_set import LaneSet

_LOOK_EVERY_S: Final = 0.2
"""Most seconds between looks for new lanes and commands: a few comparisons for each lane."""


class Waker:
    """Calls `wake` of each lane at the time that it asks for."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self._waking: set[AlertLane] = set()

    async def run(self, lanes: LaneSet) -> None:
        """Wakes lanes until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                wait_s = _LOOK_EVERY_S
                for owned in list(lanes.lanes.values()):
                    lane = owned.program
                    if not isinstance(lane, AlertLane):
                        raise TypeError(f"only lanes of alert are woken, not {type(lane).__name__}")
                    if lane in self._waking:
                        continue
                    if lane.is_due():
                        # In a task of its own: a lane that waits for an acknowledgement of the
                        # broker must hold up no other.
                        self._waking.add(lane)
                        group.create_task(self._wake(lanes, lane))
                    elif (wake := lane.next_wake()) is not None:
                        wait_s = min(wait_s, max(wake - self._now(), 0) / 1e6)
                await asyncio.sleep(wait_s)

    async def _wake(self, lanes: LaneSet, lane: AlertLane) -> None:
        try:
            await lanes.run_in_lane(lane.partition, AlertLane.wake, lane)
        finally:
            self._waking.discard(lane)
