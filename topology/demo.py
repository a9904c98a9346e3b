"""The demo: an hour of real LLM traffic with known faults, played through all stages, and what came of it.

Everything runs on this machine and goes at the end: the embedded broker (or a real one that is given), a worker for each stage, and a receiver of
webhooks. The records of the topics are what is scored; nothing is handed round them.
"""

import asyncio
import contextlib
import json
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
from confluent_kafka import Producer

from schemas.records import Anomaly, Incident, Notification, TelemetryEvent
from streams.settings import Broker, Lanes
from streams.topics import EMBEDDED_PARTITIONS, STAGES, TopicNames
from topology.commands.options import UserError
from topology.demo_receiver import WebhookInbox
from topology.demo_screen import Screen
from topology.embedded import EmbeddedBroker
from topology.memory import shared_out_mb
from topology.pressure import Pressure
from topology.reading import follow
from topology.scoring import Json, Scores, report, score
from topology.standalone import make_topics, stage_processes
from topology.supervisor import Child, Supervisor, free_port
from topology.traces.faults import labels
from topology.traces.outbox import load_config
from topology.traces.playing import Played, play
from topology.traces.scenario import DURATION_S, events

READY_S: Final = 90.0
"""Seconds the stages have to get ready."""

QUIET_S: Final = 5.0
"""Seconds without a new record after which everything that was played counts as worked off, when no stage is behind."""

SETTLE_S: Final = 120.0
"""Seconds after the last event after which the result is taken, quiet or not."""

TICK_AFTER_S: Final = 60.0
"""Seconds of quiet before a tick: more than playing ever pauses. Held back, its event time stands, and ticks would make what follows late."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is played, and where."""

    speed: float | None = 60.0
    """Times real time; None as fast as the broker takes it."""
    seed: int = 1
    kafka: str | None = None
    """A real broker to use, `host:port`, in plain text. None starts the embedded one."""


@dataclass(slots=True)
class Found:
    """What stands on the topics so far."""

    anomalies: dict[str, Anomaly] = field(default_factory=dict)
    incidents: list[Incident] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    first_anomaly_at: float | None = None
    """Monotonic clock."""
    moved_at: float = field(default_factory=time.monotonic)
    """Monotonic clock of the newest record of any kind, watermarks included."""

    def take(self, names: TopicNames, topic: str, value: bytes | None) -> None:
        """One record of a topic."""
        self.moved_at = time.monotonic()
        if value is None:
            return
        if topic == names.anomalies:
            anomaly = Anomaly.from_bytes(value)
            self.anomalies[anomaly.id] = anomaly
            self.first_anomaly_at = self.first_anomaly_at or self.moved_at
        elif topic == names.incidents:
            self.incidents.append(Incident.from_bytes(value))
        elif topic == names.notifications:
            self.notifications.append(Notification.from_bytes(value))


@dataclass(frozen=True, slots=True)
class Outcome:
    """The scores, and the object that `--json` prints."""

    scores: Scores
    report: dict[str, Json]


class Interrupted(Exception):
    """Somebody ended the demo before it was done."""


async def run(plan: Plan, screen: Screen, after: Callable[[Outcome], None], *, stay: bool) -> None:
    """Play, score, and tell `after`; with `stay` leave everything running until Ctrl-C. Raises UserError, Interrupted."""
    began = time.monotonic()
    with _broker(plan, screen) as (broker, processes), _log_file() as log:
        await asyncio.to_thread(make_topics, broker, Lanes(partitions=EMBEDDED_PARTITIONS))
        async with WebhookInbox(screen.message) as inbox:
            ports = {stage: free_port() for stage in STAGES}
            supervisor = Supervisor(_stages(broker, inbox, ports, Path(log.name)), screen.note, output=log.fileno())
            screen.note(f"the stages write their log to {log.name}")
            one = _Run(plan, screen, broker, supervisor, inbox, ports, [*processes, os.getpid()], began, Path(log.name))
            working = one.work()
            await _while_supervised(supervisor, working, after, stay=stay)


async def _while_supervised(
    supervisor: Supervisor, working: Coroutine[None, None, Outcome], after: Callable[[Outcome], None], *, stay: bool
) -> None:
    async def work() -> None:
        after(await working)
        if not stay:
            supervisor.stop()

    job = asyncio.create_task(work())
    stages = asyncio.create_task(supervisor.run_until_signalled())
    try:
        await asyncio.wait({job, stages}, return_when=asyncio.FIRST_COMPLETED)
        if job.done():
            # Its exception, if it has one, is what the person should read; the stages are ended below.
            job.result()
        await stages
        if not job.done():
            raise Interrupted
    finally:
        job.cancel()
        if not stages.done():
            supervisor.stop()
        await asyncio.gather(job, stages, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Run:
    """One playing of the hour, among processes that run already."""

    plan: Plan
    screen: Screen
    broker: Broker
    supervisor: Supervisor
    inbox: WebhookInbox
    ports: dict[str, int]
    pids: list[int]
    began: float
    log: Path

    async def work(self) -> Outcome:
        """Play everything; the outcome, when it was worked off."""
        await _until_ready(self.ports, self.log)
        names, found, ended = TopicNames(self.broker.topic_prefix), Found(), threading.Event()
        # The hour has just ended, so that no event is ahead of its arrival at any speed. It begins on a whole minute: buckets fall alike every time.
        start = (time.time_ns() // 60_000_000_000 - DURATION_S // 60 - 3) * 60_000_000
        hour = await asyncio.to_thread(events, self.plan.seed, start)
        self.screen.begin(len(hour), start)
        following = asyncio.create_task(asyncio.to_thread(_follow, self.broker, names, found, ended))
        memory = _Peak(lambda: [*self.pids, *self.supervisor.pids.values()])
        sampling = asyncio.create_task(memory.sample())
        try:
            played = await asyncio.to_thread(self._play, hour, names, ended)
            await _until_worked_off(self.ports, found, following)
        finally:
            ended.set()
            sampling.cancel()
            await asyncio.gather(following, sampling, return_exceptions=True)
        scores = score(labels(start), found.anomalies.values(), found.incidents, found.notifications)
        return Outcome(scores, {**report(scores, played.events), **self._extras(played, found, memory)})

    def _play(self, hour: list[TelemetryEvent], names: TopicNames, ended: threading.Event) -> Played:
        def progress(sent: int, event_time: int) -> None:
            if ended.is_set():
                raise Interrupted
            self.screen.played(sent, event_time)

        producer = Producer({**load_config(self.broker), "log_level": 0})
        with Pressure(self.broker, names.telemetry, f"{self.broker.topic_prefix}detect") as pressure:
            hold = pressure.too_high if self.broker.embedded else None
            return play(producer, names.telemetry, hour, self.plan.speed, progress, hold)

    def _extras(self, played: Played, found: Found, memory: "_Peak") -> dict[str, Json]:
        first = found.first_anomaly_at
        return {
            "received": len(self.inbox.messages),
            "anomalies": len(found.anomalies),
            "first_anomaly_s": None if first is None else round(first - self.began, 1),
            "events_per_s": round(played.events / played.wall_s),
            "wall_s": round(time.monotonic() - self.began, 1),
            "memory_mb": None if memory.most_mb is None else round(memory.most_mb),
        }


def _follow(broker: Broker, names: TopicNames, found: Found, ended: threading.Event) -> None:
    for record in follow(broker, [names.anomalies, names.incidents, names.notifications], ended.is_set):
        found.take(names, record.topic, record.value)


async def _until_ready(ports: dict[str, int], log: Path) -> None:
    deadline = time.monotonic() + READY_S
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        for stage, port in ports.items():
            while not await _is_ready(session, port):
                if time.monotonic() > deadline:
                    raise UserError(f"the stage {stage} is not ready after {READY_S:g} s; its log is {log}")
                await asyncio.sleep(0.2)


async def _is_ready(session: aiohttp.ClientSession, port: int) -> bool:
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with session.get(f"http://127.0.0.1:{port}/ready") as answer:
            return answer.status == 200
    return False


async def _until_worked_off(ports: dict[str, int], found: Found, following: "asyncio.Task[None]") -> None:
    """No stage is behind its log, and nothing new came for a while; a stage that is only slow is waited for."""
    deadline = time.monotonic() + SETTLE_S
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        while time.monotonic() < deadline:
            behind = [await _behind(session, port) for port in ports.values()]
            if not any(behind) and time.monotonic() > found.moved_at + QUIET_S:
                return
            if following.done():
                following.result()
            await asyncio.sleep(0.2)


async def _behind(session: aiohttp.ClientSession, port: int) -> bool:
    """Whether some lane of the worker on this port has records before it, by its own metrics."""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return any(line.startswith("sentinel_lane_lag{") and float(line.rsplit(" ", 1)[1]) > 0 for line in lines)
    return True


@dataclass(slots=True)
class _Peak:
    """The most memory of some processes together, looked at every second."""

    pids: Callable[[], list[int]]
    most_mb: float | None = None

    async def sample(self) -> None:
        while (now := await asyncio.to_thread(shared_out_mb, self.pids())) is not None:
            self.most_mb = max(now, self.most_mb or 0.0)
            await asyncio.sleep(1.0)


@contextlib.contextmanager
def _broker(plan: Plan, screen: Screen) -> Iterator[tuple[Broker, list[int]]]:
    """The broker, and the processes that were started for it."""
    # The demo's settings are its own: nothing of an installation's environment must reach it.
    for name in [name for name in os.environ if name.startswith("SENTINEL_")]:
        del os.environ[name]
    prefix = f"demo-{secrets.token_hex(4)}."
    if plan.kafka is not None:
        yield Broker(bootstrap_servers=plan.kafka, topic_prefix=prefix), []
        return
    with EmbeddedBroker() as embedded:
        screen.note(f"embedded broker at {embedded.address}")
        pids = [embedded.pid] if embedded.pid is not None else []
        yield Broker(bootstrap_servers=embedded.address, topic_prefix=prefix, embedded=True), pids


def _stages(broker: Broker, inbox: WebhookInbox, ports: dict[str, int], log: Path) -> list[Child]:
    receiver = {
        "name": "demo",
        "kind": "webhook",
        "url": inbox.url,
        "secret": inbox.secret.reveal(),
        "allow_private": True,
    }
    environment = {
        "SENTINEL_BROKER__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "SENTINEL_BROKER__TOPIC_PREFIX": broker.topic_prefix,
        "SENTINEL_BROKER__EMBEDDED": str(broker.embedded).lower(),
        "SENTINEL_LANES__PARTITIONS": str(EMBEDDED_PARTITIONS),
        "SENTINEL_LANES__TICK_AFTER_S": str(TICK_AFTER_S),
        "SENTINEL_ALERTING__RECEIVERS": json.dumps([receiver]),
        # The hour's incidents are an hour old when they are told.
        "SENTINEL_ALERTING__ALERT_MAX_AGE_S": str(86_400),
        "SENTINEL_WORKER__CONTROL_KEY": secrets.token_hex(32),
    }
    return [
        Child(
            child.name,
            child.command,
            {**environment, **child.environment, "SENTINEL_WORKER__HEALTH_PORT": str(ports[child.name])},
        )
        for child in stage_processes(None, log.with_suffix(".decoding"))
    ]


@contextlib.contextmanager
def _log_file() -> "Iterator[tempfile._TemporaryFileWrapper[bytes]]":
    """Kept: it is where a failure is explained."""
    with tempfile.NamedTemporaryFile(prefix="sentinel-demo-", suffix=".log", delete=False) as log:
        yield log
