"""A real Kafka (KRaft, one node) on free ports of this machine, for tests and benchmarks.

The jars are fetched by `make servers` into `.servers/kafka/libs`. Several servers run beside each other; each keeps its
log in a folder of its own, which goes when the server is closed.

    with KafkaServer() as server:
        server.address          # "127.0.0.1:40123"
"""

import base64
import contextlib
import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from topology.ports import free_port

LIBS = Path(__file__).parents[2] / ".servers" / "kafka" / "libs"

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
"""One node that is everything, with internal topics small enough to come up in a second. What a topic can set is left
at Kafka's defaults, so that tests see the defaults of a real cluster."""


class CannotStartKafka(Exception):
    """The server did not come up; says what is missing or what its log said last."""


def missing() -> str | None:
    """What this machine lacks to run the server, in words with the command that helps; None when nothing is missing."""
    if shutil.which("java") is None:
        return "Kafka needs Java 17 or newer, and there is no `java` on the PATH"
    if not any(LIBS.glob("kafka_2.13-*.jar")):
        return f"Kafka's jars are not in {LIBS}: run `make servers`"
    return None


class KafkaServer:
    """One Kafka process. `start` and `stop` may alternate on the same address and the same log; `close` removes both.

    Args:
        overrides: broker settings that take precedence over `SMALL_BROKER`.
        heap_mb: most heap of the Java process, megabytes.
        extra_listeners: further `PROTOCOL://host:port` beside the plain-text one.
        advertised: by listener's name the `host:port` that clients are told, where it is another one: of a proxy before it.
    """

    def __init__(
        self,
        overrides: Mapping[str, str] | None = None,
        heap_mb: int = 768,
        extra_listeners: Sequence[str] = (),
        advertised: Mapping[str, str] | None = None,
    ) -> None:
        self._advertised = dict(advertised or {})
        self._overrides = dict(overrides or {})
        self._extra_listeners = tuple(extra_listeners)
        self._heap_mb = heap_mb
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ports = (0, 0)

    @property
    def address(self) -> str:
        """`host:port` for `bootstrap_servers`; the same over stops and starts."""
        if self._folder is None:
            raise CannotStartKafka("not started")
        return f"127.0.0.1:{self._ports[0]}"

    @property
    def pid(self) -> int:
        """Process id of the running server, for measuring its CPU and memory."""
        return self._running().pid

    def log_bytes(self, topic: str) -> int:
        """What the records of a topic take on disk now, all partitions, without indexes."""
        if self._folder is None:
            raise CannotStartKafka("not started")
        segments = self._folder.glob(f"log/{glob.escape(topic)}-*/*.log")
        return sum(path.stat().st_size for path in segments if path.parent.name.rpartition("-")[0] == topic)

    def start(self, timeout_s: float = 60.0) -> str:
        """Start, wait until it answers, and return the address. Raises CannotStartKafka with the log's end."""
        if why := missing():
            raise CannotStartKafka(why)
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="sentinel-kafka-"))
            self._ports = (free_port(), free_port())
            self._format(self._folder)
        # setpriv: when the test run is killed, the server goes too.
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*guard, *self._java("kafka.Kafka", str(self._folder / "server.properties"))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_until_ready(timeout_s)
        except CannotStartKafka:
            self.close()
            raise
        return self.address

    def stop(self) -> None:
        """Shut down in order; the log stays for the next `start`."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End at once, as a machine that loses power; the log stays for the next `start`."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the process: connections stay open and nothing answers, as with a broker behind a broken network."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End at once and remove the log. Closing twice is fine."""
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise CannotStartKafka("not running")
        return self._process

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(how)
            self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _java(self, *command: str) -> list[str]:
        options = [f"-Xmx{self._heap_mb}m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        return ["java", *options, "-cp", f"{LIBS}{os.sep}*", *command]

    def _format(self, folder: Path) -> None:
        broker, controller = self._ports
        listeners = (f"PLAINTEXT://127.0.0.1:{broker}", *self._extra_listeners)
        told = [
            each if (name := each.partition(":")[0]) not in self._advertised else f"{name}://{self._advertised[name]}"
            for each in listeners
        ]
        settings = {
            **SMALL_BROKER,
            "listeners": ",".join((*listeners, f"CONTROLLER://127.0.0.1:{controller}")),
            "advertised.listeners": ",".join(told),
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "log.dirs": str(folder / "log"),
            **self._overrides,
        }
        properties = folder / "server.properties"
        properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        cluster = base64.urlsafe_b64encode(b"\x00" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        done = subprocess.run(
            self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            self._folder = None
            raise CannotStartKafka(f"formatting the log failed: {_last_lines(done.stdout + done.stderr)}")

    def _wait_until_ready(self, timeout_s: float) -> None:
        assert self._folder is not None
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._running().poll() is not None:
                break
            if _accepts(self._ports[0]) and _answers(self.address):
                return
            time.sleep(0.1)
        log = (self._folder / "server.log").read_text(errors="replace")
        raise CannotStartKafka(f"no answer from {self.address} within {timeout_s:g} s: {_last_lines(log)}")


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _answers(address: str) -> bool:
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    try:
        return bool(admin.list_topics(timeout=2).brokers)
    except KafkaException:
        return False


def _last_lines(text: str) -> str:
    lines: Sequence[str] = [line for line in text.splitlines() if line.strip() and not line.startswith("\tat ")]
    return " | ".join(lines[-5:]) or "it said nothing"
