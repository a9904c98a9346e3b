"""Topics are made as the lanes need them, and a partition count that would split their state is
refused.
"""

import time
from concurrent.futures import Future
from functools import partial
from threading import Timer
from typing import Any

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._metadata import ClusterMetadata
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from streams.admin import topics
from streams.admin.topics import (
    EMBEDDED_PARTITIONS,
    Outcome,
    TopicsRefused,
    check,
    create,
    specs,
    wake,
)
from streams.client.brokers import reach
from streams.settings import Broker, Lanes
from streams.state.position import Refused
from streams.topic_names import TopicNames
from tests.harness.servers.kafka import KafkaServer
from topology.settings.installation import Settings
from topology.stages.build import check_topics

LANES = Lanes(partitions=2)


@pytest.fixture
def admin(kafka: str) -> AdminClient:
    """An admin client of the shared broker."""
    return AdminClient({"bootstrap.servers": kafka})


@pytest.fixture
def names(topic_prefix: str) -> TopicNames:
    """Topic names of this test."""
    return TopicNames(topic_prefix)


def _config(admin: AdminClient, topic: str) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    answer = admin.describe_configs([resource], request_timeout=120)[resource].result(120)
    return {key: entry.value for key, entry in answer.items()}


def _partitions(admin: AdminClient, topic: str) -> int:
    return len(admin.list_topics(timeout=120).topics[topic].partitions)


def _make_by_hand(admin: AdminClient, *topics: NewTopic) -> None:
    for made in admin.create_topics(list(topics)).values():
        made.result(120)
    while not {topic.topic for topic in topics} <= admin.list_topics(timeout=120).topics.keys():
        time.sleep(0.02)


def test_missing_topics_are_created_as_specified_and_then_found_good(
    admin: AdminClient, names: TopicNames
) -> None:
    """One create makes all; what the broker then says of them is what was asked, and a check
    agrees.
    """
    wanted = specs(names, LANES)
    assert {fact.outcome for fact in check(admin, wanted)} == {Outcome.MISSING}
    assert {fact.outcome for fact in create(admin, wanted)} == {Outcome.CREATED}
    for spec in wanted:
        config = _config(admin, spec.name)
        assert {key: config[key] for key in spec.config} == dict(spec.config)
        assert _partitions(admin, spec.name) == 2
    assert all(fact.outcome is Outcome.EXISTS and fact.good for fact in check(admin, wanted))
    assert {fact.outcome for fact in create(admin, wanted)} == {Outcome.EXISTS}


def test_telemetry_keeps_append_time_and_state_is_compacted(names: TopicNames) -> None:
    """The two things results rest on: watermarks come from the broker's clock, and state outlives
    retention.
    """
    by_name = {spec.name: spec.config for spec in specs(names, LANES)}
    assert by_name[names.telemetry]["message.timestamp.type"] == "LogAppendTime"
    state = by_name[names.state("detect")]
    assert state["cleanup.policy"] == "compact"
    assert state["segment.bytes"] == str(64 * 1024 * 1024)
    assert state["min.compaction.lag.ms"] == "600000"
    assert "retention.ms" not in state


def test_dry_run_creates_nothing(admin: AdminClient, names: TopicNames) -> None:
    """A dry run asks the broker and leaves no topic."""
    facts = create(admin, specs(names, LANES), dry_run=True)
    assert {fact.outcome for fact in facts} == {Outcome.WOULD_CREATE}
    assert names.telemetry not in admin.list_topics(timeout=120).topics


@pytest.mark.parametrize("partitions", [1, 3])
def test_other_partition_count_is_refused_and_nothing_created(
    admin: AdminClient, names: TopicNames, partitions: int
) -> None:
    """Growing or shrinking splits the lanes' state, so create stops before its first topic and says
    which differs.
    """
    _make_by_hand(admin, NewTopic(names.telemetry, partitions, 1))
    with pytest.raises(TopicsRefused, match=rf"telemetry has {partitions} partitions, not 2"):
        create(admin, specs(names, LANES))
    assert _partitions(admin, names.telemetry) == partitions
    assert names.anomalies not in admin.list_topics(timeout=120).topics
    refused = check(admin, specs(names, LANES))[0]
    assert refused.outcome is Outcome.REFUSED
    assert not refused.good


def test_topic_that_would_lose_state_or_time_is_said_to_differ(
    admin: AdminClient, names: TopicNames
) -> None:
    """A topic made by hand without compaction or append time is found, with both values; it is not
    changed.
    """
    state_topic = NewTopic(names.state("detect"), 2, 1, config={"cleanup.policy": "delete"})
    _make_by_hand(admin, NewTopic(names.telemetry, 2, 1), state_topic)
    facts = {fact.name: fact for fact in create(admin, specs(names, LANES))}
    telemetry, state = facts[names.telemetry], facts[names.state("detect")]
    assert telemetry.outcome is state.outcome is Outcome.DIFFERS
    assert telemetry.detail == "message.timestamp.type is CreateTime, not LogAppendTime"
    assert state.detail == "cleanup.policy is delete, not compact"
    assert _config(admin, names.state("detect"))["cleanup.policy"] == "delete"


def test_retention_is_the_operators_to_choose(admin: AdminClient, names: TopicNames) -> None:
    """Another retention than ours is no difference."""
    config = {"message.timestamp.type": "LogAppendTime", "retention.ms": "3600000"}
    _make_by_hand(admin, NewTopic(names.telemetry, 2, 1, config=config))
    assert check(admin, specs(names, LANES))[0].outcome is Outcome.EXISTS


def test_replication_beyond_the_cluster_is_the_brokers_own_refusal(
    admin: AdminClient, names: TopicNames
) -> None:
    """Three replicas on one broker fail with the broker's words, already in a dry run."""
    with pytest.raises(KafkaException, match=r"[Rr]eplication"):
        create(admin, specs(names, Lanes(partitions=2, replication_factor=3)), dry_run=True)


def test_every_name_begins_with_the_prefix() -> None:
    """Two installations on one cluster share no topic."""
    one, other = (specs(TopicNames(prefix), LANES) for prefix in ("a.", "b."))
    assert not {spec.name for spec in one} & {spec.name for spec in other}
    assert all(spec.name.startswith("a.") for spec in one)
    assert Broker().topic_prefix == "sentinel."


def test_embedded_broker_gets_its_topics_by_asking_for_them() -> None:
    """It has no CreateTopics; after wake every topic is there with its four partitions."""
    admin = AdminClient({"bootstrap.servers": "ignored", "test.mock.num.brokers": 1})
    facts = wake(admin, specs(TopicNames("e."), LANES))
    assert [fact.partitions for fact in facts] == [EMBEDDED_PARTITIONS] * len(facts)
    assert "e.detect-state" in admin.list_topics(timeout=120).topics


def test_a_broker_that_stands_still_in_the_middle_is_told_as_one(
    own_kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gave the list of topics, and then nothing more: who checks, hears of it as of any broker
    that does not answer, and not as of a bug.
    """
    broker = Broker(bootstrap_servers=own_kafka.address)
    names = TopicNames(broker.topic_prefix)
    reached, known = reach(broker)
    create(reached, specs(names, LANES))
    known = reached.list_topics(timeout=120)
    monkeypatch.setattr(topics, "check", partial(check, timeout_s=1.0))
    monkeypatch.setattr("topology.stages.build.reach", lambda _: (_Listed(reached, known), known))
    own_kafka.pause()
    try:
        with pytest.raises(Refused, match=f"no Kafka broker answers at {own_kafka.address}"):
            check_topics(Settings(broker=broker))
    finally:
        own_kafka.resume()


class _Listed:
    """An admin client that has the list of topics already, and that tells a moment too late that
    time is up, as on a busy machine.
    """

    def __init__(self, admin: AdminClient, known: ClusterMetadata) -> None:
        self._admin = admin
        self.list_topics = lambda timeout: known

    def describe_configs(
        self, resources: list[ConfigResource], request_timeout: float
    ) -> dict[ConfigResource, Any]:
        answers = self._admin.describe_configs(resources, request_timeout=request_timeout)
        return {resource: _late(answer) for resource, answer in answers.items()}


def _late(answer: Any) -> Any:
    later: Any = Future()
    answer.add_done_callback(
        lambda done: Timer(0.3, lambda: later.set_exception(done.exception())).start()
    )
    return later
