"""A whole installation for one measurement: a real Kafka of its own, topics, settings, and workers
as real processes.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import psutil
import yaml
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin._listoffsets import OffsetSpec

from agents.detectors.settings import DetectionSettings
from schemas.secrets import Secret
from streams.admin.topics import create, specs
from streams.client.brokers import reach
from streams.settings import Broker, Lanes
from streams.topic_names import TopicNames
from tests.harness.scraping import Scrape, is_ready, scrape
from tests.harness.servers.kafka import CannotStartKafka, KafkaServer
from tests.harness.showing import BenchmarkFailed
from topology.control.publishing import publish
from topology.demo.traces.outbox import load_config
from topology.supervision.memory import shared_out_mb
from topology.supervision.orphans import PARENT
from topology.supervision.ports import free_port
from topology.supervision.supervisor import sentinel

PARTITIONS: Final = 4
"""Of every topic; the number that the goals are stated for."""

T = TypeVar("T")

_READY_S: Final = 120.0
_TOPICS_S: Final = 120.0
"""A small broker needs a while for 64 partitions of every topic."""

_LOG_LINES: Final = 3

Sections = Mapping[str, Mapping[str, object]]
"""Settings by section, as in a settings file."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used so far, or what processes used between two looks."""

    cpu_s: float
    wall_s: float

    def since(self, before: "Usage") -> "Usage":
        """The difference."""
        return Usage(self.cpu_s - before.cpu_s, self.wall_s - before.wall_s)

    @property
    def share(self) -> float:
        """Of one CPU."""
        return self.cpu_s / self.wall_s if self.wall_s else 0.0


def usage(pid: int) -> Usage:
    """CPU time of a process with all its threads, user and system, and the time of the look. Raises
    psutil.NoSuchProcess.
    """
    times = psutil.Process(pid).cpu_times()
    return Usage(times.user + times.system, time.monotonic())


@dataclass(slots=True)
class WorkerProcess:
    """`sentinel worker STAGE` as a process of its own. Leaving the context ends it, however it is
    left.
    """

    stage: str
    config: Path
    folder: Path
    program: Sequence[str] = field(default_factory=sentinel)
    """What is run; its arguments follow."""
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        return self._running().pid

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.folder / f"{self.stage}.log"

    def start(self) -> None:
        """Start it; it is not ready yet."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.program, "worker", self.stage, "--config", str(self.config)],
                env={
                    **os.environ,
                    "SENTINEL_WORKER__HEALTH_PORT": str(self.port),
                    PARENT: str(os.getpid()),
                },
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def scrape(self) -> Scrape | None:
        """Its metrics; None while it does not answer. Raises BenchmarkFailed when it has ended."""
        self._check()
        return scrape(self.port)

    def usage(self) -> Usage:
        """Its CPU time."""
        return usage(self.pid)

    def memory_mb(self) -> tuple[float, float]:
        """PSS and RSS now, megabytes."""
        pss = shared_out_mb([self.pid])
        return pss or 0.0, psutil.Process(self.pid).memory_info().rss / 2**20

    def wait_ready(self, timeout_s: float = _READY_S, every_s: float = 0.05) -> None:
        """Until it is recovered and assigned. Raises BenchmarkFailed."""
        wait_until(
            lambda: is_ready(self.port),
            timeout_s,
            f"{self.stage} is not ready",
            self._check,
            every_s,
        )

    def stop(self, timeout_s: float = 120.0) -> None:
        """SIGTERM, and wait until it flushed and ended. Raises BenchmarkFailed when it ended
        otherwise.
        """
        process = self._running()
        self._check()
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise BenchmarkFailed(
                f"{self.stage} does not end within {timeout_s:g} s: {self.last_words()}"
            ) from None
        self._process = None
        if status != 0:
            raise BenchmarkFailed(f"{self.stage} ended with status {status}: {self.last_words()}")

    def last_words(self) -> str:
        """The end of its log, on one line."""
        return last_words(self.log)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise BenchmarkFailed(f"{self.stage} is not running")
        return self._process

    def _check(self) -> None:
        if (status := self._running().poll()) is not None:
            raise BenchmarkFailed(f"{self.stage} ended with status {status}: {self.last_words()}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


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
        sum(end.result(_READY_S).offset for end in ends), installation.server.log_bytes(name)
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
        server = KafkaServer(overrides)
        server.start()
    except CannotStartKafka as why:
        raise BenchmarkFailed(str(why)) from why
    with contextlib.closing(server):
        yield server


def wait_until(
    done: Callable[[], T | None],
    timeout_s: float,
    what: str,
    check: Callable[[], None] = lambda: None,
    every_s: float = 0.05,
) -> T:
    """Looks until there is something or it is done, and answers with that; `check` raises when it
    never will be. Raises BenchmarkFailed, saying `what`, when time is up.
    """
    deadline = time.monotonic() + timeout_s
    while not (found := done()):
        check()
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"{what} after {timeout_s:g} s")
        time.sleep(every_s)
    return found


def last_words(log: Path, most: int = _LOG_LINES) -> str:
    """The end of a log, at most so many of its lines, on one line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-most:]) or "it said nothing"
