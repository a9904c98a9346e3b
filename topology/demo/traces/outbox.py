"""Many records to one topic through one librdkafka producer: waiting where its queue is full, loud
where the broker refuses.
"""

import time
from collections.abc import Iterable
from typing import Final

from confluent_kafka import KafkaError, Message, Producer

from schemas.errors import UserError
from streams.client.brokers import producer_config
from streams.settings import Broker

LINGER_MS: Final = 5
"""How long a record waits for company before it is sent, ms: what our SDK does, and what costs a
sender at 10,000 records a second next to nothing.
"""

_FULL_QUEUE_WAIT_S: Final = 0.05


class NotDelivered(UserError):
    """The broker did not take all records; the text is one line that says how many and why."""


def load_config(
    broker: Broker, linger_ms: int | None = None, compression: str = "lz4"
) -> dict[str, str | int | float | bool]:
    """Configuration of a producer that makes load: `producer_config`, and a queue for bursts.

    `linger_ms` None means 5 ms, and on the embedded broker 50 (it hands out one batch per fetch).
    Raises RefusedBroker.
    """
    config = producer_config(broker)
    if linger_ms is not None or not broker.embedded:
        config["linger.ms"] = LINGER_MS if linger_ms is None else linger_ms
    return {
        **config,
        "compression.type": compression,
        "delivery.timeout.ms": 30_000,
        # Only failures call back, which saves a Python call for each record.
        "delivery.report.only.error": True,
        "queue.buffering.max.messages": 200_000,
        "batch.num.messages": 20_000,
    }


class Outbox:
    """Sends records to one topic. The record's own time stamp is the moment of sending: its
    arrival.
    """

    def __init__(self, producer: Producer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._failed = 0
        self._why = ""
        self.sent = 0
        """Records handed to the producer so far."""

    def put(self, keys: Iterable[bytes], values: Iterable[bytes]) -> None:
        """Hands records over in order, waiting while the producer's queue is full. Raises
        NotDelivered as soon as it is known that the broker did not take an earlier one.
        """
        for key, value in zip(keys, values, strict=True):
            while True:
                try:
                    self._producer.produce(self._topic, value, key, on_delivery=self._on_failure)
                    break
                except BufferError:
                    self._producer.poll(_FULL_QUEUE_WAIT_S)
                    self._check()
            self.sent += 1
        self._producer.poll(0)
        self._check()

    def close(self, timeout_s: float = 60.0) -> None:
        """Waits until the broker has acknowledged everything. Raises NotDelivered when it has not
        in time, or refused.
        """
        deadline = time.monotonic() + timeout_s
        left = self._producer.flush(timeout_s)
        while left and time.monotonic() < deadline and not self._failed:
            left = self._producer.flush(1.0)
        self._check()
        if left:
            raise NotDelivered(
                f"{left} of {self.sent} records to {self._topic} were not acknowledged within"
                f" {timeout_s:g} s"
            )

    def _on_failure(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed += 1
            self._why = error.str()

    def _check(self) -> None:
        if self._failed:
            raise NotDelivered(
                f"the broker did not take {self._failed} of {self.sent} records to {self._topic}:"
                f" {self._why}"
            )
