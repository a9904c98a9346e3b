"""Dead man's switch: pings a URL while alert's lanes make progress; the monitor behind it raises an
alarm when the pings stop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final, Protocol

import orjson
import structlog

from agents.alerting.messages import iso
from agents.alerting.ports import Receiver
from agents.stages.alert import Now
from schemas.ids import record_id
from streams import metrics

_log = structlog.get_logger("sentinel.alert")

_PINGING_LANE: Final = 0
"""The worker that owns this lane pings: one heartbeat for any number of workers."""


class Pulse(Protocol):
    """The part of a worker's lanes that shows whether they make progress."""

    @property
    def lanes(self) -> Mapping[int, object]:
        """The lanes owned now."""

    @property
    def moves(self) -> int:
        """A count that grows with every action of a lane."""

    def lanes_with_work(self) -> Collection[int]:
        """Partitions of lanes that have records before them."""


class Heartbeat:
    """Pings every `every_s` seconds while alert's lanes make progress, or have no records to
    process.
    """

    def __init__(
        self,
        receiver: Receiver,
        every_s: float,
        now: Now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._receiver, self._every_s, self._now, self._sleep = receiver, every_s, now, sleep
        self._seen_moves = -1

    async def run(self, lanes: Pulse) -> None:
        """Pings until cancelled."""
        try:
            while True:
                await self._sleep(self._every_s)
                if self._is_well(lanes):
                    await self._ping()
        finally:
            await self._receiver.close()

    def _is_well(self, lanes: Pulse) -> bool:
        if _PINGING_LANE not in lanes.lanes:
            return False
        # Lanes that did nothing since the last ping are well if there was nothing to do.
        moves, seen, self._seen_moves = lanes.moves, self._seen_moves, lanes.moves
        return moves != seen or not lanes.lanes_with_work()

    async def _ping(self) -> None:
        """One attempt: the next ping is the retry."""
        now = self._now()
        body = orjson.dumps({"type": "heartbeat", "timestamp": iso(now), "data": {}})
        answer = await self._receiver.deliver(record_id("heartbeat", now), body, now)
        is_taken = answer.fault is None and answer.status is not None and 200 <= answer.status < 300
        metrics.HEARTBEATS.labels("taken" if is_taken else "failed").inc()
        if not is_taken:
            _log.warning("heartbeat.failed", detail=answer.fault or f"HTTP {answer.status}")
