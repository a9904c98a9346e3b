"""The demo's installation: broker, a worker for each stage, store, API with the page, and their
settings.
"""

import contextlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from schemas.secrets import Secret
from streams.admin.topics import EMBEDDED_PARTITIONS, STAGES
from streams.settings import Broker
from topology.demo.receiver import WebhookInbox
from topology.stages.standalone import api_process, stage_processes
from topology.supervision.embedded import EmbeddedBroker
from topology.supervision.ports import free_port
from topology.supervision.supervisor import Child

WORKERS: Final = (*STAGES, "sink")

TICK_AFTER_S: Final = 60.0
"""Seconds without records before a tick: more than playing ever pauses. During a pause event time
does not move, so ticks would make the next events late.
"""


@dataclass(frozen=True, slots=True)
class Installation:
    """Addresses, ports and folders of the demo. `folder` holds the store and is deleted at the end;
    `logs`, with a file for each process, is kept.
    """

    broker: Broker
    pids: tuple[int, ...]
    """Processes that run already: this one, and the broker where the demo started it."""
    folder: Path
    logs: Path
    ports: Mapping[str, int] = field(
        default_factory=lambda: {worker: free_port() for worker in WORKERS}
    )
    """Of health and metrics, by worker."""
    api_port: int = field(default_factory=free_port)
    token: Secret = field(default_factory=lambda: Secret(secrets.token_urlsafe(24)))
    """Operators' token of the API."""
    control_key: Secret = field(default_factory=lambda: Secret(secrets.token_hex(32)))
    other_store: Mapping[str, str] = field(default_factory=dict)
    """Settings of another store than one file in `folder`, as environment variables."""

    @property
    def page(self) -> str:
        """Address of the page, as messages link to it."""
        return f"http://127.0.0.1:{self.api_port}"

    def log(self, process: str) -> Path:
        """The log file of this process."""
        return self.logs / f"{process}.log"

    @property
    def link(self) -> str:
        """The page with the token, as a browser is given it: what follows a # is sent to nobody."""
        return f"{self.page}/#token={self.token.reveal()}"

    def children(self, inbox: WebhookInbox) -> list[Child]:
        """Everything to keep running. Writes the token's file."""
        common, api = self._environment(inbox), api_process(None, self.ports)
        children = [
            Child(api.name, api.command, {**common, **api.environment, **self._api_environment()}),
            *stage_processes(None, self.folder / "decoding", self.ports, common, WORKERS),
        ]
        # Their output would destroy the progress bar.
        return [replace(child, log=self.log(child.name)) for child in children]

    def _environment(self, inbox: WebhookInbox) -> dict[str, str]:
        receiver = {
            "name": "demo",
            "kind": "webhook",
            "url": inbox.url,
            "secret": inbox.secret.reveal(),
            "allow_private": True,
        }
        return {
            "SENTINEL_BROKER__BOOTSTRAP_SERVERS": self.broker.bootstrap_servers,
            "SENTINEL_BROKER__TOPIC_PREFIX": self.broker.topic_prefix,
            "SENTINEL_BROKER__EMBEDDED": str(self.broker.embedded).lower(),
            "SENTINEL_LANES__PARTITIONS": str(EMBEDDED_PARTITIONS),
            "SENTINEL_LANES__TICK_AFTER_S": str(TICK_AFTER_S),
            "SENTINEL_ALERTING__RECEIVERS": json.dumps([receiver]),
            "SENTINEL_ALERTING__PAGE_URL": self.page,
            # The hour's incidents are up to an hour old when they arrive.
            "SENTINEL_ALERTING__ALERT_MAX_AGE_S": str(86_400),
            "SENTINEL_WORKER__CONTROL_KEY": self.control_key.reveal(),
            **(self.other_store or self._file()),
        }

    def _file(self) -> dict[str, str]:
        return {
            "SENTINEL_STORE__KIND": "embedded",
            "SENTINEL_STORE__PATH": str(self.folder / "sentinel.db"),
        }

    def _api_environment(self) -> dict[str, str]:
        token = self.folder / "token"
        # Created private before anything is in it.
        token.touch(mode=0o600)
        token.write_text(self.token.reveal())
        return {
            "SENTINEL_API__PORT": str(self.api_port),
            "SENTINEL_API__TOKEN_FILE": str(token),
        }


@contextlib.contextmanager
def installed(
    kafka: str | None, other_store: Mapping[str, str] | None = None
) -> Iterator[Installation]:
    """An installation on this broker (`host:port`; None starts the embedded one), of which nothing
    but the broker runs yet.
    """
    # The demo has its own settings: an installation's environment must not change them.
    for name in [name for name in os.environ if name.startswith("SENTINEL_")]:
        del os.environ[name]
    with (
        _broker(kafka) as (broker, pids),
        tempfile.TemporaryDirectory(prefix="sentinel-demo-") as folder,
    ):
        # Not in `folder`: the logs are wanted most after a failure, when that is deleted.
        logs = Path(tempfile.mkdtemp(prefix="sentinel-demo-logs-"))
        yield Installation(
            broker, (os.getpid(), *pids), Path(folder), logs, other_store=other_store or {}
        )


@contextlib.contextmanager
def _broker(kafka: str | None) -> Iterator[tuple[Broker, tuple[int, ...]]]:
    """The broker, and the processes that were started for it."""
    # A prefix of its own, so that a real broker may hold several demos and other topics.
    prefix = f"demo-{secrets.token_hex(4)}."
    if kafka is not None:
        yield Broker(bootstrap_servers=kafka, topic_prefix=prefix), ()
        return
    with EmbeddedBroker() as embedded:
        pids = (embedded.pid,) if embedded.pid is not None else ()
        yield Broker(bootstrap_servers=embedded.address, topic_prefix=prefix, embedded=True), pids
