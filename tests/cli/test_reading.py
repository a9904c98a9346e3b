"""Reading topics from outside: everything that was committed, once, in order, and an end also where
the log ends in something that is no record.
"""

from collections.abc import Iterable

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from streams.admin.topics import TopicSpec, create
from streams.client.brokers import producer_config
from streams.settings import Broker
from topology.control.reading import Read, span, whole


@pytest.fixture
def topic(kafka: str, topic_prefix: str) -> str:
    """A topic of one partition."""
    create(AdminClient({"bootstrap.servers": kafka}), [TopicSpec(f"{topic_prefix}t", 1, 1)])
    return f"{topic_prefix}t"


def _values(records: Iterable[Read]) -> list[bytes | None]:
    return [record.value for record in records]


def test_last_record_is_read_however_fetches_fall(kafka: str, topic: str) -> None:
    """1,001 records, read 500 at a time: the one that stands alone at the end is there."""
    broker = Broker(bootstrap_servers=kafka)
    producer = Producer(producer_config(broker))
    for number in range(1001):
        producer.produce(topic, b"%d" % number)
    assert producer.flush(120) == 0
    assert _values(whole(broker, [topic])) == [b"%d" % number for number in range(1001)]
    assert _values(span(broker, topic, 0, 998, 5000)) == [b"998", b"999", b"1000"]
    assert _values(span(broker, topic, 0, 0, 2)) == [b"0", b"1"]


def test_aborted_records_are_left_out_and_markers_do_not_stop_it(kafka: str, topic: str) -> None:
    """Committed, then aborted: only the committed ones come, and the read ends although the log
    ends in a marker.
    """
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": topic})
    producer.init_transactions(10)
    for value, end in (
        (b"kept", producer.commit_transaction),
        (b"lost", producer.abort_transaction),
    ):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(120)
        end(10)
    assert _values(whole(Broker(bootstrap_servers=kafka), [topic])) == [b"kept"]


def test_empty_topic_is_read_at_once(kafka: str, topic: str) -> None:
    """Nothing there is an end, not a wait."""
    assert _values(whole(Broker(bootstrap_servers=kafka), [topic])) == []
