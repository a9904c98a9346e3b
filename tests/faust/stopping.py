"""`python -m tests.faust.stopping worker STAGE ...`: a worker of ours that often looks at its
client, and ends slowly after its client has.
"""

import asyncio
import sys

from streams.faust import worker
from streams.faust.consumer import PlainProducer
from streams.process import runtime
from topology.cli import main

_stop = PlainProducer.on_stop


async def _stops_slowly(producer: PlainProducer) -> None:
    await asyncio.sleep(1.0)
    await _stop(producer)


if __name__ == "__main__":
    runtime.CHECK_S = worker._ENDS_S = 0.2  # type: ignore[misc]
    PlainProducer.on_stop = _stops_slowly  # type: ignore[method-assign]
    main(sys.argv[1:])
