"""When records came to stand in topics, by the broker's clock where it stamps them: to see between
which stations time goes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, TopicPartition

from streams.client.brokers import librdkafka_config
from streams.settings import Broker
from topology.demo.traces.ordinary import scheduled_in

_WAIT_S = 0.5
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Stamp:
    """One record with a value."""

    topic: str
    key: bytes
    value: bytes
    at_ms: int
    """Its time stamp."""


def marked(broker: Broker, topics: Sequence[str]) -> Mapping[str, Mapping[int, int]]:
    """By topic, for each marked event (its scheduled moment, µs) the time stamp (ms) of the first
    record about it.
    """
    found: dict[str, dict[int, int]] = {topic: {} for topic in topics}
    consumer = _consumer(broker)
    try:
        ends = _assign(consumer, topics, OFFSET_BEGINNING)
        while ends:
            for stamp in _take(consumer, _WAIT_S):
                # Telemetry and incidents have it in the key or the value; most records have it in
                # neither.
                place = stamp.key if b"marked-" in stamp.key else stamp.value
                at = place.find(b"marked-")
                scheduled = (
                    scheduled_in(place[at : at + 32].decode(errors="replace")) if at >= 0 else None
                )
                if scheduled is not None:
                    first = found[stamp.topic].get(scheduled)
                    found[stamp.topic][scheduled] = (
                        stamp.at_ms if first is None else min(first, stamp.at_ms)
                    )
            for part in consumer.position([TopicPartition(*end) for end in ends]):
                if part.offset >= ends[part.topic, part.partition]:
                    del ends[part.topic, part.partition]
    finally:
        consumer.close()
    return found


def follow(broker: Broker, topic: str) -> Iterator[Stamp | None]:
    """Records of the topic that come from now on; None when none came for half a second. Close the
    iterator to end it.
    """
    consumer = _consumer(broker)
    try:
        _assign(consumer, [topic], OFFSET_END)
        yield None
        while True:
            stamps = _take(consumer, _WAIT_S)
            yield from stamps
            if not stamps:
                yield None
    finally:
        consumer.close()


def _consumer(broker: Broker) -> Consumer:
    return Consumer(
        {
            **librdkafka_config(broker),
            "group.id": "benchmark-reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 50,
            "log_level": 0,
        }
    )


def _assign(consumer: Consumer, topics: Sequence[str], start: int) -> dict[tuple[str, int], int]:
    """Assigns every partition from `start` on; the ends of those that hold anything now."""
    parts = [
        (topic, partition)
        for topic in topics
        for partition in consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic].partitions
    ]
    ends = {}
    for part in parts:
        low, high = consumer.get_watermark_offsets(TopicPartition(*part), timeout=_TIMEOUT_S)
        if high > low:
            ends[part] = high
    # The end is asked for here, not by the first fetch, so that nothing that comes from now on is
    # missed.
    place = {part: ends.get(part, 0) if start == OFFSET_END else start for part in parts}
    consumer.assign([TopicPartition(*part, offset) for part, offset in place.items()])
    return ends


def _take(consumer: Consumer, wait_s: float) -> list[Stamp]:
    """What is there, or the first that comes. Raises KafkaException."""
    first = consumer.poll(wait_s)
    messages = [] if first is None else [first, *consumer.consume(1000, 0)]
    stamps = []
    for message in messages:
        if (error := message.error()) is not None:
            raise KafkaException(error)
        topic, key, value = message.topic(), message.key(), message.value()
        if topic is not None and isinstance(value, bytes):
            stamps.append(
                Stamp(topic, key if isinstance(key, bytes) else b"", value, message.timestamp()[1])
            )
    return stamps
