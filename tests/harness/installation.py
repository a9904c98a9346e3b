"""A whole installation for one measurement: a real Kafka of its own, topics, settings, and workers
as real processes.
"""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import yaml
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin._listoffsets import OffsetSpec

from agents.detectors.settings import DetectionSettings
from schemas.secrets import Secret
from streams.admin.topics import create, specs
from streams.client.brokers import reach
from streams.settings import Broker, Lanes
from streams.topic_names import TopicNames
from tests.harness.processes import WorkerProcess
from tests.harness.servers.kafka import CannotStartKafka, KafkaServer
from tests.harness.showing import BenchmarkFailed
from topology.control.publishing import publish
from topology.demo.traces.outbox import load_config
from topology.supervision.supervisor import sentinel

PARTITIONS: Final = 4
"""Of every topic; the number that the goals are stated for."""

T = TypeVar("T")

_TOPICS_S: Final = 120.0
"""A small broker needs a while for 64 partitions of every topic."""


Sections = Mapping[str, Mapping[str, object]]
"""Settings by section, as in a settings file."""


@dataclass(frozen=True, slots=True)
class Installation:
    """A running Kafka with our topics, and a settings file for workers on it. `folder` goes with
    it.
    """

    server: KafkaServer
    folder: Path
    broker: Broker
    lanes: Lanes
    config: Path
    control_key: Secret

    @property
    def names(self) -> TopicNames:
        """Of its topics."""
        return TopicNames(self.broker.topic_prefix)

    def worker(self, stage: str, program: Sequence[str] | None = None) -> WorkerProcess:
        """A worker of the stage, not yet started; `program` stands in the place of `sentinel`."""
        return WorkerProcess(
            stage, self.config, self.folder, sentinel() if program is None else program
        )

    def publish(self, detection: DetectionSettings) -> str:
        """Lets detection settings take effect in every lane from here on; the version's id."""
        return publish(self.broker, self.lanes, detection, self.control_key, "benchmark")

    def load_producer(
        self,
        linger_ms: int | None = None,
        compression: str = "lz4",
        batch_records: int | None = None,
    ) -> Producer:
        """A producer that makes load, compressing as our own producers do; `batch_records` None
        means as many as they batch.
        """
        few = {} if batch_records is None else {"batch.num.messages": batch_records}
        return Producer({**load_config(self.broker, linger_ms, compression), **few, "log_level": 0})


@dataclass(frozen=True, slots=True)
class Kept:
    """What a topic takes on disk."""

    offsets: int
    """Records, and markers of transactions."""
    bytes: int
    """As compressed as they are, without indexes."""


def kept(installation: Installation, topic: str) -> Kept:
    """What a topic takes now, by its name without a prefix."""
    name, latest = f"{installation.names.prefix}{topic}", OffsetSpec.latest()  # type: ignore[no-untyped-call]
    admin, _ = reach(installation.broker)
    partitions = [TopicPartition(name, number) for number in range(installation.lanes.partitions)]
    ends = admin.list_offsets(dict.fromkeys(partitions, latest)).values()
    return Kept(
        sum(end.result(_TOPICS_S).offset for end in ends), installation.server.log_bytes(name)
    )


@contextlib.contextmanager
def installed(
    sections: Sections | None = None,
    partitions: int = PARTITIONS,
    broker_overrides: Mapping[str, str] | None = None,
) -> Iterator[Installation]:
    """Starts everything but workers, and removes it afterwards. Raises BenchmarkFailed where Kafka
    cannot be started.
    """
    # Workers start as they do in service, with their modules compiled once and not at every start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with (
        tempfile.TemporaryDirectory(prefix="sentinel-benchmark-") as name,
        _kafka(broker_overrides) as server,
    ):
        folder = Path(name)
        broker, lanes = Broker(bootstrap_servers=server.address), Lanes(partitions=partitions)
        key = secrets.token_hex(32)
        config = folder / "sentinel.yaml"
        given = {section: dict(values) for section, values in (sections or {}).items()}
        given.setdefault("broker", {})["bootstrap_servers"] = server.address
        given.setdefault("lanes", {})["partitions"] = partitions
        given.setdefault("worker", {}).update(control_key=key, log_level="warning")
        config.touch(mode=0o600)
        config.write_text(yaml.safe_dump(given))
        admin, _ = reach(broker)
        create(admin, specs(TopicNames(broker.topic_prefix), lanes), timeout_s=_TOPICS_S)
        yield Installation(server, folder, broker, lanes, config, Secret(key))


@contextlib.contextmanager
def _kafka(overrides: Mapping[str, str] | None) -> Iterator[KafkaServer]:
    try:
        server = KafkaServer(overrides, is_measured=True)
        server.start()
    except CannotStartKafka as why:
        raise BenchmarkFailed(str(why)) from why
    with contextlib.closing(server):
        yield server
