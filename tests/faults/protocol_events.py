"""Events for a worker that meets errors of the protocol, and where each lies."""

import time
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import KafkaError, Message, Producer

from schemas.records.telemetry import Operation, Status, TelemetryEvent
from streams.admin.topics import EMBEDDED_PARTITIONS
from streams.client.brokers import producer_config
from streams.settings import Broker
from streams.topic_names import TopicNames
from tests.harness.showing import BenchmarkFailed

SLOW_US: Final = 6_000_000
"""Latency above which a rule tells."""
_EACH: Final = 5
"""Events in each lane, each time."""
_TAKEN_S: Final = 60.0

Lane = int
Place = tuple[Lane, int]
"""Lane and offset."""


@dataclass(slots=True)
class Events:
    """What was sent, and where it lies."""

    broker: Broker
    sent: dict[Lane, int] = field(
        default_factory=lambda: dict.fromkeys(range(EMBEDDED_PARTITIONS), 0)
    )
    ends: dict[Lane, int] = field(default_factory=dict)
    slow: set[Place] = field(default_factory=set)
    """Events that break a rule."""
    _producer: Producer = field(init=False)

    def __post_init__(self) -> None:
        # It asks for metadata once, and not again in the middle of a case: that would be answered
        # with errors that are the worker's.
        quiet = {"linger.ms": 0, "log_level": 0, "topic.metadata.refresh.interval.ms": -1}
        self._producer = Producer({**producer_config(self.broker), **quiet})

    def send(self, *, slow: bool) -> None:
        """A few to each lane; returns when the broker has them all. Raises BenchmarkFailed when it
        does not take them.
        """
        for lane in range(EMBEDDED_PARTITIONS):
            for number in range(_EACH):
                breaks = slow and number == 0

                def done(
                    error: KafkaError | None,
                    message: Message,
                    lane: int = lane,
                    breaks: bool = breaks,
                ) -> None:
                    self._done(error, message, lane, breaks)

                value = _event(self.sent[lane] + number, breaks).to_bytes()
                topic = TopicNames(self.broker.topic_prefix).telemetry
                self._producer.produce(topic, value, b"acme/shop", partition=lane, on_delivery=done)
        if self._producer.flush(_TAKEN_S):
            raise BenchmarkFailed("the mock cluster does not take events")

    def _done(self, error: KafkaError | None, message: Message, lane: Lane, breaks: bool) -> None:
        if error is not None:
            raise BenchmarkFailed(f"the mock cluster does not take events: {error.str()}")
        offset = message.offset()
        assert offset is not None
        self.sent[lane] += 1
        self.ends[lane] = max(self.ends.get(lane, 0), offset + 1)
        if breaks:
            self.slow.add((lane, offset))


def _event(number: int, slow: bool) -> TelemetryEvent:
    return TelemetryEvent(
        event_id=f"e{number}",
        event_time=time.time_ns() // 1000,
        tenant="acme",
        # A rule tells once a bucket of each series: those that break it are a series of their own.
        application=f"shop-{number}" if slow else "shop",
        model="gpt-4o-mini",
        operation=Operation.CHAT,
        status=Status.SUCCESS,
        latency_us=2 * SLOW_US if slow else SLOW_US // 2,
    )
