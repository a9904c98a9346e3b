"""Checks of the broker: topics, consumer groups, lanes and clocks.

Without a broker the checks that need it are skipped, and a finding says so.
"""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from connectors.store.settings import StoreKind
from topology.doctor.findings import MAX_CLOCK_OFFSET_S, TIMEOUT_S, Finding, failed, ok, warning
from topology.settings.installation import Settings

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

_MAX_LAG: Final = 100_000
"""Unread records of a lane that are no cause for a warning: seconds of work for a worker."""

_MAX_SILENCE_S: Final = 600.0
"""Seconds without a record or a tick on telemetry that are no cause for a warning."""


def check_kafka(settings: Settings) -> Iterator[Finding]:
    """Everything that Kafka answers for."""
    from confluent_kafka import KafkaException

    from streams.client.broker_safety import RefusedBroker
    from streams.client.brokers import CannotReachBroker, reach

    try:
        admin, cluster = reach(settings.broker)
    except (CannotReachBroker, RefusedBroker) as fault:
        yield failed("broker", str(fault), "start Kafka, or correct the section broker")
        yield warning(
            "topics", "not checked", "fix the broker first: topics, groups, lanes and clocks follow"
        )
        return
    yield ok("broker", f"{len(cluster.brokers)} at {settings.broker.bootstrap_servers}")
    checks: tuple[tuple[str, Callable[[AdminClient, Settings], Iterator[Finding]]], ...] = (
        ("topics", _topics),
        ("groups", _groups),
        ("lanes", _lanes),
        ("clocks", _clocks),
    )
    for what, check in checks:
        # One failed check does not hide the others.
        try:
            yield from check(admin, settings)
        except KafkaException as fault:
            yield failed(what, f"Kafka: {fault.args[0].str()}", "see the broker's log")


def _topics(admin: "AdminClient", settings: Settings) -> Iterator[Finding]:
    from streams.admin.topics import check, specs
    from streams.topic_names import TopicNames

    facts = check(admin, specs(TopicNames(settings.broker.topic_prefix), settings.lanes))
    for fact in facts:
        if not fact.good:
            yield failed(
                "topics",
                f"{fact.name} {fact.outcome.value} {fact.detail}".strip(),
                "sentinel topics create creates missing ones and says what differs",
            )
    if all(fact.good for fact in facts):
        yield ok("topics", f"all {len(facts)} are as required")


def _groups(admin: "AdminClient", settings: Settings) -> Iterator[Finding]:
    from streams.admin.topics import STAGES

    # Without a store there is no sink to run.
    stages = (*STAGES, "sink") if settings.store.kind is not StoreKind.NONE else STAGES
    names = {f"{settings.broker.topic_prefix}{stage}": stage for stage in stages}
    for name, answer in admin.describe_consumer_groups(
        list(names), request_timeout=TIMEOUT_S * 2
    ).items():
        group = answer.result()
        members, stage = len(group.members), names[name]
        if members:
            state = group.state.name.lower().replace("_", " ")
            workers = "worker" if members == 1 else "workers"
            yield ok("groups", f"{stage}: {members} {workers}, {state}")
        else:
            yield failed(
                "groups",
                f"{stage}: no worker",
                f"sentinel worker {stage}, or sentinel standalone",
            )


def _lanes(admin: "AdminClient", settings: Settings) -> Iterator[Finding]:
    from streams.admin.inspection import lanes
    from streams.admin.topics import STAGES
    from streams.state.position import Refused

    for stage in STAGES:
        try:
            reports = lanes(settings.broker, stage)
        except Refused as refused:
            yield failed("lanes", f"{stage}: {refused}", "sentinel topics create")
            continue
        if not reports:
            yield warning(
                "lanes", f"{stage}: no lane has state yet", "nothing, if it was just started"
            )
            continue
        # By the position of the last flush, which a running lane is ahead of.
        worst = max(reports, key=lambda report: report.behind)
        if worst.behind > _MAX_LAG:
            yield warning(
                "lanes",
                f"{stage}: lane {worst.lane} was {worst.behind:,} records behind at its last flush",
                "add workers, or see the stage's log for the cause",
            )
        else:
            yield ok(
                "lanes",
                f"{stage}: {len(reports)} lanes, at most {worst.behind:,} records behind at their"
                " last flush",
            )


def _clocks(admin: "AdminClient", settings: Settings) -> Iterator[Finding]:
    """The newest append time of telemetry is not in the future, and recent where workers tick."""
    from streams.topic_names import TopicNames
    from topology.control.reading import newest_append_time

    newest = newest_append_time(settings.broker, TopicNames(settings.broker.topic_prefix).telemetry)
    if newest is None:
        yield warning(
            "clocks", "telemetry has no record to compare clocks by", "nothing, before any event"
        )
        return
    ahead_s = newest / 1e6 - time.time()
    if ahead_s > MAX_CLOCK_OFFSET_S:
        yield failed(
            "clocks",
            f"the broker's clock is ahead: telemetry's newest record is from {ahead_s:.0f} s in the"
            " future",
            "synchronise the clocks of the brokers and of this machine by NTP",
        )
    # Idle lanes stop ticking when no event came for long, so silence is only a warning.
    elif -ahead_s > _MAX_SILENCE_S:
        yield warning(
            "clocks",
            f"telemetry has had no record and no tick for {-ahead_s:.0f} s",
            "start detect, which ticks; or the broker's clock is behind: use NTP",
        )
    else:
        yield ok(
            "clocks",
            f"the broker's newest record is {max(-ahead_s, 0):.0f} s old by this machine's clock",
        )
