"""From settings to the running process of the stage `sink`: Kafka on one side, the store on the
other.
"""

import asyncio
import time
from collections.abc import Sequence

from aiokafka.errors import KafkaError, RequestTimedOutError

from agents.sinking.sampling import LoggedEvent
from agents.stages.sink import NAME, Sink, kinds_of, report_lag
from connectors.store.opening import store_of
from connectors.store.port import Store
from streams import metrics
from streams.admin.topic_ids import TopicIds
from streams.client.brokers import aiokafka_config
from streams.client.committing import Committer
from streams.client.pipeline import Pipeline
from streams.lane.producing import KafkaSender
from streams.process.pipeline_service import PipelineService
from streams.process.serving import execute, serve
from streams.settings import Broker
from streams.state.position import Refused
from streams.topic_names import TopicNames
from topology.control.reading import span
from topology.logs import configure
from topology.settings.installation import Settings
from topology.stages.build import check_topics
from topology.stages.retention import oldest_kept, retain, tend


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
    worker = settings.worker
    return execute(
        lambda: serve(NAME, worker.health_host, worker.health_port, service_of(settings, store))
    )


def service_of(settings: Settings, store: Store) -> PipelineService:
    """The sink's pipeline with all that it needs, not yet connected to anything. To be called in
    the event loop in which it is to run.
    """
    names, broker = TopicNames(settings.broker.topic_prefix), settings.broker
    client, retention = aiokafka_config(broker), settings.store.retention
    sender = KafkaSender(client, NAME)
    sink = Sink(
        names,
        settings.sink,
        store,
        sender,
        TelemetryLog(broker),
        settings.lanes.max_ahead_s,
        lambda kind: oldest_kept(retention, kind, time.time_ns() // 1000),
    )
    topics = sorted(kinds_of(names, settings.sink))
    committer = Committer(NAME, TopicIds(broker, topics), metrics.forget_sink_lag)
    max_bytes = settings.lanes.max_batch_bytes
    return PipelineService(
        Pipeline(NAME, topics, sink, committer, client, broker, max_bytes),
        committer,
        # The store first: without it there is no use in a connection to the broker.
        opens=(store.start, sender.start),
        closes=(store.close, sender.stop),
        report_lag=report_lag,
        rounds=(lambda: retain(store, retention), lambda: tend(store)),
    )
