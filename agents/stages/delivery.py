"""Deliveries: how the outbox hands alert's messages to their receivers."""

from collections.abc import Mapping

import structlog

from agents.alerting.decisions import DeliveryEnded
from agents.alerting.messages import Delivery
from agents.alerting.ports import Receiver
from agents.alerting.reasons import Attempt
from agents.alerting.retrying import GiveUp, Verdict, after_attempt
from agents.alerting.settings import RetrySettings
from agents.stages.alert import Now
from streams import metrics
from streams.lane.effects import Effect, RetryAt

_log = structlog.get_logger("sentinel.alert")


class Deliveries:
    """The effects of the kind `delivery` (streams.lane.outbox: `EffectKind`)."""

    def __init__(self, receivers: Mapping[str, Receiver], retry: RetrySettings, now: Now) -> None:
        self._receivers, self._retry, self._now = receivers, retry, now

    def queue(self, effect: Effect) -> str:
        """The receiver's name: one that hangs holds up no other."""
        return _delivery(effect).receiver

    async def attempt(self, effect: Effect, attempt: int) -> DeliveryEnded | RetryAt:
        """Hand the message over once; the answer decides by `after_attempt` what follows."""
        delivery = _delivery(effect)
        status, verdict = await self._attempt(delivery, attempt)
        metrics.ATTEMPTS.labels(delivery.receiver, verdict.reason).inc()
        log = _log.bind(receiver=delivery.receiver, notification_id=delivery.notification_id)
        if isinstance(verdict, RetryAt):
            log.warning(
                "notification.retry",
                attempt=attempt,
                reason=verdict.reason,
                detail=verdict.detail,
            )
            return verdict
        if isinstance(verdict, GiveUp):
            log.error("notification.failed", reason=verdict.reason, detail=verdict.detail)
        return DeliveryEnded(verdict, status)

    async def close(self) -> None:
        """Close the receivers' connections."""
        for receiver in self._receivers.values():
            await receiver.close()

    async def _attempt(self, delivery: Delivery, attempt: int) -> tuple[int | None, Verdict]:
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


def _delivery(effect: Effect) -> Delivery:
    if not isinstance(effect.payload, Delivery):
        raise TypeError(f"effect {effect.id} is not a delivery")
    return effect.payload
