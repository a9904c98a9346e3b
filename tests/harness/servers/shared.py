"""One Kafka and one Elasticsearch for all processes of a test run: the process that starts the
others starts them, and names them in the environment.
"""

import contextlib
import os
import time
from collections.abc import Callable
from typing import Final

from tests.harness.servers import elasticsearch, kafka
from tests.harness.servers.elasticsearch import ElasticServer
from tests.harness.servers.kafka import KafkaServer

KAFKA: Final = "SENTINEL_TEST_KAFKA"
ELASTICSEARCH: Final = "SENTINEL_TEST_ELASTICSEARCH"
"""Variables that name a server to use."""


class NoAnswer(Exception):
    """A server that was named does not answer."""


def launched() -> contextlib.ExitStack:
    """Starts what is there to start and was not named, without waiting for it; closing the stack
    ends it.
    """
    stack = contextlib.ExitStack()
    if KAFKA not in os.environ and kafka.missing() is None:
        broker = KafkaServer()
        stack.callback(broker.close)
        broker.launch()
        os.environ[KAFKA] = broker.address
    if ELASTICSEARCH not in os.environ and elasticsearch.missing() is None:
        server = ElasticServer()
        stack.callback(server.close)
        server.launch()
        os.environ[ELASTICSEARCH] = server.url
    return stack


def named(variable: str, answers: Callable[[str], bool], timeout_s: float = 180.0) -> str | None:
    """The server that the variable names, once it answers; None when it names none. Raises
    NoAnswer.
    """
    address = os.environ.get(variable)
    if not address:
        return None
    deadline = time.monotonic() + timeout_s
    while not answers(address):
        if time.monotonic() > deadline:
            raise NoAnswer(f"{variable}: {address} does not answer within {timeout_s:g} s")
        time.sleep(0.1)
    return address
