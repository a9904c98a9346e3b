"""The demo: an hour of real LLM traffic with known faults, played through all stages, and what came of it.

Everything runs on this machine and goes at the end: the embedded broker (or a real one that is given), a worker for each stage, a store, the page,
and a receiver of webhooks. The records of the topics are what is scored; nothing is handed round them.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from confluent_kafka import Producer

from schemas.records import TelemetryEvent
from streams.settings import Lanes
from streams.topics import EMBEDDED_PARTITIONS, TopicNames
from topology.demo_installation import Installation, installed
from topology.demo_receiver import WebhookInbox
from topology.demo_screen import Screen
from topology.demo_watching import Found, Peak, followed, stored, until_answering, until_worked_off
from topology.pressure import Pressure
from topology.scoring import Json, Scores, report, score
from topology.standalone import make_topics
from topology.supervisor import Supervisor
from topology.traces.faults import labels
from topology.traces.outbox import load_config
from topology.traces.playing import Played, play
from topology.traces.scenario import DURATION_S, events


@dataclass(frozen=True, slots=True)
class Plan:
    """What is played, and where."""

    speed: float | None = 60.0
    """Times real time; None as fast as the broker takes it."""
    seed: int = 1
    kafka: str | None = None
    """A real broker to use, `host:port`, in plain text. None starts the embedded one."""


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
    with installed(plan.kafka) as installation:
        await asyncio.to_thread(make_topics, installation.broker, Lanes(partitions=EMBEDDED_PARTITIONS))
        with installation.log.open("ab") as log:
            async with WebhookInbox(screen.message) as inbox:
                supervisor = Supervisor(installation.children(inbox), screen.process, output=log.fileno())
                one = _Run(plan, screen, installation, supervisor, inbox, began)
                await _while_supervised(supervisor, one.work(), after, stay=stay)


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
    installation: Installation
    supervisor: Supervisor
    inbox: WebhookInbox
    began: float

    async def work(self) -> Outcome:
        """Play everything; the outcome, when it was worked off."""
        page_s = await self._until_ready()
        # The hour has just ended, so that no event is ahead of its arrival at any speed. It begins on a whole minute: buckets fall alike every time.
        start = (time.time_ns() // 60_000_000_000 - DURATION_S // 60 - 3) * 60_000_000
        hour = await asyncio.to_thread(events, self.plan.seed, start)
        self.screen.begin(len(hour), start)
        found, ended = Found(labels(start), self.screen.found), threading.Event()
        following = asyncio.create_task(asyncio.to_thread(followed, self.installation.broker, found, ended))
        memory = Peak(lambda: [*self.installation.pids, *self.supervisor.pids.values()])
        sampling = asyncio.create_task(memory.sample())
        try:
            played = await asyncio.to_thread(self._play, hour, ended)
            await until_worked_off(self.installation.ports, found, following)
        finally:
            ended.set()
            sampling.cancel()
            await asyncio.gather(following, sampling, return_exceptions=True)
        scores = score(labels(start), found.anomalies.values(), found.incidents, found.notifications)
        extras = {"page_s": page_s, **await self._extras(played, found, memory)}
        return Outcome(scores, {**report(scores, played.events), **extras})

    async def _until_ready(self) -> float:
        """Until everything is; the page, which people look at meanwhile, first. Seconds after the start at which that answered."""
        here = self.installation
        await until_answering(f"{here.page}/live", "the API", here.log)
        page_s = round(time.monotonic() - self.began, 1)
        self.screen.page(here.link)
        self.screen.note(f"the processes write their log to {here.log}")
        for worker, port in here.ports.items():
            await until_answering(f"http://127.0.0.1:{port}/ready", f"the stage {worker}", here.log)
        return page_s

    def _play(self, hour: list[TelemetryEvent], ended: threading.Event) -> Played:
        def progress(sent: int, event_time: int) -> None:
            if ended.is_set():
                raise Interrupted
            self.screen.played(sent, event_time)

        broker = self.installation.broker
        names = TopicNames(broker.topic_prefix)
        producer = Producer({**load_config(broker), "log_level": 0})
        with Pressure(broker, names.telemetry, f"{broker.topic_prefix}detect") as pressure:
            hold = pressure.too_high if broker.embedded else None
            return play(producer, names.telemetry, hour, self.plan.speed, progress, hold)

    async def _extras(self, played: Played, found: Found, memory: Peak) -> dict[str, Json]:
        first, kept = found.first_anomaly_at, await stored(self.installation.ports["sink"])
        return {
            "received": len(self.inbox.messages),
            "anomalies": len(found.anomalies),
            "stored": None if kept is None else dict(kept),
            "first_anomaly_s": None if first is None else round(first - self.began, 1),
            "events_per_s": round(played.events / played.wall_s),
            "wall_s": round(time.monotonic() - self.began, 1),
            "memory_mb": None if memory.most_mb is None else round(memory.most_mb),
        }
