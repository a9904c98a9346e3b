"""One playing of the demo's hour on a real Kafka with store and API, while processes are killed,
and everything that it left behind.
"""

import asyncio
import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final

from confluent_kafka import Producer

from connectors.store.settings import StoreKind, StoreSettings
from schemas.documents import Kind, document
from schemas.errors import UserError
from schemas.records.incidents import Incident
from schemas.records.telemetry import TelemetryEvent
from streams.admin.topics import EMBEDDED_PARTITIONS
from streams.settings import Broker, Lanes
from streams.topic_names import TopicNames
from tests.harness.documents import Documents, held, newest, told
from tests.harness.servers.elasticsearch import ElasticServer
from topology.demo.installation import WORKERS, Installation, installed
from topology.demo.receiver import Message, WebhookInbox
from topology.demo.traces.applications import TENANT
from topology.demo.traces.outbox import load_config
from topology.demo.traces.playing import play
from topology.demo.traces.scenario import DURATION_S, events
from topology.demo.watching import Found, followed, until_answering, until_worked_off
from topology.stages.standalone import make_topics
from topology.supervision.supervisor import Supervisor

KILLED: Final = (*WORKERS, "api")
ELASTICSEARCH: Final = "elasticsearch"
_STORED_S: Final = 60.0

_READY_S: Final = 90.0
"""Seconds the processes have to get ready."""

_SETTLE_S: Final = 120.0
"""Seconds after the last event after which the result is taken, quiet or not."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Play:
    """What is played."""

    kafka: str
    start: int
    """Event time of the hour's beginning, µs: with the same one, the same incidents have the same
    ids.
    """
    seed: int = 1
    speed: float | None = None
    """Times real time; None as fast as the broker takes it."""
    kills: int = 0
    elastic: ElasticServer | None = None
    """The store, which is killed too; None means the embedded one."""

    @property
    def victims(self) -> tuple[str, ...]:
        """Who is killed."""
        return KILLED if self.elastic is None else (*KILLED, ELASTICSEARCH)


@dataclass(frozen=True, slots=True)
class Left:
    """What a playing left behind."""

    on_topics: Documents
    """What the topics hold, once for each id, an incident in its last revision."""
    in_store: Documents
    incidents: Mapping[tuple[str, int], Incident]
    """Every state of every incident, by id and revision."""
    messages: Mapping[str, Message]
    """That the receiver took, by id."""
    delivered_again: int
    forged: int
    kills: Counter[str] = field(default_factory=Counter)
    deaths: list[str] = field(default_factory=list)
    """What the supervisor said of those that died by themselves."""


def schedule(
    victims: Sequence[str], kills: int, seconds: float, seed: int
) -> list[tuple[float, str]]:
    """Who dies, and after how many seconds, in order; with as many kills as victims each dies once.

    >>> kills = schedule("abc", 3, 60.0, 1)
    >>> kills == schedule("abc", 3, 60.0, 1), sorted(name for _, name in kills)
    (True, ['a', 'b', 'c'])
    """
    rng = random.Random(seed)
    names = [name for name, _ in zip(cycle(victims), range(kills), strict=False)]
    rng.shuffle(names)
    return list(zip(sorted(rng.uniform(0.0, seconds) for _ in names), names, strict=True))


async def run(plan: Play, say: Say) -> Left:
    """Plays it all. Raises UserError when something does not start or come back."""
    store, environment = _other_store(plan.elastic)
    with installed(plan.kafka, environment) as here:
        await asyncio.to_thread(make_topics, here.broker, Lanes(partitions=EMBEDDED_PARTITIONS))
        async with WebhookInbox(lambda message: None) as inbox:
            kept = store or StoreSettings(StoreKind.EMBEDDED, path=str(here.folder / "sentinel.db"))
            left = await _supervised(plan, here, kept, inbox, say)
        if left.deaths:
            say(f"some died by themselves; their logs are in {here.logs}")
        else:
            shutil.rmtree(here.logs)
        return left


def _other_store(server: ElasticServer | None) -> tuple[StoreSettings | None, dict[str, str]]:
    """The store, and the environment that names it, where it is not the embedded one. Each playing
    has indices of its own.
    """
    if server is None:
        return None, {}
    prefix = f"killed-{secrets.token_hex(4)}-"
    store = StoreSettings(
        StoreKind.ELASTICSEARCH, urls=(server.url,), index_prefix=prefix, replicas=0
    )
    environment = {
        "KIND": ELASTICSEARCH,
        "URLS": json.dumps([server.url]),
        "INDEX_PREFIX": prefix,
        "REPLICAS": "0",
    }
    return store, {f"SENTINEL_STORE__{name}": value for name, value in environment.items()}


async def _supervised(
    plan: Play, here: Installation, kept: StoreSettings, inbox: WebhookInbox, say: Say
) -> Left:
    killing = _Killing(say, plan.elastic)
    supervisor = Supervisor(here.children(inbox), killing.told)
    running = asyncio.create_task(supervisor.run())
    try:
        await _until_ready(here)
        await _played(plan, here, supervisor, killing)
        in_store = await _stored(here, kept)
    finally:
        supervisor.stop()
        await asyncio.gather(running, return_exceptions=True)
    topics = await asyncio.to_thread(_on_topics, here.broker)
    return Left(
        on_topics=topics.documents,
        in_store=in_store,
        incidents=topics.incidents,
        messages=dict(inbox.messages),
        delivered_again=inbox.again,
        forged=inbox.forged,
        kills=killing.killed,
        deaths=killing.deaths,
    )


@dataclass(slots=True)
class _Killing:
    """Kills on schedule, and knows which deaths those were."""

    say: Say
    elastic: ElasticServer | None = None
    killed: Counter[str] = field(default_factory=Counter)
    deaths: list[str] = field(default_factory=list)

    def told(self, line: str) -> None:
        """By the supervisor."""
        if " died " in line and "SIGKILL" not in line:
            self.deaths.append(line)

    async def run(self, supervisor: Supervisor, kills: Sequence[tuple[float, str]]) -> None:
        """A process that is down at its moment is killed as soon as it runs again."""
        began = time.monotonic()
        for after_s, name in kills:
            await asyncio.sleep(max(began + after_s - time.monotonic(), 0.0))
            if self.elastic is not None and name == ELASTICSEARCH:
                await asyncio.to_thread(self.elastic.kill)
            else:
                pid = await _pid(supervisor, name)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.killed[name] += 1
            self.say(f"killed {name} after {after_s:.1f} s")
            if self.elastic is not None and name == ELASTICSEARCH:
                # Nobody else starts it again.
                await asyncio.to_thread(self.elastic.start)


async def _pid(supervisor: Supervisor, name: str) -> int:
    """Of this child, when it runs."""
    while True:
        if (pid := supervisor.pids.get(name)) is not None:
            return pid
        await asyncio.sleep(0.05)


async def _played(
    plan: Play, here: Installation, supervisor: Supervisor, killing: _Killing
) -> None:
    """Everything sent, everybody killed who is to be, all back, and nothing left to do."""
    hour = await asyncio.to_thread(events, plan.seed, plan.start)
    found, ended = Found((), lambda *_: None), threading.Event()
    following = asyncio.create_task(asyncio.to_thread(followed, here.broker, found, ended))
    seconds = 20.0 if plan.speed is None else DURATION_S / plan.speed
    try:
        dying = asyncio.create_task(
            killing.run(supervisor, schedule(plan.victims, plan.kills, seconds, plan.seed))
        )
        await asyncio.to_thread(_send, here.broker, hour, plan.speed)
        await dying
        await _until_ready(here)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
                await until_worked_off(here.ports, found, following)
    finally:
        ended.set()
        await asyncio.gather(following, return_exceptions=True)


def _send(broker: Broker, hour: Sequence[TelemetryEvent], speed: float | None) -> None:
    producer = Producer({**load_config(broker), "log_level": 0})
    play(producer, TopicNames(broker.topic_prefix).telemetry, hour, speed)


async def _until_ready(here: Installation) -> None:
    try:
        async with asyncio.timeout(_READY_S):
            await until_answering(f"{here.page}/live")
            for port in here.ports.values():
                await until_answering(f"http://127.0.0.1:{port}/ready")
    except TimeoutError:
        raise UserError(
            f"not everything is ready after {_READY_S:g} s; the logs are in {here.logs}"
        ) from None


async def _stored(here: Installation, store: StoreSettings) -> Documents:
    """The store's documents, when they are as many as the topics', or no more time is given."""

    async def are_all(found: Documents) -> bool:
        return found == (await asyncio.to_thread(_on_topics, here.broker)).documents

    return await held(store, [TENANT], are_all, _STORED_S)


@dataclass(frozen=True, slots=True)
class _Topics:
    documents: Documents
    incidents: dict[tuple[str, int], Incident]


def _on_topics(broker: Broker) -> _Topics:
    incidents: dict[tuple[str, int], Incident] = {}
    records = [(kind, value) for kind, value, _ in told(broker)]
    for kind, value in records:
        if kind is Kind.INCIDENT:
            incident = Incident.from_bytes(value)
            incidents.setdefault((incident.id, incident.revision), incident)
    return _Topics(newest(document(kind, value) for kind, value in records), incidents)
