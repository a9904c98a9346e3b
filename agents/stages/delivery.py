"""Carries alert's messages to their receivers, beside the lanes: a slow receiver holds up nobody
else.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Final

import structlog

from agents.alerting.decisions import Outcome
from agents.alerting.messages import Delivery
from agents.alerting.ports import Receiver
from agents.alerting.reasons import Attempt
from agents.alerting.retrying import GiveUp, RetryAt, after_attempt
from agents.alerting.settings import RetrySettings
from agents.stages.alert import AlertLane, Now
from streams import metrics
from streams.lane.lane_set import LaneSet
from streams.lane.outgoing import Step

_log = structlog.get_logger("sentinel.alert")

_LOOK_EVERY_S: Final = 0.2
"""How often it is looked at least which lanes are here and whether commands came: a few comparisons
for each lane.
"""
_AT_ONCE: Final = 64
"""Deliveries to one receiver under way at a time; those that wait for another attempt do not count."""


class DeliveryWorker:
    """The one retry loop of deliveries. It holds no state that must survive: what is pending is in
    the lanes.
    """

    def __init__(self, receivers: Mapping[str, Receiver], retry: RetrySettings, now: Now) -> None:
        self._receivers, self._retry, self._now = receivers, retry, now
        # Bounded by the lanes: each keeps at most `max_waiting` messages for a receiver.
        self._waiting: asyncio.Queue[tuple[AlertLane, Delivery]] = asyncio.Queue()
        self._under_way: set[tuple[int, str]] = set()
        self._resumed: dict[int, AlertLane] = {}
        self._waking: set[AlertLane] = set()

    def begin(self, lane: AlertLane, deliveries: list[Delivery]) -> None:
        """Takes deliveries whose decision is durable."""
        for delivery in deliveries:
            self._waiting.put_nowait((lane, delivery))

    async def run(self, lanes: LaneSet) -> None:
        """Delivers until cancelled."""
        # Of each receiver its own: one that hangs must not take the others' places.
        slots = {name: asyncio.Semaphore(_AT_ONCE) for name in self._receivers}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._look(lanes, group))
                while True:
                    lane, delivery = await self._waiting.get()
                    place = (id(lane), delivery.notification_id)
                    # It may come twice to be begun, the second time when its fate is known already.
                    if place not in self._under_way and lane.is_pending(delivery.notification_id):
                        self._under_way.add(place)
                        place_of = slots.get(delivery.receiver) or asyncio.Semaphore()
                        group.create_task(self._carry(lanes, lane, delivery, place_of))
        finally:
            for receiver in self._receivers.values():
                await receiver.close()

    async def _look(self, lanes: LaneSet, group: asyncio.TaskGroup) -> None:
        """Begins again what a lane brought along, and wakes each lane at the time that it asks for."""
        while True:
            wait_s = _LOOK_EVERY_S
            for partition, owned in list(lanes.lanes.items()):
                lane = owned.program
                if not isinstance(lane, AlertLane):
                    raise TypeError(f"the delivery worker serves alert, not {type(lane).__name__}")
                if self._resumed.get(partition) is not lane:
                    self._resumed[partition] = lane
                    self.begin(lane, lane.pending())
                if lane in self._waking:
                    continue
                if lane.is_due():
                    # Apart: a lane that waits for an acknowledgement of the broker holds up no
                    # other.
                    self._waking.add(lane)
                    group.create_task(self._wake(lanes, lane))
                elif (wake := lane.next_wake()) is not None:
                    wait_s = min(wait_s, max(wake - self._now(), 0) / 1e6)
            await asyncio.sleep(wait_s)

    async def _wake(self, lanes: LaneSet, lane: AlertLane) -> None:
        try:
            await lanes.act(lane.partition, AlertLane.wake, lane)
        finally:
            self._waking.discard(lane)

    async def _carry(
        self, lanes: LaneSet, lane: AlertLane, delivery: Delivery, slots: asyncio.Semaphore
    ) -> None:
        try:
            await self._try_until_known(lanes, lane, delivery, slots)
        finally:
            self._under_way.discard((id(lane), delivery.notification_id))

    async def _try_until_known(
        self, lanes: LaneSet, lane: AlertLane, delivery: Delivery, slots: asyncio.Semaphore
    ) -> None:
        attempt = 0
        # Whoever owns the lane next begins the delivery again, under the same id.
        while _is_owned(lanes, lane):
            attempt += 1
            async with slots:
                status, verdict = await self._attempt(delivery, attempt)
            metrics.ATTEMPTS.labels(delivery.receiver, verdict.reason).inc()
            if isinstance(verdict, RetryAt):
                _log.warning(
                    "notification.retry",
                    receiver=delivery.receiver,
                    notification_id=delivery.notification_id,
                    attempt=attempt,
                    reason=verdict.reason,
                    detail=verdict.detail,
                )
                await asyncio.sleep(max(verdict.at - self._now(), 0) / 1e6)
                continue
            if isinstance(verdict, GiveUp):
                _log.error(
                    "notification.failed",
                    receiver=delivery.receiver,
                    notification_id=delivery.notification_id,
                    reason=verdict.reason,
                    detail=verdict.detail,
                )
            await lanes.act(
                lane.partition,
                partial(_end, delivery=delivery, outcome=verdict, status=status, attempt=attempt),
                lane,
            )
            return

    async def _attempt(
        self, delivery: Delivery, attempt: int
    ) -> tuple[int | None, Outcome | RetryAt]:
        receiver = self._receivers.get(delivery.receiver)
        if receiver is None:
            return None, GiveUp(Attempt.GONE, "the receiver is no longer configured")
        answer = await receiver.deliver(
            delivery.notification_id, delivery.body.encode(), self._now(), delivery.thread
        )
        verdict = after_attempt(
            answer,
            notification_id=delivery.notification_id,
            attempt=attempt,
            decided_at=delivery.decided_at,
            now=self._now(),
            retry=self._retry,
        )
        return answer.status, verdict


def _end(
    lane: AlertLane, *, delivery: Delivery, outcome: Outcome, status: int | None, attempt: int
) -> Step:
    return lane.ended(delivery.notification_id, outcome, status, attempt)


def _is_owned(lanes: LaneSet, lane: AlertLane) -> bool:
    owned = lanes.lanes.get(lane.partition)
    return owned is not None and owned.program is lane
