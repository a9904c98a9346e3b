"""`python -m tests.stages.hanging_check worker STAGE ...`: a worker whose check of its own client
hangs once it is ready, watched with less patience than usual.
"""

import asyncio
import sys
from typing import Any

from streams.faust.app import LaneApp
from streams.process import watchdog
from streams.process.pipeline_service import PipelineService
from topology.cli import main


async def _hangs_when_ready(checked: Any) -> None:
    if checked.lanes_ready if isinstance(checked, LaneApp) else checked.ready:
        await asyncio.Event().wait()


if __name__ == "__main__":
    watchdog.MOVING, watchdog.READY = 3, 100  # type: ignore[misc]
    LaneApp.check_group = _hangs_when_ready  # type: ignore[method-assign]
    PipelineService.check = _hangs_when_ready  # type: ignore[method-assign]
    main(sys.argv[1:])
