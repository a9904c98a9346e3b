"""From settings to a running worker of one stage."""

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import uvloop
from confluent_kafka import KafkaException

from agents.detectors.settings import DetectionSettings
from agents.detectors.settings_codec import to_json
from agents.stages.alert import DELIVERY, Surroundings, alert_stage
from agents.stages.correlate import correlate_stage
from agents.stages.delivery import Deliveries
from agents.stages.detect import detect_stage
from agents.stages.heartbeat import Heartbeat
from agents.stages.waking import Waker
from schemas.native.library import NATIVE
from streams.admin import topics
from streams.client.brokers import CannotReachBroker, aiokafka_config, fault_text, reach
from streams.control.command_log import CommandLog
from streams.control.settings_log import SettingsLog
from streams.exit_status import ENDS_WITHIN_S, end_within
from streams.faust.worker import Companion, Worker, build, execute
from streams.lane.lane_set import LaneSet
from streams.lane.outbox import Outbox
from streams.lane.program import Stage
from streams.process.allocation import settle
from streams.process.crash_note import CrashNote
from streams.state.position import Refused
from streams.topic_names import TopicNames
from topology.logs import configure, log_for
from topology.settings.installation import Settings
from topology.stages.receivers import heartbeat_of, receivers_of
from topology.stages.standalone import CRASH_NOTE


def run_worker(stage: str, settings: Settings) -> int:
    """Runs one stage's worker until a signal; returns its exit status. Raises Refused when it must
    not start as things are.
    """
    configure(settings.worker.log_level)
    check_topics(settings)
    # The policy too: the consumer's thread makes a loop of its own.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = build(worker_of(stage, settings))
    if NATIVE is None:
        log_for("sentinel.worker").warning("worker.without_kernel", stage=stage)
    settle()
    return execute(app, loop)


def worker_of(stage: str, settings: Settings) -> Worker:
    """The worker of a stage, not yet connected to anything."""
    broker, names = settings.broker, TopicNames(settings.broker.topic_prefix)
    log: SettingsLog | CommandLog
    if stage == "alert":
        log = CommandLog(aiokafka_config(broker), names.commands, settings.worker.control_key)
        made, companion = _alert(settings, names, log)
    else:
        log = SettingsLog(
            aiokafka_config(broker),
            names.settings,
            settings.worker.control_key,
            packaged_versions(),
        )
        made, companion = _stage(stage, settings, names, log), None
    return Worker(
        stage=made,
        broker=broker,
        limits=settings.lanes,
        followed=log,
        settings=log if isinstance(log, SettingsLog) else None,
        health_host=settings.worker.health_host,
        health_port=settings.worker.health_port,
        companion=companion,
        closed=lambda: end_within(ENDS_WITHIN_S),
    )


def packaged_versions() -> Mapping[str, str]:
    """Detection settings that are in the package: version 0."""
    return {"0": to_json(DetectionSettings())}


def _stage(stage: str, settings: Settings, names: TopicNames, log: SettingsLog) -> Stage:
    if stage == "detect":
        path = os.environ.get(CRASH_NOTE)
        note = CrashNote(Path(path)) if path else None
        return detect_stage(names, settings.lanes, log, settings.worker.control_key, note)
    return correlate_stage(names, settings.correlation, settings.worker.control_key)


def _alert(settings: Settings, names: TopicNames, commands: CommandLog) -> tuple[Stage, Companion]:
    deliveries = Deliveries(receivers_of(settings.alerting), settings.alerting.retry, _now_us)
    partitions = (
        topics.EMBEDDED_PARTITIONS if settings.broker.embedded else settings.lanes.partitions
    )
    stage = alert_stage(Surroundings(names, settings.alerting, partitions, _now_us, commands))
    companions: list[Companion] = [Outbox({DELIVERY: deliveries}, _now_us), Waker(_now_us)]
    if (heartbeat := heartbeat_of(settings.alerting)) is not None:
        companions.append(Heartbeat(heartbeat, settings.alerting.heartbeat.every_s, _now_us))
    return stage, _Side(tuple(companions))


@dataclass(frozen=True, slots=True)
class _Side:
    """Companions that run beside each other; what one of them raises ends all."""

    companions: tuple[Companion, ...]

    async def run(self, lanes: LaneSet) -> None:
        async with asyncio.TaskGroup() as group:
            for companion in self.companions:
                group.create_task(companion.run(lanes))


def _now_us() -> int:
    return time.time_ns() // 1000


def check_topics(settings: Settings) -> None:
    """Raises Refused, in one line, when the broker is not there or its topics are not what lanes
    need.
    """
    try:
        admin, _ = reach(settings.broker)
        # It creates a topic when it is asked for it, and has no settings to compare.
        if settings.broker.embedded:
            return
        facts = topics.check(
            admin, topics.specs(TopicNames(settings.broker.topic_prefix), settings.lanes)
        )
    except CannotReachBroker as fault:
        raise Refused(str(fault)) from fault
    except KafkaException as fault:
        raise Refused(fault_text(settings.broker, fault.args[0])) from fault
    wrong = [f"{fact.name} {fact.outcome}: {fact.detail}" for fact in facts if not fact.good]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise Refused(wrong[0] + more)
