"""Bringing detection settings to the lanes: an immutable version on `settings`, then a signed control record in every lane."""

import time
from collections.abc import Callable, Iterator
from typing import Final

from confluent_kafka import KafkaError, Message, Producer

from agents.detection.served import detectors_of
from agents.detectors.settings import DetectionSettings
from agents.detectors.settings_codec import to_json, version_of
from schemas.records import Settings as Version
from schemas.secrets import Secret
from streams.brokers import producer_config
from streams.control import settings_control
from streams.outgoing import Outgoing
from streams.position import Refused
from streams.settings import Broker, Lanes
from streams.settings_log import version_record
from streams.topics import TopicNames

_TIMEOUT_S: Final = 30.0


def records(
    names: TopicNames, partitions: int, settings: DetectionSettings, key: Secret, author: str, now_us: int
) -> Iterator[Outgoing]:
    """The version, which must be durable first, then a control record for each lane."""
    version = version_of(settings)
    if version != "0":
        described = Version(version=version, tenant=None, author=author, created_at=now_us, body=to_json(settings))
        yield version_record(names.settings, described, key)
    for partition in range(partitions):
        yield settings_control(names.telemetry, partition, version, key)


def publish(broker: Broker, lanes: Lanes, settings: DetectionSettings, key: Secret, author: str) -> str:
    """Lets these settings take effect in every lane, where its log ends now; returns the version's id.

    Publishing what is in effect already changes nothing.

    Raises:
        Refused: there is no key to sign with, a lane cannot serve a detector, or the broker did not take everything.
    """
    detectors_of(settings)
    if not key:
        raise Refused(
            "detection settings are signed, and no key is set; give worker.control_key_file, the same for every worker"
        )
    producer = Producer(producer_config(broker))
    faults: list[str] = []
    for record in records(
        TopicNames(broker.topic_prefix), lanes.partitions, settings, key, author, time.time_ns() // 1000
    ):
        _produce(producer, record, _noting(faults))
        if record.partition is None and producer.flush(_TIMEOUT_S):
            faults.append("the broker did not answer in time")
    if producer.flush(_TIMEOUT_S):
        faults.append("the broker did not answer in time")
    if faults:
        raise Refused(f"the settings were not published: {faults[0]}; try again")
    return version_of(settings)


def _produce(producer: Producer, record: Outgoing, done: Callable[[KafkaError | None, Message], None]) -> None:
    producer.produce(
        record.topic,
        value=record.value,
        key=record.key,
        headers=list(record.headers),
        on_delivery=done,
        partition=-1 if record.partition is None else record.partition,
    )


def _noting(faults: list[str]) -> Callable[[KafkaError | None, Message], None]:
    def done(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            faults.append(error.str())

    return done
