"""Inspecting and resetting lanes from outside: for people, with the stage's workers stopped."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from streams.client.brokers import librdkafka_config, producer_config, reach
from streams.settings import Broker
from streams.state.position import KEY, OURS, Position, Refused
from streams.topic_names import TopicNames

INPUTS: Final = {"detect": "telemetry", "correlate": "anomalies", "alert": "incidents"}
"""The topic that the lanes of a stage read, without its prefix."""
_TIMEOUT_S: Final = 10.0
_LOOKS: Final = 20
"""Attempts to read committed metadata. librdkafka reads it past its end, and the bytes there, which
differ from call to call, are not always UTF-8.
"""


@dataclass(frozen=True, slots=True)
class LaneReport:
    """One lane as its state topic holds it. Offsets count in the stage's input topic; `state_bytes`
    is what is live, uncompressed.
    """

    lane: int
    position: int
    log_end: int
    behind: int
    rows: int
    state_bytes: int


def lanes(broker: Broker, stage: str) -> list[LaneReport]:
    """Every lane of the stage that has state, by number. Raises CannotReachBroker, or Refused when
    the topic is missing.
    """
    names = TopicNames(broker.topic_prefix)
    source = f"{broker.topic_prefix}{INPUTS[stage]}"
    reports = []
    consumer = _consumer(broker)
    try:
        for partition, rows in _tables(consumer, broker, names.state(stage)):
            if KEY not in rows:
                continue
            position = Position.from_bytes(rows[KEY]).offset
            _, end = consumer.get_watermark_offsets(
                TopicPartition(source, partition), timeout=_TIMEOUT_S
            )
            size = sum(len(key) + len(value) for key, value in rows.items())
            reports.append(
                LaneReport(partition, position, end, max(end - position, 0), len(rows) - 1, size)
            )
    finally:
        consumer.close()
    return reports


def reset(
    broker: Broker, stage: str, only: Sequence[int] | None, *, dry_run: bool
) -> Iterator[str]:
    """Writes tombstones for the state of lanes; yields a line for each lane with what was done, or
    with `dry_run` would be.

    A lane without state starts at its group's committed offset, or at the log's begin. The metadata
    of that offset is removed: with it, a worker would regard the missing state as lost, and refuse.

    Raises:
        Refused: workers of the stage are running.
    """
    names = TopicNames(broker.topic_prefix)
    admin, _ = reach(broker)
    _refuse_if_running(admin, f"{broker.topic_prefix}{stage}", stage)
    consumer = _consumer(broker)
    try:
        tables = list(_tables(consumer, broker, names.state(stage)))
    finally:
        consumer.close()
    producer = Producer(producer_config(broker))
    committed = _committed(admin, f"{broker.topic_prefix}{stage}")
    for partition, rows in tables:
        if (only and partition not in only) or not (rows or _is_ours(committed.get(partition))):
            continue
        if not dry_run:
            for key in rows:
                producer.produce(names.state(stage), key=key, value=None, partition=partition)
                producer.poll(0)
        yield (
            f"lane {stage}/{partition}: {'would forget' if dry_run else 'forgot'} {len(rows)} rows"
            " of state"
        )
    if producer.flush(_TIMEOUT_S):
        raise Refused(f"not everything was written within {_TIMEOUT_S:g} s; run it again")
    if not dry_run:
        chosen = [
            tp
            for partition, tp in committed.items()
            if _is_ours(tp) and (not only or partition in only)
        ]
        _unmark(admin, f"{broker.topic_prefix}{stage}", chosen)


def _committed(admin: AdminClient, group: str) -> dict[int, TopicPartition]:
    """What the group committed, by partition of its one topic; empty for an unknown group."""
    for _ in range(_LOOKS):
        answer = admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group)], request_timeout=_TIMEOUT_S
        )
        try:
            found = [tp for tp in answer[group].result().topic_partitions or [] if tp.offset >= 0]
            # Decoded here, within the `try`: accessing it is what raises.
            noted = [tp.metadata for tp in found]
        except UnicodeDecodeError:
            continue
        except KafkaException as fault:
            if fault.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return {}
            raise
        assert len(noted) == len(found)
        return {tp.partition: tp for tp in found}
    raise Refused(f"what group {group} committed cannot be read; run it again")


def _is_ours(tp: TopicPartition | None) -> bool:
    return tp is not None and (tp.metadata or "").startswith(OURS)


def _unmark(admin: AdminClient, group: str, committed: Sequence[TopicPartition]) -> None:
    if committed:
        plain = [TopicPartition(tp.topic, tp.partition, tp.offset) for tp in committed]
        for _ in range(_LOOKS):
            changed = admin.alter_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(group, plain)], request_timeout=_TIMEOUT_S
            )
            try:
                changed[group].result()
            except UnicodeDecodeError:
                # Only the answer cannot be read; the same change can be made again.
                continue
            return
        raise Refused(f"what group {group} committed cannot be changed; run it again")


def _refuse_if_running(admin: AdminClient, group: str, stage: str) -> None:
    try:
        described = admin.describe_consumer_groups([group], request_timeout=_TIMEOUT_S)[
            group
        ].result()
    except KafkaException:
        # The broker does not know the group: no worker of the stage ever ran.
        return
    if described.members:
        raise Refused(
            f"{len(described.members)} workers of {stage} are running; stop them first (one that"
            " has just died counts for some seconds more)"
        )


def _consumer(broker: Broker) -> Consumer:
    return Consumer(
        {
            **librdkafka_config(broker),
            "group.id": "sentinel-inspection",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": False,
            "check.crcs": False,
        }
    )


def _tables(
    consumer: Consumer, broker: Broker, topic: str
) -> Iterator[tuple[int, dict[bytes, bytes]]]:
    known = consumer.list_topics(topic, timeout=broker.connect_timeout_s).topics[topic]
    if known.error is not None or not known.partitions:
        raise Refused(f"topic {topic} is missing; run: sentinel topics create")
    for partition in sorted(known.partitions):
        tp = TopicPartition(topic, partition)
        begin, end = consumer.get_watermark_offsets(tp, timeout=_TIMEOUT_S)
        rows: dict[bytes, bytes] = {}
        consumer.assign([TopicPartition(topic, partition, begin)])
        while begin < end and consumer.position([tp])[0].offset < end:
            for message in consumer.consume(10_000, 1.0):
                if message.error() is not None:
                    raise KafkaException(message.error())
                key, value = message.key() or b"", message.value()
                if value is None:
                    rows.pop(key, None)
                else:
                    rows[key] = value
        yield partition, rows
