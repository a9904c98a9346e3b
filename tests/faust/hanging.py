"""`python -m tests.faust.hanging WHERE worker STAGE ...`: a worker of ours that stands still in one
place, watched with less patience than usual.
"""

import asyncio
import sys
import time
from typing import Any

from streams.client.fetching import _Lingering
from streams.lane.lane_set import LaneSet
from streams.process import watchdog
from topology.cli import main


async def _never(*args: Any) -> None:
    await asyncio.Event().wait()


async def _blocked(*args: Any) -> None:
    while True:
        time.sleep(1)  # noqa: ASYNC251 - that is what is wrong with it


WHERE = {
    "agent": (LaneSet, "process", _never),
    "restore": (LaneSet, "assign", _never),
    "loop": (LaneSet, "process", _blocked),
    "fetch": (_Lingering, "__call__", _never),
}
"""The method that does not return, of which class, and whether the event loop runs on."""


if __name__ == "__main__":
    watchdog.MOVING, watchdog.READY = 3, 5  # type: ignore[misc]
    setattr(*WHERE[sys.argv[1]])
    main(sys.argv[2:])
