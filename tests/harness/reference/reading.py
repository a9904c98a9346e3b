"""Topics as they stand, read again by another client than the workers' own: librdkafka instead of
aiokafka.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from streams.client.brokers import librdkafka_config
from streams.settings import Broker

_TIMEOUT_S = 30.0
_SILENCE_S = 0.5
_WAIT_S = 0.05
_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Stored:
    """One record as it stands in its topic. The attributes are those of a consumed record, so that
    blocks can be made of it.
    """

    partition: int
    offset: int
    timestamp: int
    """ms: append time where the topic has it, else the producer's."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Reader:
    """One client for one read after the other."""

    def __init__(self, broker: Broker) -> None:
        self._consumer = _consumer(broker)
        self._is_reading = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._consumer.close()

    def stored(self, topic: str, partition: int, until: int | None = None) -> Iterator[Stored]:
        """The committed records of a partition in order of offset: those below `until`, or all that
        are there now.

        To be read to its end, or closed, before the next read. Raises KafkaException, also when the
        broker falls silent.
        """
        if self._is_reading:
            raise RuntimeError("one read at a time")
        self._is_reading = True
        try:
            for record in self._until_end(topic, partition):
                if until is not None and record.offset >= until:
                    break
                yield record
        finally:
            self._consumer.unassign()
            self._is_reading = False

    def table(self, topic: str, partition: int) -> dict[bytes, bytes]:
        """A compacted topic's partition as a table: the last value of each key, without what was
        buried.
        """
        rows: dict[bytes, bytes] = {}
        for record in self.stored(topic, partition):
            key = record.key or b""
            if record.value is None:
                rows.pop(key, None)
            else:
                rows[key] = record.value
        return rows

    def ends(self, topic: str, partitions: int) -> list[int]:
        """The next offset of every partition of a topic."""
        return [
            self._consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=_TIMEOUT_S
            )[1]
            for partition in range(partitions)
        ]

    def _until_end(self, topic: str, partition: int) -> Iterator[Stored]:
        heard = began = time.monotonic()
        following = OFFSET_BEGINNING
        self._consumer.assign([TopicPartition(topic, partition, following)])
        while True:
            # Waits for all of these messages, or this long: the end of the partition does not end
            # the wait.
            messages = self._consumer.consume(_AT_ONCE, _WAIT_S)
            now = time.monotonic()
            if messages:
                heard = began = now
            elif now - began > _TIMEOUT_S:
                why = f"{topic}/{partition} does not come to its end"
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, why))
            elif now - heard > _SILENCE_S:
                # On a busy machine the client sometimes forgets to say that this is the end.
                heard = now
                self._consumer.assign([TopicPartition(topic, partition, following)])
            for message in messages:
                error = message.error()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    return
                if error is not None:
                    raise KafkaException(error)
                record = _stored(message)
                following = record.offset + 1
                yield record


def _consumer(broker: Broker) -> Consumer:
    return Consumer(
        {
            **librdkafka_config(broker),
            # No group is joined and nothing committed; librdkafka asks for a name all the same.
            "group.id": f"{broker.topic_prefix}exactness",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
            "log_level": 0,
        }
    )


def _stored(message: Message) -> Stored:
    partition, offset, key, value = (
        message.partition(),
        message.offset(),
        message.key(),
        message.value(),
    )
    assert partition is not None
    assert offset is not None
    return Stored(
        partition=partition,
        offset=offset,
        timestamp=message.timestamp()[1],
        key=key if isinstance(key, bytes) else None,
        value=value if isinstance(value, bytes) else None,
        headers=tuple((name, content) for name, content in _pairs(message.headers())),
    )


def _pairs(headers: object) -> Iterator[tuple[str, bytes | None]]:
    if isinstance(headers, list):
        for name, content in headers:
            yield str(name), content if isinstance(content, bytes) else None
