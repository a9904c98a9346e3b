"""The embedded broker: librdkafka's mock of Kafka in a process of its own, for the demo and quick
trials. It keeps nothing.

    python -m topology.supervision.embedded    # prints host:port, and serves until SIGTERM

Its limits: a topic is created when a client asks for its metadata, always with 4 partitions; a
partition keeps its last 5 MB; there is no compaction, no append time and no fencing.
"""

import signal
import subprocess
import sys
import threading
from types import TracebackType
from typing import Final, Self

from confluent_kafka import Producer

from schemas.errors import UserError
from streams.admin.topics import EMBEDDED_PARTITIONS
from topology.supervision.announcing import end_at_once, start_announcing
from topology.supervision.orphans import end_with_parent

START_S: Final = 30.0


class EmbeddedFailed(UserError):
    """The embedded broker did not start."""


class EmbeddedBroker:
    """The embedded broker as a child process; `address` is set on entering."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.address = ""

    @property
    def pid(self) -> int | None:
        """Its process id; None when it does not run."""
        return None if self._process is None else self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        """Environment of a `sentinel` process that connects to this broker, in plain text and
        without a user.
        """
        return {
            "SENTINEL_BROKER__BOOTSTRAP_SERVERS": self.address,
            "SENTINEL_BROKER__EMBEDDED": "true",
            "SENTINEL_BROKER__TLS": "false",
            "SENTINEL_BROKER__USERNAME": "null",
            "SENTINEL_LANES__PARTITIONS": str(EMBEDDED_PARTITIONS),
        }

    def __enter__(self) -> Self:
        self._process, self.address = start_announcing(
            "topology.supervision.embedded", stderr=subprocess.DEVNULL
        )
        if not self.address:
            self.__exit__(None, None, None)
            raise EmbeddedFailed(
                "the embedded broker did not start: run `python -m topology.supervision.embedded`"
                " to see why"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            # It keeps nothing, so there is nothing to save.
            end_at_once(process)


def serve() -> None:
    """Start the broker, print its address, and stay until SIGTERM or SIGINT."""
    end_with_parent()
    stopping = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stopping.set())
    broker = Producer({"bootstrap.servers": "embedded", "test.mock.num.brokers": 1, "log_level": 0})
    (member,) = broker.list_topics(timeout=START_S).brokers.values()
    sys.stdout.write(f"{member.host}:{member.port}\n")
    sys.stdout.flush()
    while not stopping.wait(0.5):
        # Serves librdkafka's callbacks, which would pile up otherwise.
        broker.poll(0)


if __name__ == "__main__":
    serve()
