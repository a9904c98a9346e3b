"""The clients: how each is started, and what it says of what it sent."""

import contextlib
import os
import shutil
import subprocess
import sys
import threading
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.harness.processes import last_words
from tests.harness.showing import BenchmarkFailed

PRODUCERS: Final = Path(__file__).parent / "producers"
INSTALLED: Final = Path(__file__).parents[2] / ".servers" / "foreign"
"""Where `make foreign` puts each client's own environment."""

_END_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Client:
    """A program that reads lines of JSON, `{"key": …, "event": {…}}`, frames each event by Avro as
    its own library does, and sends it.

    It says `ready` when it has reached the broker, and then of what is stored `PARTITION OFFSET`, a
    line each.
    """

    name: str
    partitioner: str
    """How it places a record with a key, as people call it."""
    command: tuple[str, ...]
    needs: Path | None = None
    """What `make foreign` leaves when it is installed; None means that our own environment has all
    it takes.
    """

    def missing(self) -> str | None:
        """What is not installed, with the command that helps; None when nothing is missing."""
        if self.needs is None or self.needs.exists():
            return None
        return f"{self.name} is not installed: run `make foreign`, or leave it out with --clients"


def _clients() -> tuple[Client, ...]:
    java, sarama, kafkajs, kafka_python = (
        INSTALLED / name for name in ("java", "sarama", "kafkajs", "kafka_python")
    )
    return (
        Client(
            "java",
            "murmur2",
            ("java", "-Xmx512m", "-cp", f"{java}/libs/*:{java}/classes", "Sender"),
            java / ".built",
        ),
        Client("librdkafka", "CRC-32", (sys.executable, str(PRODUCERS / "librdkafka_sender.py"))),
        Client("sarama", "FNV-1a", (str(sarama / "sender"),), sarama / "sender"),
        Client("kafkajs", "murmur2", ("node", str(kafkajs / "sender.js")), kafkajs / ".installed"),
        Client(
            "kafka-python",
            "murmur2",
            (str(kafka_python / "bin" / "python"), str(PRODUCERS / "kafka_python_sender.py")),
            kafka_python / ".installed",
        ),
    )


CLIENTS: Final[Mapping[str, Client]] = {client.name: client for client in _clients()}
"""By name."""


@dataclass(slots=True)
class Running:
    """A client that runs. Another thread than its user's reads what it says."""

    client: Client
    process: "subprocess.Popen[bytes]"
    log: Path
    stored: dict[int, "array[int]"] = field(default_factory=lambda: defaultdict(lambda: array("q")))
    """Offsets that it says are stored, by partition; KafkaJS tells the first of each batch only."""
    is_ready: threading.Event = field(default_factory=threading.Event)
    _listener: threading.Thread | None = None

    @staticmethod
    def started(client: Client, broker: str, topic: str, schema: Path, folder: Path) -> "Running":
        """Starts it. Raises BenchmarkFailed where it is not installed."""
        if (why := client.missing()) is not None:
            raise BenchmarkFailed(why)
        log = folder / f"{client.name}.log"
        # setpriv: when the benchmark is killed, the client goes too.
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        told = {"FOREIGN_BROKER": broker, "FOREIGN_TOPIC": topic, "FOREIGN_SCHEMA": str(schema)}
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [*guard, *client.command],
                env={**os.environ, **told},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        running = Running(client, process, log)
        running._listener = threading.Thread(target=running._listen, daemon=True)
        running._listener.start()
        return running

    def wait_ready(self, timeout_s: float) -> None:
        """Until it has reached the broker. Raises BenchmarkFailed."""
        if not self.is_ready.wait(timeout_s) or self.process.poll() is not None:
            raise BenchmarkFailed(f"{self.client.name} is not ready: {last_words(self.log)}")

    def send(self, lines: Sequence[bytes]) -> None:
        """Waits while the client has enough to do. Raises BenchmarkFailed when it has ended."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(b"".join(lines))
            self.process.stdin.flush()
        except OSError:
            raise BenchmarkFailed(f"{self.client.name} has ended: {last_words(self.log)}") from None

    def finish(self) -> None:
        """Until everything is stored. Raises BenchmarkFailed when it is not."""
        assert self.process.stdin is not None
        assert self._listener is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            status = self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            raise BenchmarkFailed(
                f"{self.client.name} does not end: {last_words(self.log)}"
            ) from None
        if status != 0:
            raise BenchmarkFailed(
                f"{self.client.name} ended with status {status}: {last_words(self.log)}"
            )
        self._listener.join()

    def drop(self) -> None:
        """Ends it, however it is."""
        assert self._listener is not None
        self.process.kill()
        self.process.wait()
        self._listener.join()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == b"ready":
                self.is_ready.set()
            else:
                partition, offset = map(int, line.split())
                self.stored[partition].append(offset)
        self.is_ready.set()
