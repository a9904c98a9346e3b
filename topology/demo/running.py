"""Runs the demo: plays an hour of real LLM traffic with known faults through all stages, and scores
the result.

Everything runs on this machine and is removed at the end: the embedded broker (or a given real
one), a worker for each stage, a store, the page, and a receiver of webhooks. Only the records on
the topics are scored.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from confluent_kafka import Producer

from schemas.errors import UserError
from schemas.records.telemetry import TelemetryEvent
from streams.admin.topics import EMBEDDED_PARTITIONS
from streams.settings import Lanes
from streams.topic_names import TopicNames
from topology.control.pressure import Pressure
from topology.demo.installation import Installation, installed
from topology.demo.progress import Progress, last_lines
from topology.demo.receiver import WebhookInbox
from topology.demo.scoring import Json, Scores, report, score
from topology.demo.screen import Screen
from topology.demo.traces.faults import labels
from topology.demo.traces.outbox import load_config
from topology.demo.traces.playing import Played, play
from topology.demo.traces.scenario import DURATION_S, events
from topology.demo.watching import (
    Found,
    Peak,
    followed,
    look,
    stored,
    until_answering,
    until_worked_off,
)
from topology.stages.standalone import make_topics
from topology.supervision.supervisor import Child, Supervisor, cause

WATCH_EVERY_S: Final = 0.5
"""Seconds between two checks of the processes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Speed, seed and broker of a demo."""

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
    """Raised when a person ends the demo before it is done."""


class Stuck(UserError):
    """Raised when a process makes no progress; the text names it and has the end of its log."""


async def run(plan: Plan, screen: Screen, after: Callable[[Outcome], None], *, stay: bool) -> None:
    """Play, score, and pass the outcome to `after`; with `stay` keep all running until Ctrl-C.

    Raises UserError, Interrupted.
    """
    began = time.monotonic()
    with installed(plan.kafka) as installation:
        screen.note(f"the broker answers at {installation.broker.bootstrap_servers}")
        await asyncio.to_thread(
            make_topics, installation.broker, Lanes(partitions=EMBEDDED_PARTITIONS)
        )
        async with WebhookInbox(screen.message) as inbox:
            children = installation.children(inbox)
            progress = {child.name: Progress(child.name, time.monotonic()) for child in children}

            async def died(child: Child, status: int) -> None:
                progress[child.name].died(cause(status))

            def say(line: str) -> None:
                screen.process(line)
                # Also in the process's log, which says nothing itself of a SIGKILL.
                with installation.log(line.split()[0]).open("a") as log:
                    log.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} sentinel demo: {line}\n")

            supervisor = Supervisor(children, say, after_death=died)
            one = _Run(plan, screen, installation, supervisor, inbox, progress, began)
            await _while_supervised(supervisor, one.guarded(), after, stay=stay)


async def _while_supervised(
    supervisor: Supervisor,
    working: Coroutine[None, None, Outcome],
    after: Callable[[Outcome], None],
    *,
    stay: bool,
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
            # Its exception, if any, is the one to show; the stages are stopped below.
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
    """One run of the hour, with the processes already started."""

    plan: Plan
    screen: Screen
    installation: Installation
    supervisor: Supervisor
    inbox: WebhookInbox
    progress: Mapping[str, Progress]
    began: float

    async def guarded(self) -> Outcome:
        """`work`, while every process makes progress. Raises Stuck."""
        working, watching = asyncio.create_task(self.work()), asyncio.create_task(self._watch())
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
            return await working
        finally:
            for task in (working, watching):
                task.cancel()
            await asyncio.gather(working, watching, return_exceptions=True)

    async def _watch(self) -> None:
        """Checks the processes until one is stuck; then raises Stuck."""
        here = self.installation
        while True:
            seen = await look(here.ports, self.supervisor.pids, here.page)
            now = time.monotonic()
            for name, one in self.progress.items():
                one.look(seen[name], now)
                if reason := one.stuck(now):
                    raise Stuck(
                        "\n".join(
                            (
                                f"{reason}; its log, {here.log(name)}, ends:",
                                *last_lines(here.log(name)),
                            )
                        )
                    )
            self.screen.processes(seen, now - self.began)
            await asyncio.sleep(WATCH_EVERY_S)

    async def work(self) -> Outcome:
        """Play everything, wait until it is processed, and return the outcome."""
        page_s = await self._until_ready()
        # The hour has just ended, so that no event is ahead of its arrival at any speed. It begins
        # on a whole minute, so that every run has the same buckets.
        start = (time.time_ns() // 60_000_000_000 - DURATION_S // 60 - 3) * 60_000_000
        hour = await asyncio.to_thread(events, self.plan.seed, start)
        self.screen.begin(len(hour), start)
        found, ended = Found(labels(start), self.screen.found), threading.Event()
        following = asyncio.create_task(
            asyncio.to_thread(followed, self.installation.broker, found, ended)
        )
        # A process that was restarted has another id, so they are asked for at each sample.
        memory = Peak(lambda: [*self.installation.pids, *self.supervisor.pids.values()])
        sampling = asyncio.create_task(memory.sample())
        try:
            played = await asyncio.to_thread(self._play, hour, ended)
            self.screen.sent()
            await until_worked_off(self.installation.ports, found, following)
        finally:
            # Threads cannot be cancelled: following and playing end by this event.
            ended.set()
            sampling.cancel()
            await asyncio.gather(following, sampling, return_exceptions=True)
        scores = score(
            labels(start), found.anomalies.values(), found.incidents, found.notifications
        )
        extras = {"page_s": page_s, **await self._extras(played, found, memory)}
        return Outcome(scores, {**report(scores, played.events), **extras})

    async def _until_ready(self) -> float:
        """Wait until everything is ready, the page first, so that people can open it meanwhile.

        Returns the seconds from the start to the page's first answer.
        """
        here = self.installation
        self.screen.note(f"the logs of the processes are in {here.logs}")
        await until_answering(f"{here.page}/live")
        page_s = round(time.monotonic() - self.began, 1)
        self.screen.page(here.link)
        for port in here.ports.values():
            await until_answering(f"http://127.0.0.1:{port}/ready")
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
            # The embedded broker drops old records, so playing must not run away from detect.
            def hold(sent: int) -> bool:
                if ended.is_set():
                    raise Interrupted
                return broker.embedded and pressure.too_high(sent)

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
