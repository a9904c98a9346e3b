"""What the demo sees while it plays: the records on the topics, how the workers do, and how much memory they take."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from schemas.records import Anomaly, Incident, Notification
from streams.settings import Broker
from streams.topics import TopicNames
from topology.commands.options import UserError
from topology.memory import shared_out_mb
from topology.reading import follow
from topology.scoring import Label, delay_s, finds

READY_S: Final = 90.0
"""Seconds the workers have to get ready."""

QUIET_S: Final = 5.0
"""Seconds without a new record after which everything that was played counts as worked off, when no worker is behind."""

SETTLE_S: Final = 120.0
"""Seconds after the last event after which the result is taken, quiet or not."""

_LOOK_EVERY_S: Final = 0.2
_PATIENCE: Final = aiohttp.ClientTimeout(total=2)

_MOST_LAG: Final = {"sentinel_lane_lag": 0.0, "sentinel_sink_lag": 1.0}
"""Offsets before a worker that has nothing more to do. The sink's last one is the mark that ends a transaction."""

Spotted = Callable[[Label, Anomaly, float], None]
"""Told a fault, the first anomaly that found it, and after how many seconds of event time."""


@dataclass(slots=True)
class Found:
    """What stands on the topics so far."""

    labels: Sequence[Label]
    spotted: Spotted
    anomalies: dict[str, Anomaly] = field(default_factory=dict)
    incidents: list[Incident] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    first_anomaly_at: float | None = None
    """Monotonic clock."""
    moved_at: float = field(default_factory=time.monotonic)
    """Monotonic clock of the newest record of any kind, watermarks included."""
    _spotted: set[str] = field(default_factory=set)

    def take(self, names: TopicNames, topic: str, value: bytes | None) -> None:
        """One record of a topic."""
        self.moved_at = time.monotonic()
        if value is None:
            return
        if topic == names.anomalies:
            self._take_anomaly(Anomaly.from_bytes(value))
        elif topic == names.incidents:
            self.incidents.append(Incident.from_bytes(value))
        elif topic == names.notifications:
            self.notifications.append(Notification.from_bytes(value))

    def _take_anomaly(self, anomaly: Anomaly) -> None:
        self.anomalies[anomaly.id] = anomaly
        self.first_anomaly_at = self.first_anomaly_at or self.moved_at
        for label in self.labels:
            if label.name not in self._spotted and finds(label, anomaly):
                self._spotted.add(label.name)
                self.spotted(label, anomaly, delay_s(label, anomaly))


def followed(broker: Broker, found: Found, ended: threading.Event) -> None:
    """Fills `found` until `ended` is set. Raises KafkaException."""
    names = TopicNames(broker.topic_prefix)
    for record in follow(broker, [names.anomalies, names.incidents, names.notifications], ended.is_set):
        found.take(names, record.topic, record.value)


async def until_answering(url: str, what: str, log: Path) -> None:
    """Until this address answers with 200. Raises UserError when it does not in time."""
    deadline = time.monotonic() + READY_S
    async with aiohttp.ClientSession(timeout=_PATIENCE) as session:
        while not await _answers(session, url):
            if time.monotonic() > deadline:
                raise UserError(f"{what} is not ready after {READY_S:g} s; its log is {log}")
            await asyncio.sleep(_LOOK_EVERY_S)


async def until_worked_off(ports: Mapping[str, int], found: Found, following: "asyncio.Task[None]") -> None:
    """No worker is behind its log, and nothing new came for a while; a worker that is only slow is waited for."""
    deadline = time.monotonic() + SETTLE_S
    async with aiohttp.ClientSession(timeout=_PATIENCE) as session:
        while time.monotonic() < deadline:
            behind = [await _is_behind(session, port) for port in ports.values()]
            if not any(behind) and time.monotonic() > found.moved_at + QUIET_S:
                return
            if following.done():
                following.result()
            await asyncio.sleep(_LOOK_EVERY_S)


async def stored(port: int) -> dict[str, int] | None:
    """Documents that the sink on this port has stored, by kind; None when it does not answer."""
    async with aiohttp.ClientSession(timeout=_PATIENCE) as session:
        samples = await _samples(session, port)
    if samples is None:
        return None
    name = "sentinel_sink_documents_total"
    return {
        labels["kind"]: round(value)
        for found, labels, value in samples
        if found == name and labels["outcome"] == "stored"
    }


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with session.get(url) as answer:
            return answer.status == 200
    return False


async def _is_behind(session: aiohttp.ClientSession, port: int) -> bool:
    """Whether the worker on this port has records before it, or is not ready to say so, by its own metrics."""
    samples = await _samples(session, port) or []
    if not any(name == "sentinel_ready" and value > 0 for name, _, value in samples):
        return True
    return any(name in _MOST_LAG and value > _MOST_LAG[name] for name, _, value in samples)


async def _samples(session: aiohttp.ClientSession, port: int) -> list[tuple[str, Mapping[str, str], float]] | None:
    """Every metric of a worker: name, labels, value."""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            families = text_string_to_metric_families(await answer.text())
            return [(one.name, one.labels, one.value) for family in families for one in family.samples]
    return None


@dataclass(slots=True)
class Peak:
    """The most memory of some processes together, looked at every second."""

    pids: Callable[[], list[int]]
    most_mb: float | None = None

    async def sample(self) -> None:
        """Until it is cancelled, or at once where the system does not tell."""
        while (now := await asyncio.to_thread(shared_out_mb, self.pids())) is not None:
            self.most_mb = max(now, self.most_mb or 0.0)
            await asyncio.sleep(1.0)
