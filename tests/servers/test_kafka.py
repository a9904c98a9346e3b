"""The real Kafka that tests and benchmarks start for themselves."""

from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.harness.servers import kafka as server_module
from tests.harness.servers.kafka import CannotStartKafka, KafkaCluster, KafkaServer


def _end_offset(address: str, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": address, "group.id": "none"})
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=120)[1])
    finally:
        consumer.close()


def test_session_broker_takes_and_keeps_a_record(kafka: str, topic_prefix: str) -> None:
    """A started server is ready at once: the first topic and the first record need no retry of
    ours.
    """
    topic = f"{topic_prefix}first"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(timeout=120)
    producer = Producer({"bootstrap.servers": kafka, "acks": "all"})
    producer.produce(topic, b"x")
    assert producer.flush(120) == 0
    assert _end_offset(kafka, topic) == 1


def test_killed_server_comes_back_with_its_log(own_kafka: KafkaServer) -> None:
    """After kill and start the address and what was acknowledged are the same."""
    admin = AdminClient({"bootstrap.servers": own_kafka.address})
    admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(timeout=120)
    producer = Producer({"bootstrap.servers": own_kafka.address, "acks": "all"})
    producer.produce("kept", b"x")
    assert producer.flush(120) == 0
    before = own_kafka.address
    own_kafka.kill()
    assert own_kafka.start() == before
    assert _end_offset(before, "kept") == 1


@pytest.mark.usefixtures("kafka_jars")
def test_cluster_keeps_what_it_took_when_a_node_dies() -> None:
    """Two of three nodes take records on; the third is in step again when it is back."""
    with KafkaCluster() as cluster:
        admin = AdminClient({"bootstrap.servers": cluster.address})
        admin.create_topics([NewTopic("kept", 3, 3)])["kept"].result(timeout=120)
        producer = Producer({"bootstrap.servers": cluster.address, "acks": "all"})
        cluster.nodes[0].kill()
        for partition in range(3):
            producer.produce("kept", b"x", partition=partition)
        assert producer.flush(120) == 0
        cluster.nodes[0].start()
        cluster.wait_until_whole()
        assert _end_offset(cluster.nodes[0].address, "kept") == 1


@pytest.mark.usefixtures("kafka_jars")
def test_server_that_cannot_start_says_what_its_log_said() -> None:
    """A wrong broker setting is an error with the reason, not a wait for ever."""
    with pytest.raises(CannotStartKafka, match="NO_SUCH"):
        KafkaServer({"inter.broker.listener.name": "NO_SUCH"}).start()


def test_missing_jars_are_named_with_the_command_that_fetches_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A developer without the jars is told to run make servers."""
    monkeypatch.setattr(server_module, "LIBS", tmp_path)
    assert "make servers" in str(server_module.missing()) or "java" in str(server_module.missing())
