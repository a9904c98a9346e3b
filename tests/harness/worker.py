"""Workers as real processes on the shared broker, and what can be seen of them from outside."""

import http.client
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.admin.topics import create, specs
from streams.client.brokers import producer_config
from streams.settings import Broker, Lanes
from streams.topic_names import TopicNames
from tests.harness.metrics import scrape
from tests.harness.processes import WorkerProcess

CONTROL_KEY = "the key of these workers"

PATIENCE_S = 300.0
"""How long a machine that does other things too may take for what takes a second."""


def until(
    holds: Callable[[], object],
    what: str,
    patience_s: float = PATIENCE_S,
    worker: "Worker | None" = None,
) -> None:
    """Returns as soon as it holds; fails when it does not in time, or when the worker that it is
    about has ended.
    """
    deadline = time.monotonic() + patience_s
    while not holds():
        told = "" if worker is None else worker.said()
        assert worker is None or worker.status is None, (
            f"{what}: it ended with {worker.status}: {told}"
        )
        assert time.monotonic() < deadline, f"not within {patience_s:g} s: {what}; {told}"
        time.sleep(0.02)


@dataclass
class Installation:
    """Topics of one prefix, and the settings for workers on them."""

    address: str
    prefix: str
    folder: Path
    partitions: int = 2
    sections: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Further settings."""

    def __post_init__(self) -> None:
        self.names = TopicNames(self.prefix)
        self.broker = Broker(bootstrap_servers=self.address, topic_prefix=self.prefix)
        self.lanes = Lanes(partitions=self.partitions)
        self.admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        self.producer = Producer({**producer_config(self.broker), "linger.ms": 0, "log_level": 0})
        (self.folder / "key").write_text(CONTROL_KEY)

    def with_topics(self) -> "Installation":
        """After its topics were made."""
        create(self.admin, specs(self.names, self.lanes), timeout_s=PATIENCE_S)
        return self

    def config(self, **sections: Mapping[str, object]) -> Path:
        """A settings file."""
        all_sections: dict[str, dict[str, object]] = {
            "broker": {"bootstrap_servers": self.address, "topic_prefix": self.prefix},
            "lanes": {"partitions": self.partitions},
            "worker": {"control_key_file": "key"},
        }
        for name, section in (*self.sections.items(), *sections.items()):
            all_sections.setdefault(name, {}).update(section)
        path = self.folder / f"sentinel-{len(list(self.folder.glob('sentinel-*')))}.yaml"
        path.write_text(yaml.safe_dump(all_sections))
        return path

    @contextmanager
    def worker(
        self, stage: str, *command: str, **sections: Mapping[str, object]
    ) -> "Iterator[Worker]":
        """A running worker; `command` stands in for `python -m topology`."""
        worker = Worker(
            stage,
            self.config(**sections),
            self.folder,
            command or (sys.executable, "-m", "topology"),
        )
        try:
            yield worker
        finally:
            worker.kill()

    def send(
        self,
        topic: str,
        lane: int,
        values: Iterable[bytes | None],
        headers: Sequence[tuple[str, bytes]] = (),
        key: bytes = b"k",
    ) -> None:
        """Produces to one partition; returns when all are acknowledged."""
        for value in values:
            self.producer.produce(topic, value, key, partition=lane, headers=list(headers))
        assert self.producer.flush(120) == 0

    def read(self, topic: str, lane: int | None = None) -> list["Kept"]:
        """All committed records of a topic, or of one of its partitions."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.address,
                "group.id": f"{self.prefix}tests",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": False,
            }
        )
        found = []
        try:
            ends = {}
            for partition in range(self.partitions) if lane is None else [lane]:
                begin, end = consumer.get_watermark_offsets(
                    TopicPartition(topic, partition), timeout=10
                )
                if begin < end:
                    ends[partition] = end
            consumer.assign(
                [TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in ends]
            )
            while ends:
                for message in consumer.consume(1000, 0.05):
                    assert message.error() is None
                    place, headers = (
                        (message.partition() or 0, message.offset() or 0),
                        dict(message.headers() or []),
                    )
                    found.append(Kept(*place, message.key(), message.value(), headers))
                for at in consumer.position(
                    [TopicPartition(topic, partition) for partition in ends]
                ):
                    if at.offset >= ends[at.partition]:
                        del ends[at.partition]
        finally:
            consumer.close()
        return sorted(found, key=lambda kept: (kept.partition, kept.offset))


@dataclass(frozen=True)
class Kept:
    """A record as it stands in a topic."""

    partition: int
    offset: int
    key: object
    value: bytes | None
    headers: Mapping[str, object]


class Worker:
    """`sentinel worker STAGE` as a process of its own, which a test waits for and asks."""

    def __init__(self, stage: str, config: Path, folder: Path, command: Sequence[str]) -> None:
        self.stage = stage
        self.started = time.monotonic()
        name = f"{stage}-{config.stem}"
        started = WorkerProcess(stage, config, folder, command, port=0, name=name, where=Path.cwd())
        self._log = started.log
        self._process = started.start()

    @property
    def status(self) -> int | None:
        """Exit status; None while it runs."""
        return self._process.poll()

    def said(self) -> str:
        """Its output so far."""
        return self._log.read_text(errors="replace")

    def port(self) -> int:
        """Of health and metrics. Waits until it is told."""
        until(lambda: "health_port" in self.said(), f"{self.stage} tells its port", worker=self)
        found = re.search(r'"?health_port"?[:=]\s*(\d+)', self.said())
        assert found is not None, self.said()
        return int(found[1])

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page; status 0 when it does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port(), timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def ready(self) -> "Worker":
        """The worker once it is recovered and assigned."""
        until(lambda: self.get("/ready")[0] == 200, f"{self.stage} is ready", worker=self)
        return self

    def metric(self, name: str, **labels: object) -> float:
        """Sum of the samples of a metric that have these labels."""
        found = scrape(self.port())
        return 0.0 if found is None else found.total(name, **labels)

    def cpu_s(self) -> float:
        """CPU time that it has taken so far, seconds: what others do on the machine is not in
        it.
        """
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        self._process.send_signal(number)

    def ends(self, within_s: float = PATIENCE_S) -> int:
        """Its exit status, once it has ended."""
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.stage} does not end within {within_s:g} s: {self.said()}"
            ) from None

    def kill(self) -> None:
        """kill -9; fine when it has ended."""
        self._process.kill()
        self._process.wait()
