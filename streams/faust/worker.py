"""One stage's worker: its parts put together, and its timers."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

import faust

from streams import metrics
from streams.admin.topic_ids import TopicWatch
from streams.client.brokers import aiokafka_config
from streams.control.records import tick
from streams.exit_status import ends_process
from streams.faust.app import LaneApp
from streams.lane.dispatching import Feeder
from streams.lane.kafka_state_store import KafkaStateStore
from streams.lane.lane_set import LaneSet
from streams.lane.ports import KnownSettings
from streams.lane.producing import KafkaLogs, KafkaSender
from streams.lane.program import Stage
from streams.process.runtime import Runtime, Work, every
from streams.samples import Observed
from streams.settings import Broker, Lanes
from streams.state.position import Displaced

_FLUSH_CHECK_S: Final = 0.25
_ENDS_S: Final = 5.0
_SAMPLES_S: Final = 5.0
_TOPICS_S: Final = 5.0


class Followed(Protocol):
    """The small topic that a stage's lanes need to know: settings versions, or commands."""

    async def start(self) -> None:
        """Connects, and returns when everything is known that the topic holds."""
        ...

    async def stop(self) -> None:
        """Disconnects."""
        ...

    async def catch_up(self) -> None:
        """Returns when everything is known that the topic holds now."""
        ...


class Companion(Protocol):
    """What a stage runs beside its lanes, in the worker's loop: alert's deliveries, say."""

    async def run(self, lanes: LaneSet) -> None:
        """Runs until cancelled; what it raises ends the process."""
        ...


@dataclass(frozen=True, slots=True)
class Worker:
    """A stage with all that its process needs. `build` makes it; `main` runs it."""

    stage: Stage
    broker: Broker
    limits: Lanes
    followed: Followed
    health_host: str = "127.0.0.1"
    health_port: int = 0
    settings: KnownSettings | None = None
    """For stages whose lanes wait for settings versions."""
    companion: Companion | None = None
    closed: Callable[[], None] | None = None
    """Called when everything is closed and only the process's own end is left."""


def build(worker: Worker) -> LaneApp:
    """The Faust app of a worker. Nothing connects before it is started."""
    stage, broker = worker.stage, worker.broker
    client = aiokafka_config(broker)
    sender = KafkaSender(client, stage.name)
    lanes = LaneSet(
        stage,
        worker.limits,
        KafkaStateStore(
            client,
            stage.state_topic,
            f"{broker.topic_prefix}{stage.name}-",
            # What the embedded broker's transactions wrote reads back with a wrong checksum.
            check_crcs=not broker.embedded,
        ),
        sender,
        KafkaLogs(broker, client, stage.topic, stage.group),
        worker.followed,
        settings=worker.settings,
    )
    runtime = Runtime(
        stage.name,
        worker.health_host,
        worker.health_port,
        lanes,
        lambda: app.lanes_ready,
        loops=lambda: app.loops,
    )
    feeder = Feeder(lanes.process)
    surroundings = _Surroundings(worker, sender, runtime, feeder, lambda: _begin(app, runtime))
    app = LaneApp(lanes, broker, worker.limits, surroundings)
    topic = app.topic(
        stage.topic, value_type=bytes, value_serializer="raw", key_type=bytes, key_serializer="raw"
    )

    @ends_process
    async def feed(stream: Any) -> None:
        async for event in stream.events():
            await feeder.put(event.message.value)

    app.agent(topic, name=f"sentinel-{stage.name}")(feed)
    for name, work in _rounds(worker, app, sender).items():
        app.task(_named(f"sentinel-{stage.name}-{name}", ends_process(work)))
    return app


def execute(app: LaneApp, loop: asyncio.AbstractEventLoop) -> int:
    """Runs the app in `loop` until a signal; returns the exit status of the process."""
    try:
        worker = faust.Worker(
            app, override_logging=False, quiet=True, redirect_stdouts=False, loop=loop
        )
        # Its last act would be to show a cursor that nobody hid, in the log.
        worker.spinner = None
        worker.execute_from_commandline()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@dataclass(frozen=True, slots=True)
class _Surroundings:
    worker: Worker
    sender: KafkaSender
    runtime: Runtime
    feeder: Feeder
    begin_rounds: Callable[[], None]

    async def open(self) -> None:
        await self.runtime.open()
        await self.sender.start()
        await self.worker.followed.start()

    def end_rounds(self) -> None:
        self.runtime.end_rounds()

    async def close(self) -> None:
        # In reverse: the feeder steps lanes, lanes wait for settings and send. Health is last, so
        # that an end that hangs is still seen.
        await self.feeder.stop()
        await self.worker.followed.stop()
        await self.sender.stop()
        await self.runtime.close()
        if self.worker.closed is not None:
            self.worker.closed()


def _begin(app: LaneApp, runtime: Runtime) -> None:
    """Begins what runs from the start, also while lanes are recovered. Not as tasks of Faust's:
    those begin after the first recovery, which an error of the group keeps from ever coming, and
    run on while it stops.
    """
    topics = TopicWatch(app.lane_set.stage, app.broker)
    runtime.begin_checks(partial(_check, app))
    runtime.begin_rounds(
        lambda: _look_at_ends(app, topics),
        lambda: every(_TOPICS_S, lambda: _look_at_topics(app, topics)),
    )


def _rounds(worker: Worker, app: LaneApp, sender: KafkaSender) -> dict[str, Work]:
    """What a worker does besides taking records, once it is recovered, by name."""
    lanes = app.lane_set
    rounds: dict[str, Work] = {
        "flush": lambda: every(_FLUSH_CHECK_S, lanes.flush_due),
        "tick": lambda: every(worker.limits.tick_after_s / 2, lambda: _tick(lanes, sender)),
    }
    if worker.limits.measured_series:
        rounds["samples"] = lambda: every(
            _SAMPLES_S, lambda: _sample(lanes, worker.limits.measured_series)
        )
    if worker.companion is not None:
        companion = worker.companion
        rounds["companion"] = lambda: companion.run(lanes)
    return rounds


def _named(name: str, work: Work) -> Work:
    work.__name__ = work.__qualname__ = name
    return work


async def _tick(lanes: LaneSet, sender: KafkaSender) -> None:
    idle = lanes.idle_partitions()
    if idle:
        await sender.send(
            [tick(lanes.stage.topic, partition, passed) for partition, passed in idle.items()]
        )
        for partition in idle:
            metrics.TICKS.labels(lanes.stage.name, partition).inc()


async def _sample(lanes: LaneSet, most: int) -> None:
    programs = {partition: lane.program for partition, lane in lanes.lanes.items()}
    metrics.show_samples(
        {lane: one.samples(most) for lane, one in programs.items() if isinstance(one, Observed)}
    )


async def _look_at_ends(app: LaneApp, topics: TopicWatch) -> None:
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(app.ends_doubted.wait(), _ENDS_S)
        try:
            await app.look_at_ends()
        except Displaced:
            # A topic that was made again is short too, and no new start helps.
            await _look_at_topics(app, topics)
            raise
        await app.look_at_transactions()


async def _look_at_topics(app: LaneApp, topics: TopicWatch) -> None:
    await topics.look(
        {partition: lane.position.topic_id for partition, lane in app.lane_set.lanes.items()}
    )


async def _check(app: LaneApp) -> None:
    await app.check_group()
    lanes = app.lane_set
    for partition, lane in lanes.lanes.items():
        fetched = app.log_end(partition)
        if fetched is not None and 0 <= fetched < lane.position.offset:
            app.ends_doubted.set()
        # A client that has not fetched since the last rebalance knows no end; the broker, when
        # asked, does.
        end = max(-1 if fetched is None else fetched, app.ends.get(partition, -1))
        if end >= 0:
            lane.lag = max(end - lane.position.offset, 0)
            metrics.LAG.labels(lanes.stage.name, partition).set(lane.lag)
