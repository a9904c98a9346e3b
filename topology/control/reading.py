"""Reading Sentinel's topics from outside the stages: to the end, or continuously."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from schemas.errors import BadRecord
from streams.client.brokers import librdkafka_config
from streams.client.rereading import records_between
from streams.settings import Broker

_WAIT_S = 0.2
_ASK_EVERY_S = 5.0
_AGAIN_S = 0.2
_PASSING = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})
"""Errors of a broker shortly after it or its topics were started."""

Ranges = Mapping[tuple[str, int], tuple[int, int]]
"""First offset, and the next one to be written, of each topic and partition."""


@dataclass(frozen=True, slots=True)
class Read:
    """One committed record of a topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    fault: BadRecord | None = None
    """Always None: librdkafka returns no broken records."""
    marks: tuple[tuple[str, bytes], ...] = ()


def whole(broker: Broker, topics: Sequence[str], timeout_s: float = 10.0) -> Iterator[Read]:
    """Every record that is in the topics at the start of the call, lane by lane in order of offset.
    Raises KafkaException.
    """
    consumer = _consumer(broker)
    try:
        yield from _until_ends(consumer, _ranges(consumer, topics, timeout_s), timeout_s)
    finally:
        consumer.close()


def span(
    broker: Broker, topic: str, partition: int, start: int, end: int, timeout_s: float = 10.0
) -> Iterator[Read]:
    """The readable records of one partition from `start` to before `end`, as far as the log has
    them. Other clients write this log, so it is not read by a client that decompresses without a
    bound. Raises aiokafka's KafkaError. Must not be called in an event loop.
    """
    for record in asyncio.run(records_between(broker, topic, partition, start, end, timeout_s)):
        if record.fault is None:
            headers = tuple(
                (name, content) for name, content in record.headers if content is not None
            )
            yield Read(topic, partition, record.offset, record.key, record.value, headers)


def newest_append_time(broker: Broker, topic: str, timeout_s: float = 10.0) -> int | None:
    """Append time of the newest record of a topic, µs by the broker's clock; None if it has none.
    Raises KafkaException.
    """
    consumer = _consumer(broker)
    try:
        ranges = _ranges(consumer, [topic], timeout_s)
        # The last record of a transaction is followed by its control marker, which readers never
        # see: two offsets back there is a record.
        starts = {
            place: max(end - 2, begin) for place, (begin, end) in ranges.items() if end > begin
        }
        consumer.assign([TopicPartition(*place, start) for place, start in starts.items()])
        times: list[int] = []
        deadline = time.monotonic() + timeout_s
        while len(times) < len(starts) and time.monotonic() < deadline:
            message = consumer.poll(_WAIT_S)
            if message is None:
                if times:
                    break
            elif message.error() is None and message.timestamp()[1] > 0:
                times.append(message.timestamp()[1] * 1000)
        return max(times, default=None)
    finally:
        consumer.close()


def _until_ends(consumer: Consumer, ranges: Ranges, silence_s: float) -> Iterator[Read]:
    """Raises KafkaException after `silence_s` without progress."""
    ends = {place: end for place, (start, end) in ranges.items() if start < end}
    consumer.assign([TopicPartition(*place, ranges[place][0]) for place in ends])
    before: dict[tuple[str, int], int] = {}
    heard = time.monotonic()
    while ends:
        for message in consumer.consume(500, _WAIT_S):
            if read := _read(message):
                yield read
        # Control records and aborted ones are never returned, but the position moves past them, so
        # only the position shows that the end is reached.
        positions = {}
        for at in consumer.position([TopicPartition(*place) for place in ends]):
            positions[at.topic, at.partition] = at.offset
            if at.offset >= ends[at.topic, at.partition]:
                del ends[at.topic, at.partition]
        now = time.monotonic()
        if positions != before:
            before, heard = positions, now
        elif now - heard > silence_s:
            raise KafkaException(
                KafkaError(KafkaError._TIMED_OUT, f"no record came for {silence_s:g} s")
            )


def follow(
    broker: Broker,
    topics: Sequence[str],
    stop: Callable[[], bool],
    timeout_s: float = 10.0,
    *,
    from_now: Callable[[], object] | None = None,
    heard: Callable[[], object] = lambda: None,
) -> Iterator[Read]:
    """The records of the topics as they come, until `stop()` returns True: all of them, or only
    those after the call of `from_now`.

    `heard` is called every few seconds, when the broker has answered: the absence of records may
    also mean that it hangs. Raises KafkaException, also if it does not answer within `timeout_s`.
    """
    consumer = _consumer(broker)
    try:
        ranges = _ranges(consumer, topics, timeout_s)
        if from_now is None:
            consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in ranges])
        else:
            consumer.assign([TopicPartition(*place, end) for place, (_, end) in ranges.items()])
            from_now()
        asked = -_ASK_EVERY_S
        while not stop():
            if time.monotonic() - asked > _ASK_EVERY_S:
                # A request of its own: a consumer that waits for records does not notice a broker
                # that hangs.
                consumer.list_topics(topics[0], timeout=timeout_s)
                asked = time.monotonic()
                heard()
            for message in consumer.consume(500, _WAIT_S):
                if read := _read(message):
                    yield read
    finally:
        consumer.close()


def _consumer(broker: Broker) -> Consumer:
    return Consumer(
        {
            **librdkafka_config(broker),
            # librdkafka requires a group id, although no group is joined and nothing committed.
            "group.id": f"{broker.topic_prefix}reader",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "log_level": 0,
        }
    )


def _ranges(consumer: Consumer, topics: Sequence[str], timeout_s: float) -> Ranges:
    """The ranges of all partitions of the topics. Retried while the broker elects leaders. Raises
    KafkaException.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return {
                (part.topic, part.partition): consumer.get_watermark_offsets(
                    part, timeout=timeout_s
                )
                for part in _partitions(consumer, topics, timeout_s)
            }
        except KafkaException as error:
            if error.args[0].code() not in _PASSING or time.monotonic() > deadline:
                raise
            time.sleep(_AGAIN_S)


def _partitions(
    consumer: Consumer, topics: Sequence[str], timeout_s: float
) -> Iterator[TopicPartition]:
    for topic in topics:
        metadata = consumer.list_topics(topic, timeout=timeout_s).topics[topic]
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        yield from (TopicPartition(topic, partition) for partition in metadata.partitions)


def _read(message: Message) -> Read | None:
    if (error := message.error()) is not None:
        if error.fatal():
            raise KafkaException(error)
        return None
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    key, value = message.key(), message.value()
    try:
        # The client's type hint also allows what only producers give.
        headers = cast("list[tuple[str, bytes | None]]", message.headers() or [])
    except UnicodeDecodeError:
        # A name that is not UTF-8; Sentinel never writes such a header.
        headers = []
    return Read(
        topic,
        partition,
        offset,
        key if isinstance(key, bytes) else None,
        value if isinstance(value, bytes) else None,
        tuple((name, content) for name, content in headers if content is not None),
    )
