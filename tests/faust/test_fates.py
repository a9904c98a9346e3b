"""With which status an error ends the process: what a broker may well answer is no bug, and a bug
is none of the broker's answers.
"""

import asyncio

import aiokafka.errors as errors
import pytest
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaError as Fault
from confluent_kafka import KafkaException

from streams.exit_status import AGAIN, BUG, REFUSED, fate_of


def wrapped(outer: BaseException, cause: BaseException) -> BaseException:
    """As aiokafka's tasks hand on what they end with."""
    try:
        raise outer from cause
    except type(outer) as error:
        return error


DELIVERY, COORDINATION = (
    "Unexpected error during batch delivery",
    "Unexpected error during coordination",
)

FATES = [
    (errors.TopicAuthorizationFailedError("t"), REFUSED, "refuses this user"),
    (
        wrapped(KafkaError(DELIVERY), errors.ClusterAuthorizationFailedError()),
        REFUSED,
        "refuses this user",
    ),
    (errors.MessageSizeTooLargeError(), REFUSED, "does not take"),
    (errors.IncompatibleBrokerVersion("too old"), REFUSED, "does not take"),
    (errors.OutOfOrderSequenceNumber(), AGAIN, "OutOfOrderSequenceNumber"),
    (errors.UnknownError(), AGAIN, "answered with an error"),
    (wrapped(KafkaError(DELIVERY), errors.InvalidTxnState()), AGAIN, "InvalidTxnState"),
    (
        wrapped(errors.CommitFailedError(), errors.IllegalGenerationError()),
        AGAIN,
        "IllegalGenerationError",
    ),
    (KafkaError("Unexpected exception in heartbeat task: UnknownError()"), AGAIN, "UnknownError"),
    (errors.KafkaConnectionError("gone"), AGAIN, "did not answer in time"),
    (wrapped(errors.KafkaTimeoutError(), TimeoutError()), AGAIN, "did not answer in time"),
    (errors.ProducerFenced(), AGAIN, "fenced"),
    (wrapped(KafkaError(DELIVERY), errors.ProducerFenced()), AGAIN, "fenced"),
    (KafkaException(Fault(Fault._TIMED_OUT)), AGAIN, "did not answer in time"),
    (KafkaException(Fault(Fault.UNKNOWN_TOPIC_OR_PART)), AGAIN, "answered with an error"),
    (KafkaException(Fault(Fault.TOPIC_AUTHORIZATION_FAILED)), REFUSED, "refuses this user"),
    (asyncio.CancelledError(), AGAIN, "broken off"),
    (KafkaException(Fault(Fault._INVALID_ARG)), BUG, "KafkaException"),
    (wrapped(KafkaError(COORDINATION), ZeroDivisionError()), BUG, "KafkaError"),
    (errors.IllegalOperation("no group"), BUG, "IllegalOperation"),
    (RuntimeError("a bug"), BUG, "a bug"),
]


@pytest.mark.parametrize(
    ("error", "status", "said"), FATES, ids=[str(error)[:60] for error, _, _ in FATES]
)
def test_an_error_ends_the_process_with_what_its_supervisor_and_a_person_need(
    error: BaseException, status: int, said: str
) -> None:
    """Also where the client wraps an answer and a bug in the same error."""
    found, line = fate_of(error)
    assert (found, said in line) == (status, True), line
    assert "\n" not in line
