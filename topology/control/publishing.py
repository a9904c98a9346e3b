"""Publishes detection settings: an immutable version on `settings`, then a signed control record in
every lane.

Each publication has a higher number than all before it. A lane accepts only control records that
are newer than its last, so a client that may write telemetry cannot restore old settings with a
copy. If two people publish at the same time, the same one wins in every lane, whatever the order of
their records.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from agents.detection.served import detectors_of
from agents.detectors.settings import DetectionSettings
from agents.detectors.settings_codec import to_json, version_of
from schemas.records.control import Settings as Version
from schemas.secrets import Secret
from streams.client.brokers import producer_config
from streams.control.records import Publication, settings_control
from streams.control.settings_log import signed_settings, version_record
from streams.lane.outgoing import Outgoing
from streams.settings import Broker, Lanes
from streams.state.position import Refused
from streams.topic_names import TopicNames
from topology.control.reading import Read, whole

_TIMEOUT_S: Final = 30.0
_NO_ANSWER: Final = "the broker did not answer in time"


def records(
    names: TopicNames,
    partitions: int,
    settings: DetectionSettings,
    key: Secret,
    author: str,
    number: int,
) -> Iterator[Outgoing]:
    """The version, which must be durable first, then a control record for each lane. `number` is
    that of the publication.
    """
    made = Publication(number, version_of(settings))
    # Written even if the version exists already: the next publication needs its number.
    described = Version(
        version=made.version, tenant=None, author=author, created_at=number, body=to_json(settings)
    )
    yield version_record(names.settings, described, key)
    for partition in range(partitions):
        yield settings_control(names.telemetry, partition, made, key)


def next_number(known: Iterable[Read], key: Secret, now_us: int) -> int:
    """The number of a publication made now: the time, µs, or one above all published numbers, if
    some clock was ahead.

    >>> next_number([], Secret("k"), 1_790_000_000_000_000)
    1790000000000000
    """
    signed = (
        signed_settings(key, record.key or b"", record.value, record.headers) for record in known
    )
    return max([now_us, *(settings.created_at + 1 for settings in signed if settings is not None)])


def publish(
    broker: Broker, lanes: Lanes, settings: DetectionSettings, key: Secret, author: str
) -> str:
    """Puts these settings into effect in every lane, at the current end of its log; returns the
    version's id. Publishing the settings that are in effect changes nothing.

    Raises:
        Refused: there is no key to sign with, a lane cannot serve a detector, or the broker did not
            accept everything.
    """
    detectors_of(settings)
    if not key:
        raise Refused(
            "detection settings are signed, and no key is set; give worker.control_key_file, the"
            " same for every worker"
        )
    names = TopicNames(broker.topic_prefix)
    number = next_number(_known(broker, names.settings), key, time.time_ns() // 1000)
    faults = _written(
        Producer(producer_config(broker)),
        records(names, lanes.partitions, settings, key, author, number),
    )
    if faults:
        raise Refused(f"the settings were not published: {faults[0]}; try again")
    return version_of(settings)


def _known(broker: Broker, topic: str) -> list[Read]:
    """The records of the topic. None if there is no such topic: the broker may create it, or reject
    the records that are written to it.
    """
    try:
        return list(whole(broker, [topic], _TIMEOUT_S))
    except KafkaException as error:
        fault: KafkaError = error.args[0]
        if fault.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return []
        raise Refused(
            f"the settings were not published: {topic} cannot be read: {fault.str()}; try again"
        ) from error


def _written(producer: Producer, sent: Iterable[Outgoing]) -> list[str]:
    """Writes these records; returns errors. Lanes get theirs only when the version is durable:
    otherwise they would wait for it, possibly for ever.
    """
    faults: list[str] = []
    for record in sent:
        _produce(producer, record, _noting(faults))
        if record.partition is None:
            if producer.flush(_TIMEOUT_S):
                faults.append(_NO_ANSWER)
            if faults:
                return faults
    if producer.flush(_TIMEOUT_S):
        faults.append(_NO_ANSWER)
    return faults


def _produce(
    producer: Producer, record: Outgoing, done: Callable[[KafkaError | None, Message], None]
) -> None:
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
