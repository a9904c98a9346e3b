"""What a broker answers with, in the quick form: one retriable and one fatal error for each
request; `make faults` has them all.
"""

from collections import Counter

import pytest
from confluent_kafka import KafkaError, Producer

from tests.faults.catalogue import ALONE
from tests.faults.mock_cluster import MockCluster
from tests.faults.protocol_codes import CODES, TABLE, Api, cases

NAMES = ["protocol-errors"]


@pytest.mark.system
@pytest.mark.parametrize("name", NAMES)
def test_a_worker_goes_on_or_ends_with_a_reason_and_counts_each_event_once(name: str) -> None:
    """And goes on when it is started again. None hangs, none calls a bug what a broker may well
    answer.
    """
    said: list[str] = []
    found = ALONE[name].suffers(long=False, say=said.append)
    assert found.broken == [], "\n".join(said)
    assert found.numbers["recovered"]
    assert found.numbers["ended"]


def test_the_mock_answers_so_as_often_as_it_is_told() -> None:
    """Then all is well again; and what is forgotten was never said."""
    with MockCluster() as mock:
        said: list[KafkaError | None] = []
        producer = Producer(
            {"bootstrap.servers": mock.address, "retry.backoff.ms": 10, "log_level": 0}
        )
        for times, forgotten in ((2, False), (2, True)):
            mock.load(Api.PRODUCE, CODES["NOT_ENOUGH_REPLICAS"], times)
            if forgotten:
                mock.forget(Api.PRODUCE)
            producer.produce("t", b"value", on_delivery=lambda error, _: said.append(error))
            assert producer.flush(10) == 0
            assert mock.asked(Api.PRODUCE) == (1 if forgotten else 1 + times)
        mock.spoil(["t"], CODES["TOPIC_AUTHORIZATION_FAILED"])
        assert producer.list_topics("t", timeout=10).topics["t"].error is not None
    assert said == [None, None]


def test_each_request_has_a_retriable_and_a_fatal_error() -> None:
    """In the quick form; the long one has all of them, each once at each moment."""
    assert Counter(case.api for case in cases(long=False)) == dict.fromkeys(Api, 2)
    every = list(cases(long=True))
    assert len(every) == len(set(every))
    assert {answers.api for answers in TABLE} == set(Api)
