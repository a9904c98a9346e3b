"""Watches a running demo: the records on the topics, the workers' progress and their memory."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from schemas.records.anomalies import Anomaly
from schemas.records.incidents import Incident
from schemas.records.notifications import Notification
from streams.settings import Broker
from streams.topic_names import TopicNames
from topology.control.reading import follow
from topology.demo.progress import Seen, cpu_seconds
from topology.demo.scoring import Label, delay_s, finds
from topology.supervision.memory import shared_out_mb

QUIET_S: Final = 5.0
"""Seconds without a new record, with no worker behind, after which everything counts as
processed.
"""

_LOOK_EVERY_S: Final = 0.2
_PATIENCE: Final = aiohttp.ClientTimeout(total=2)

_MAX_LAG: Final = {"sentinel_lane_lag": 0.0, "sentinel_sink_lag": 1.0}
"""Lag of a worker that has nothing left to do, offsets. The sink's last one is the marker that ends
a transaction.
"""

_POSITIONS: Final = ("sentinel_lane_position", "sentinel_sink_documents_total")
"""Metrics that change when a worker has read or stored something."""

Spotted = Callable[[Label, Anomaly, float], None]
"""Called with a fault, the first anomaly that found it, and the delay in seconds of event time."""


@dataclass(slots=True)
class Found:
    """The records on the topics so far."""

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
        # A watermark or a change of a signal: it shows that time moves, and is not scored.
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
    for record in follow(
        broker, [names.anomalies, names.incidents, names.notifications], ended.is_set
    ):
        found.take(names, record.topic, record.value)


async def until_answering(url: str) -> None:
    """Until this address answers with 200, however long that takes."""
    async with aiohttp.ClientSession(timeout=_PATIENCE) as session:
        while True:
            if await _answers(session, url):
                return
            await asyncio.sleep(_LOOK_EVERY_S)


async def until_worked_off(
    ports: Mapping[str, int], found: Found, following: "asyncio.Task[None]"
) -> None:
    """Until no worker has records left to read and nothing new came for a while, however long that
    takes. Raises what `following` raises.
    """
    async with aiohttp.ClientSession(timeout=_PATIENCE) as session:
        while True:
            workers = await asyncio.gather(*(_seen(session, port, None) for port in ports.values()))
            if (
                all(worker.idle for worker in workers)
                and time.monotonic() > found.moved_at + QUIET_S
            ):
                return
            # It ends early only by an exception.
            if following.done():
                following.result()
            await asyncio.sleep(_LOOK_EVERY_S)


async def look(ports: Mapping[str, int], pids: Mapping[str, int], page: str) -> dict[str, Seen]:
    """How each worker on these ports and the API does at this moment."""
    async with aiohttp.ClientSession(timeout=_PATIENCE) as session:
        names = list(ports)
        workers = await asyncio.gather(
            *(_seen(session, ports[name], pids.get(name)) for name in names)
        )
        # The API has no lanes and no lag: it answers, or it does not.
        answers = await _answers(session, f"{page}/live")
    pid = pids.get("api")
    api = Seen(pid, ready=answers, idle=answers, cpu_s=None if pid is None else cpu_seconds(pid))
    return {**dict(zip(names, workers, strict=True)), "api": api}


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


async def _seen(session: aiohttp.ClientSession, port: int, pid: int | None) -> Seen:
    """The worker on this port, by its own metrics."""
    samples = await _samples(session, port) or []
    ready = any(name == "sentinel_ready" and value > 0 for name, _, value in samples)
    return Seen(
        pid,
        ready=ready,
        idle=ready
        and not any(value > _MAX_LAG[name] for name, _, value in samples if name in _MAX_LAG),
        positions=dict(_positions(samples)),
        cpu_s=None if pid is None else cpu_seconds(pid),
    )


def _positions(
    samples: Iterable[tuple[str, Mapping[str, str], float]],
) -> Iterable[tuple[str, float]]:
    for name, labels, value in samples:
        if name in _POSITIONS:
            yield " ".join((name, *labels.values())), value


async def _samples(
    session: aiohttp.ClientSession, port: int
) -> list[tuple[str, Mapping[str, str], float]] | None:
    """Every metric of a worker: name, labels, value."""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            families = text_string_to_metric_families(await answer.text())
            return [
                (one.name, one.labels, one.value) for family in families for one in family.samples
            ]
    return None


@dataclass(slots=True)
class Peak:
    """Peak memory of some processes together, sampled every second."""

    pids: Callable[[], list[int]]
    most_mb: float | None = None

    async def sample(self) -> None:
        """Until it is cancelled, or at once where the system does not tell."""
        while (now := await asyncio.to_thread(shared_out_mb, self.pids())) is not None:
            self.most_mb = max(now, self.most_mb or 0.0)
            await asyncio.sleep(1.0)
