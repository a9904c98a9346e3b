"""A real Kafka (KRaft, one node or three) on free ports of this machine, for tests and benchmarks.

The jars are fetched by `make servers` into `.servers/kafka/libs`. Several servers run beside each
other; each keeps its log in a folder of its own, which goes when the server is closed.

    with KafkaServer() as server:
        server.address          # "127.0.0.1:40123"
    with KafkaCluster() as cluster:
        cluster.address         # "127.0.0.1:40123,127.0.0.1:40125,127.0.0.1:40127"
"""

import base64
import contextlib
import glob
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.harness.servers.process import (
    SHORT_LIVED,
    CannotStart,
    Server,
    killed_with_parent,
    last_lines,
)
from topology.supervision.ports import free_port

LIBS = Path(__file__).parents[3] / ".servers" / "kafka" / "libs"
_PROPERTIES = "server.properties"

SMALL_BROKER: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    # A killed broker may register again only when its old session is over: 9 s by default.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # The cleaner takes 128 MB of heap by default, for one small log.
    "log.cleaner.dedupe.buffer.size": "33554432",
}
"""One node that is everything, with internal topics small enough to come up in a second. What a
topic can set is left at Kafka's defaults, so that tests see the defaults of a real cluster.
"""


COPIES: Mapping[str, str] = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
}
"""What a node of three has differently: everything is there three times, and two of them have
acknowledged it.
"""


class CannotStartKafka(CannotStart):
    """Kafka did not come up; says what is missing or what its log said last."""


def missing() -> str | None:
    """What this machine lacks to run the server, in words with the command that helps; None when
    nothing is missing.
    """
    if shutil.which("java") is None:
        return "Kafka needs Java 17 or newer, and there is no `java` on the PATH"
    if not any(LIBS.glob("kafka_2.13-*.jar")):
        return f"Kafka's jars are not in {LIBS}: run `make servers`"
    return None


@dataclass(frozen=True, slots=True)
class Seat:
    """Who a node is among those of its cluster."""

    node: int
    ports: tuple[int, int]
    """Of the broker and of the controller."""
    voters: str
    cluster: str
    """Id, as Kafka writes it."""

    @staticmethod
    def of(nodes: int) -> Sequence["Seat"]:
        """Of a new cluster, for each of its nodes."""
        ports = [(free_port(), free_port()) for _ in range(nodes)]
        voters = ",".join(
            f"{node}@127.0.0.1:{controller}" for node, (_, controller) in enumerate(ports, 1)
        )
        cluster = base64.urlsafe_b64encode(b"\x00" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        return [Seat(node, each, voters, cluster) for node, each in enumerate(ports, 1)]


class KafkaServer(Server):
    """One Kafka process. `start` and `stop` may alternate on the same address and the same log;
    `close` removes both.

    Args:
        overrides: broker settings that take precedence over `SMALL_BROKER`.
        heap_mb: most heap of the Java process, megabytes.
        extra_listeners: further `PROTOCOL://host:port` beside the plain-text one.
        advertised: by listener's name the `host:port` that clients are told, where it is another
        one: of a proxy before it.
        seat: among other nodes; by default it is alone.
        is_measured: whether its speed matters: Java then optimizes what runs often.
    """

    def __init__(
        self,
        overrides: Mapping[str, str] | None = None,
        heap_mb: int = 768,
        extra_listeners: Sequence[str] = (),
        advertised: Mapping[str, str] | None = None,
        seat: Seat | None = None,
        *,
        is_measured: bool = False,
    ) -> None:
        super().__init__("kafka", CannotStartKafka)
        self._seat = seat if seat is not None else Seat.of(1)[0]
        self._advertised = dict(advertised or {})
        self._overrides = dict(overrides or {})
        self._extra_listeners = tuple(extra_listeners)
        self._java_options = (
            f"-Xmx{heap_mb}m",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            *(() if is_measured else SHORT_LIVED),
        )

    @property
    def address(self) -> str:
        """`host:port` for `bootstrap_servers`; the same over stops and starts."""
        return self.where

    def log_bytes(self, topic: str) -> int:
        """What the records of a topic take on disk now, all partitions, without indexes."""
        if self._folder is None:
            raise CannotStartKafka("not started")
        segments = self._folder.glob(f"log/{glob.escape(topic)}-*/*.log")
        return sum(
            path.stat().st_size for path in segments if path.parent.name.rpartition("-")[0] == topic
        )

    def _missing(self) -> str | None:
        return missing()

    def _where(self) -> str:
        return f"127.0.0.1:{self._seat.ports[0]}"

    def _answers(self) -> bool:
        return answers(self.address)

    def _command(self, folder: Path) -> Sequence[str]:
        return [*killed_with_parent(), *self._java("kafka.Kafka", str(folder / _PROPERTIES))]

    def _environment(self, folder: Path) -> dict[str, str]:
        return dict(os.environ)

    def _java(self, *command: str) -> list[str]:
        return ["java", *self._java_options, "-cp", f"{LIBS}{os.sep}*", *command]

    def _configure(self, folder: Path) -> None:
        properties = folder / _PROPERTIES
        settings = self._settings(folder)
        properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        done = subprocess.run(
            self._java(
                "kafka.tools.StorageTool", "format", "-t", self._seat.cluster, "-c", str(properties)
            ),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise CannotStartKafka(
                f"formatting the log failed: {last_lines(done.stdout + done.stderr)}"
            )

    def _settings(self, folder: Path) -> Mapping[str, str]:
        broker, controller = self._seat.ports
        listeners = (f"PLAINTEXT://127.0.0.1:{broker}", *self._extra_listeners)
        told = [
            each
            if (name := each.partition(":")[0]) not in self._advertised
            else f"{name}://{self._advertised[name]}"
            for each in listeners
        ]
        return {
            **SMALL_BROKER,
            "node.id": str(self._seat.node),
            "listeners": ",".join((*listeners, f"CONTROLLER://127.0.0.1:{controller}")),
            "advertised.listeners": ",".join(told),
            "controller.quorum.voters": self._seat.voters,
            "log.dirs": str(folder / "log"),
            **self._overrides,
        }


class KafkaCluster:
    """Three nodes, each broker and controller, with three copies of everything: one may be gone,
    and all goes on.

    Args:
        heap_mb: most heap of each Java process, megabytes.
    """

    def __init__(self, heap_mb: int = 512) -> None:
        self.nodes: Sequence[KafkaServer] = [
            KafkaServer(COPIES, heap_mb, seat=seat) for seat in Seat.of(3)
        ]
        """Each may be paused, killed and started by itself."""
        self._runs = False

    @property
    def address(self) -> str:
        """Of all nodes, for `bootstrap_servers`."""
        return ",".join(node.address for node in self.nodes)

    def start(self) -> str:
        """Start all nodes if they have not been, wait until they know each other, and return the
        address. Raises CannotStartKafka.
        """
        if not self._runs:
            for node in self.nodes:
                node.launch()
            for node in self.nodes:
                node.wait_until_ready()
            self._runs = True
        self.wait_until_whole()
        return self.address

    def wait_until_whole(self, timeout_s: float = 60.0) -> None:
        """Return when every node is known and every copy is in step. Raises CannotStartKafka."""
        deadline = time.monotonic() + timeout_s
        while not self._is_whole():
            if time.monotonic() > deadline:
                raise CannotStartKafka(
                    f"the nodes {self.address} are not in step within {timeout_s:g} s"
                )
            time.sleep(0.1)

    def close(self) -> None:
        """End all at once and remove the logs."""
        for node in self.nodes:
            node.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def _is_whole(self) -> bool:
        admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        try:
            known = admin.list_topics(timeout=2)
        except KafkaException:
            return False
        copies = [
            partition for topic in known.topics.values() for partition in topic.partitions.values()
        ]
        return len(known.brokers) == len(self.nodes) and all(
            len(each.isrs) == len(each.replicas) for each in copies
        )


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def answers(address: str) -> bool:
    """Whether a broker on this machine serves requests."""
    if not _accepts(int(address.rpartition(":")[2])):
        # A client that cannot connect says so on standard error, again and again.
        return False
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    try:
        return bool(admin.list_topics(timeout=2).brokers)
    except KafkaException:
        return False
