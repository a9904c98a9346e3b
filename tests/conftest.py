"""What every test may ask for: a real Kafka, shared by the session, and names on it that no other
test has.
"""

import contextlib
import os
import uuid
from collections.abc import Iterator
from typing import Final, Never

import pytest
from aiokafka.consumer import fetcher

from schemas.native.library import NATIVE
from tests.harness.examples import register_profiles
from tests.harness.servers import elasticsearch
from tests.harness.servers import kafka as kafka_server
from tests.harness.servers.elasticsearch import ElasticServer
from tests.harness.servers.kafka import KafkaServer, missing
from tests.harness.servers.shared import ELASTICSEARCH, KAFKA, launched, named

register_profiles()


SERVERS: Final = frozenset(
    {"kafka_jars", "kafka", "own_kafka", "elastic_url", "own_elastic", "chromium", "embedded"}
)
"""Fixtures that run a server, a mock of one, or a browser."""


_shared: Final = contextlib.ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """Processes that share the tests share the servers."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        return
    if "not system" not in config.option.markexpr:
        _shared.push(launched())


def pytest_unconfigure(config: pytest.Config) -> None:
    """The servers go with the run."""
    _shared.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks for a server is a test of the system (`make quick` leaves it out)."""
    for item in items:
        if isinstance(item, pytest.Function) and SERVERS & {*item.fixturenames}:
            item.add_marker(pytest.mark.system)


@pytest.fixture(autouse=True)
def _own_consumers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker built in a test has all consumers of the process hand over blocks; the next test's
    are aiokafka's own again.
    """
    for name in ("PartitionRecords", "MemoryRecords"):
        monkeypatch.setattr(fetcher, name, getattr(fetcher, name))


NATIVE_USERS: Final = (
    "schemas.telemetry.columns",
    "schemas.telemetry.events",
    "streams.records.cutting",
    "streams.state.subjects",
    "streams.state.windows",
)
"""Modules that ask whether there is native code."""


def disable_native_code(patching: pytest.MonkeyPatch) -> None:
    """As where there was no C compiler."""
    for name in NATIVE_USERS:
        patching.setattr(f"{name}.NATIVE", None)


@pytest.fixture(scope="module", params=["native", "without"])
def with_and_without_native_code(request: pytest.FixtureRequest) -> Iterator[None]:
    """The module's tests run with the native code, and again without it."""
    if request.param == "native" and NATIVE is None:
        without("The native code", "make setup compiles it where there is a C compiler")
    with pytest.MonkeyPatch.context() as patching:
        if request.param == "without":
            disable_native_code(patching)
        yield


def without(server: str, why: str) -> Never:
    """Skip, saying why; on CI a missing server is a failure, since a skipped promise is an
    unchecked one.
    """
    if os.environ.get("CI") == "true":
        pytest.fail(f"{server} is needed on CI: {why}", pytrace=False)
    pytest.skip(why)


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """Address of a real Kafka: the one named by SENTINEL_TEST_KAFKA, one that all processes of the
    run share, or one for this session.
    """
    if given := named(KAFKA, kafka_server.answers):
        yield given
        return
    if why := missing():
        without("Kafka", why)
    with KafkaServer() as server:
        yield server.address


@pytest.fixture(scope="session")
def kafka_jars() -> None:
    """What a test needs that starts a Kafka of its own."""
    if why := missing():
        without("Kafka", why)


@pytest.fixture
def own_kafka(kafka_jars: None) -> Iterator[KafkaServer]:
    """A running Kafka for one test alone, which may pause, kill and restart it."""
    with KafkaServer() as server:
        yield server


@pytest.fixture(scope="session")
def elastic_url() -> Iterator[str]:
    """URL of a real Elasticsearch: the one named by SENTINEL_TEST_ELASTICSEARCH, one that all
    processes of the run share, or one for this session.
    """
    if given := named(ELASTICSEARCH, elasticsearch.answers):
        yield given
        return
    if why := elasticsearch.missing():
        without("Elasticsearch", why)
    with ElasticServer() as server:
        yield server.url


@pytest.fixture
def own_elastic() -> Iterator[ElasticServer]:
    """A running Elasticsearch for one test alone, which may pause, kill and restart it."""
    if why := elasticsearch.missing():
        without("Elasticsearch", why)
    with ElasticServer() as server:
        yield server


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for topics, groups and transactional ids that no other test uses, so that tests
    share a broker only.
    """
    return f"t{uuid.uuid4().hex[:10]}."
