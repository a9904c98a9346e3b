"""The topics: their names, how each must be set up, and the one step that makes and checks them.

A lane's state belongs to one partition of its input, so a partition count is fixed for ever: a
topic with another one is refused, never altered. Retention is the operator's to change and is not
compared.
"""

import time
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from schemas.errors import UserError
from streams.settings import Lanes
from streams.topic_names import TopicNames

STAGES: Final = ("detect", "correlate", "alert")
"""Stages that keep state in lanes."""

EMBEDDED_PARTITIONS: Final = 4
"""Partitions of every topic on the embedded broker, which has no other number."""

_DAY_MS: Final = 86_400_000
_MEGABYTE: Final = 1_048_576
_COMPARED: Final = ("cleanup.policy", "message.timestamp.type")
"""What correctness needs: compaction of state, and the broker's append time where watermarks come
from.
"""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How one topic must be set up."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str] = field(default_factory=dict)


class Outcome(StrEnum):
    """The result of checking or creating one topic."""

    CREATED = "created"
    WOULD_CREATE = "would create"
    EXISTS = "exists"
    MISSING = "missing"
    DIFFERS = "differs"
    """Exists with a setting that makes results wrong; `kafka-configs` repairs it without loss."""
    REFUSED = "refused"
    """Exists with another partition count, which cannot be repaired in place."""


@dataclass(frozen=True, slots=True)
class TopicFact:
    """One topic, its outcome, and the reason in words (empty for a good one)."""

    name: str
    partitions: int
    outcome: Outcome
    detail: str = ""

    @property
    def good(self) -> bool:
        """Workers may run on this topic."""
        return self.outcome in (Outcome.CREATED, Outcome.EXISTS, Outcome.WOULD_CREATE)


class TopicsRefused(UserError, ValueError):
    """Topics exist with another number of partitions; nothing was created. The text names them."""


def specs(names: TopicNames, lanes: Lanes) -> tuple[TopicSpec, ...]:
    """Every topic that an installation needs, in the order in which they are shown."""

    def topic(name: str, policy: str, days: int | None, **config: str) -> TopicSpec:
        settings = {
            "cleanup.policy": policy,
            **{key.replace("_", "."): value for key, value in config.items()},
        }
        if days is not None:
            settings["retention.ms"] = str(days * _DAY_MS)
        return TopicSpec(name, lanes.partitions, lanes.replication_factor, settings)

    def state(stage: str) -> TopicSpec:
        return topic(
            names.state(stage),
            "compact",
            None,
            segment_bytes=str(64 * _MEGABYTE),
            min_compaction_lag_ms="600000",
            min_cleanable_dirty_ratio="0.3",
            max_message_bytes=str(4 * _MEGABYTE),
        )

    append = {"message_timestamp_type": "LogAppendTime"}
    return (
        topic(names.telemetry, "delete", 7, **append),
        topic(names.anomalies, "delete", 90, **append),
        topic(names.aggregates, "delete", 90),
        topic(names.incidents, "compact,delete", 365, **append),
        topic(names.notifications, "delete", 365),
        topic(names.commands, "delete", 365),
        topic(names.settings, "compact", None),
        topic(names.audit, "delete", 365),
        # A dead letter has headers in addition to a record that may be at the broker's limit.
        topic(names.dead_letters, "delete", 30, max_message_bytes=str(8 * _MEGABYTE)),
        *(state(stage) for stage in STAGES),
    )


def check(
    admin: AdminClient, wanted: Sequence[TopicSpec], timeout_s: float = 10.0
) -> list[TopicFact]:
    """Compare the cluster with `wanted`, changing nothing; facts come in the order of `wanted`.

    Raises KafkaException when the cluster does not answer in time.
    """
    known = admin.list_topics(timeout=timeout_s).topics
    there = [spec for spec in wanted if spec.name in known]
    configs = _configs(admin, (spec.name for spec in there), timeout_s)
    return [
        (
            _compare(spec, len(known[spec.name].partitions), configs[spec.name])
            if spec.name in known
            else TopicFact(
                spec.name, spec.partitions, Outcome.MISSING, "run `sentinel topics create`"
            )
        )
        for spec in wanted
    ]


def create(
    admin: AdminClient,
    wanted: Sequence[TopicSpec],
    *,
    dry_run: bool = False,
    timeout_s: float = 10.0,
) -> list[TopicFact]:
    """Make the topics of `wanted` that are missing; those that exist are compared and left as they
    are.

    With `dry_run` the cluster only says whether it would.

    Raises:
        TopicsRefused: some exist with another partition count; then none is created.
        KafkaException: the cluster does not answer, or refuses one (a replication factor above its
        brokers, say).
    """
    facts = check(admin, wanted, timeout_s)
    refused = [f"{fact.name} {fact.detail}" for fact in facts if fact.outcome is Outcome.REFUSED]
    # Before any is created: half an installation with two partition counts would not run.
    if refused:
        raise TopicsRefused("; ".join(refused))
    missing = {fact.name for fact in facts if fact.outcome is Outcome.MISSING}
    new = [
        NewTopic(spec.name, spec.partitions, spec.replication_factor, config=dict(spec.config))
        for spec in wanted
        if spec.name in missing
    ]
    if new:
        for made in admin.create_topics(
            new, request_timeout=timeout_s, validate_only=dry_run
        ).values():
            try:
                made.result()
            except KafkaException as fault:
                # Another process may have made it since the check; workers and people start several
                # at once.
                if fault.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
    if not dry_run:
        _wait_until_usable(admin, missing, timeout_s)
    done = Outcome.WOULD_CREATE if dry_run else Outcome.CREATED
    return [
        TopicFact(fact.name, fact.partitions, done) if fact.name in missing else fact
        for fact in facts
    ]


def wake(
    admin: AdminClient, wanted: Sequence[TopicSpec], timeout_s: float = 10.0
) -> list[TopicFact]:
    """`create` for the embedded broker: it has no CreateTopics, a request for a topic's metadata
    makes the topic.
    """
    facts = []
    for spec in wanted:
        topic = admin.list_topics(topic=spec.name, timeout=timeout_s).topics[spec.name]
        facts.append(TopicFact(spec.name, len(topic.partitions), Outcome.EXISTS))
    return facts


def _wait_until_usable(admin: AdminClient, names: Set[str], timeout_s: float) -> None:
    # The controller acknowledges a topic some milliseconds before brokers know of it, and before
    # they lead its partitions.
    deadline = time.monotonic() + timeout_s
    while not _usable(admin, names, timeout_s):
        if time.monotonic() > deadline:
            raise KafkaException(
                KafkaError(KafkaError._TIMED_OUT, "the created topics do not show up")
            )
        time.sleep(0.02)


def _usable(admin: AdminClient, names: Set[str], timeout_s: float) -> bool:
    known = admin.list_topics(timeout=timeout_s).topics
    if not names <= known.keys():
        return False
    latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    parts = {
        TopicPartition(name, number): latest for name in names for number in known[name].partitions
    }
    answers = admin.list_offsets(parts, request_timeout=timeout_s).values() if parts else ()
    return all(answer.exception() is None for answer in answers)


def _configs(
    admin: AdminClient, names: Iterable[str], timeout_s: float
) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    if not resources:
        return {}
    answers = admin.describe_configs(resources, request_timeout=timeout_s)
    return {
        resource.name: {key: entry.value for key, entry in answer.result().items()}
        for resource, answer in answers.items()
    }


def _compare(spec: TopicSpec, partitions: int, config: Mapping[str, str]) -> TopicFact:
    if partitions != spec.partitions:
        detail = f"has {partitions} partitions, not {spec.partitions}: "
        if partitions < spec.partitions:
            detail += "growing it would split the lanes' state; set lanes.partitions to what it has"
        else:
            detail += "a lane's state belongs to one partition; set lanes.partitions to what it has"
        return TopicFact(spec.name, partitions, Outcome.REFUSED, detail)
    differences = [
        f"{key} is {config.get(key, 'unknown')}, not {spec.config[key]}"
        for key in _COMPARED
        if key in spec.config and _parts(config.get(key, "")) != _parts(spec.config[key])
    ]
    outcome = Outcome.DIFFERS if differences else Outcome.EXISTS
    return TopicFact(spec.name, partitions, outcome, "; ".join(differences))


def _parts(value: str) -> frozenset[str]:
    return frozenset(part.strip() for part in value.split(","))
