"""The process of the stage `sink`: Kafka on one side, the store on the other, health and retention
beside them.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeAlias

import uvloop
from aiokafka.errors import KafkaError, RequestTimedOutError

from agents.sinking.batches import Batch
from agents.sinking.sampling import LoggedEvent
from agents.stages.sink import NAME, Sink, kinds_of, report_lag
from connectors.store.opening import store_of
from connectors.store.port import DocumentRetention, DocumentWriter, Store
from connectors.store.settings import Retention
from schemas.documents import Kind, StoreUnavailable
from streams import metrics
from streams.admin.topic_ids import TopicIds
from streams.client.brokers import aiokafka_config
from streams.client.committing import Committer
from streams.client.pipeline import Pipeline
from streams.exit_status import ENDS_WITHIN_S, end_within, ends_process
from streams.lane.producing import KafkaSender
from streams.process.allocation import settle
from streams.process.health import HealthServer
from streams.process.watchdog import Watchdog
from streams.settings import Broker
from streams.state.position import Refused
from streams.topic_names import TopicNames
from topology.control.reading import span
from topology.logs import configure, log_for
from topology.settings.installation import Settings
from topology.stages.build import check_topics

_BEAT_S: Final = 0.5
_LAG_EVERY_S: Final = 5.0
_TOPICS_EVERY_S: Final = 3.0
_PURGE_EVERY_S: Final = 3600.0
_TEND_EVERY_S: Final = 10.0
_MOST_LOG_BYTES: Final = 64_000_000
"""Of a write-ahead log, from which on it is told of."""
_DAY_US: Final = 86_400_000_000

Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class TelemetryLog:
    """Telemetry, read again for what anomalies cite."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def read(self, partition: int, start: int, end: int) -> Sequence[LoggedEvent]:
        """What the log still has of these offsets. Raises RequestTimedOutError, after which the
        worker is started again.
        """
        try:
            return await asyncio.to_thread(self._read, partition, start, end)
        except KafkaError as fault:
            raise RequestTimedOutError(f"telemetry cannot be read again: {fault}") from fault

    def _read(self, partition: int, start: int, end: int) -> list[LoggedEvent]:
        records = span(
            self._broker, TopicNames(self._broker.topic_prefix).telemetry, partition, start, end
        )
        return [
            LoggedEvent(partition, one.offset, one.key, one.value)
            for one in records
            if one.value is not None
        ]


def run_sink(settings: Settings) -> int:
    """Runs the sink's worker until a signal; returns its exit status. Raises Refused when it must
    not start as things are.
    """
    configure(settings.worker.log_level)
    store = store_of(settings.store)
    if store is None:
        raise Refused(
            "the sink has no store to write to: set store.kind to embedded or elasticsearch"
        )
    check_topics(settings)
    settle()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ends_process(_run)(settings, store))
    return 0


def _built(
    settings: Settings, store: DocumentWriter, sender: KafkaSender
) -> tuple[Pipeline[Batch], Committer]:
    names = TopicNames(settings.broker.topic_prefix)
    topics = sorted(kinds_of(names, settings.sink))
    sink = Sink(
        names,
        settings.sink,
        store,
        sender,
        TelemetryLog(settings.broker),
        settings.lanes.max_ahead_s,
        lambda kind: _forgotten_before(settings.store.retention, kind, time.time_ns() // 1000),
    )
    committer = Committer(NAME, TopicIds(settings.broker, topics), metrics.forget_sink_lag)
    client = aiokafka_config(settings.broker)
    batch_bytes = settings.lanes.max_batch_bytes
    pipeline = Pipeline(NAME, topics, sink, committer, client, settings.broker, batch_bytes)
    return pipeline, committer


async def _run(settings: Settings, store: Store) -> None:
    sender = KafkaSender(aiokafka_config(settings.broker), NAME)
    pipeline, committer = _built(settings, store, sender)
    started = asyncio.Event()
    watchdog = Watchdog(pipeline, lambda: pipeline.ready or not started.is_set())
    health = HealthServer(
        settings.worker.health_host,
        settings.worker.health_port,
        watchdog.stalled,
        lambda: pipeline.ready,
    )
    stop = _stopped_by_signals()
    await health.start()
    watchdog.start()
    log_for("sentinel.worker").info(
        "worker.started", stage=NAME, health_port=health.port, pid=os.getpid()
    )
    rounds = (
        _watch(pipeline, watchdog),
        _report_lag(pipeline),
        _check_topics(committer),
        _retain(settings, store, started),
        _tend(store, started),
    )
    beside = [asyncio.create_task(ends_process(each)()) for each in rounds]
    working = asyncio.create_task(_work(pipeline, store, sender, started, stop))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not working.done():
        end_within(ENDS_WITHIN_S)
    if not started.is_set():
        # Told to end while it still waits for the store.
        working.cancel()
    await asyncio.wait({working})
    if not working.cancelled():
        # What ended it ends the process at once: whatever else would be closed before could only
        # hold it up.
        working.result()
    for task in (*beside, stopping):
        task.cancel()
    watchdog.stop()
    await store.close()
    await sender.stop()
    await health.stop()


async def _work(
    pipeline: Pipeline[Batch],
    store: Store,
    sender: KafkaSender,
    started: asyncio.Event,
    stop: asyncio.Event,
) -> None:
    await store.start()
    await sender.start()
    started.set()
    await pipeline.run(stop)


def _stopped_by_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    return stop


def _watch(pipeline: Pipeline[Batch], watchdog: Watchdog) -> Work:
    async def watch() -> None:
        while True:
            watchdog.beat()
            metrics.READY.labels(NAME).set(pipeline.ready)
            pipeline.check()
            await asyncio.sleep(_BEAT_S)

    return watch


def _report_lag(pipeline: Pipeline[Batch]) -> Work:
    async def report() -> None:
        while True:
            lags = await pipeline.lags()
            if lags is not None:
                report_lag(lags)
            await asyncio.sleep(_LAG_EVERY_S)

    return report


def _check_topics(committer: Committer) -> Work:
    async def check() -> None:
        while True:
            await asyncio.sleep(_TOPICS_EVERY_S)
            await committer.check_topics()

    return check


def _retain(settings: Settings, store: DocumentRetention, started: asyncio.Event) -> Work:
    async def retain() -> None:
        await started.wait()
        while True:
            await purge(store, settings.store.retention, time.time_ns() // 1000)
            await asyncio.sleep(_PURGE_EVERY_S)

    return retain


def _tend(store: DocumentRetention, started: asyncio.Event) -> Work:
    async def tend() -> None:
        log, told = log_for("sentinel.sink"), 0
        await started.wait()
        while True:
            try:
                twice = await store.tend()
            except StoreUnavailable:
                # The writes say so.
                twice = 0
            metrics.STORE_LOG.set(twice)
            # Again only when it has doubled.
            if twice > max(_MOST_LOG_BYTES, 2 * told):
                told = twice
                log.warning(
                    "sink.log_grows",
                    bytes=twice,
                    reason="a reader of the store's file does not end; end it",
                )
            elif twice <= _MOST_LOG_BYTES:
                told = 0
            await asyncio.sleep(_TEND_EVERY_S)

    return tend


async def purge(store: DocumentRetention, retention: Retention, now: int) -> None:
    """Forgets what is older than its kind is kept; a store that is away is asked again the next
    time.
    """
    log = log_for("sentinel.sink")
    for kind in Kind:
        before = _forgotten_before(retention, kind, now)
        if before is None:
            continue
        try:
            forgotten = await store.purge(kind, before)
        except StoreUnavailable as fault:
            log.warning("sink.not_purged", kind=kind, reason=str(fault))
            continue
        if forgotten:
            log.info("sink.purged", kind=kind, documents=forgotten)


def _forgotten_before(retention: Retention, kind: Kind, now: int) -> int | None:
    """Time, µs, before which documents of a kind are too old to be kept; None when none is."""
    days = retention.days(kind)
    return None if days is None else now - days * _DAY_US
