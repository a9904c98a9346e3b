"""The disturbed run: topics, settings, stages, traffic and deaths, until everything is worked off
and all processes have ended.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from connectors.store.settings import StoreKind, StoreSettings
from streams.admin.topics import STAGES
from streams.state.position import Refused
from tests.harness.exactness.disturbing import Disturb, Group, Say, killed
from tests.harness.exactness.inbox import Inbox
from tests.harness.exactness.plan import CORRELATION, PARTITIONS, Plan
from tests.harness.exactness.sending import HELD_BACK, RUSHED, Acknowledged, Sender
from tests.harness.exactness.settling import settle
from tests.harness.exactness.storing import SINK
from tests.harness.exactness.workers import until
from topology.control.publishing import publish
from topology.stages.standalone import make_topics

RECEIVER: Final = "inbox"

_KILL_S: Final = 9.0
"""About what a death costs until the next, seconds, with the group's session timeout in it: the
pace of sending follows from it.
"""

MakeSender = Callable[[Plan, float], Sender]
"""Who sends, given the plan and how many records a second."""

_MIDDLE: Final = 0.4
_FIRST_FLOW_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Ran:
    """What is known of the run that is in no topic."""

    acknowledged: Acknowledged
    """Of the events, and whatever else was sent to telemetry."""
    kills: Counter[str]
    """By stage."""
    unexpected: dict[int, int]
    """Deaths that nobody meant, by exit status. 75 is a worker that was fenced, or was without a
    broker, and ended as it must.
    """
    last_words: list[str]
    """What those who died so said last."""
    stale_blocks: int
    """Blocks of old assignments that were dropped, as far as is known."""
    posts: list[tuple[str, bytes]]
    forged: int
    refused: int

    @property
    def sent(self) -> int:
        """How many records that is."""
        return sum(map(len, self.acknowledged.values()))


async def run(
    plan: Plan, say: Say, disturb: Disturb = killed, make_sender: MakeSender = Sender
) -> Ran:
    """Runs the plan, while `disturb` does harm and, before it returns, heals it. However it is
    left, no process of it is left behind.

    Raises BenchmarkFailed, and what the broker's clients raise.
    """
    await asyncio.to_thread(make_topics, plan.broker, plan.lanes)
    await asyncio.to_thread(
        publish, plan.broker, plan.lanes, plan.first, plan.control_key, "exactness"
    )
    with tempfile.TemporaryDirectory(prefix="sentinel-exactness-") as name:
        async with Inbox() as inbox:
            stages = STAGES if plan.store is None else (*STAGES, SINK)
            group = Group.of(stages, _config(plan, inbox, Path(name)), Path(name))
            try:
                acknowledged = await _disturbed(plan, group, inbox, say, disturb, make_sender)
                await settle(plan, group, say)
            finally:
                await group.drop()
        members = list(group.members.values())
        unexpected: Counter[int] = Counter()
        for member in members:
            unexpected.update(member.unexpected)
        kills: Counter[str] = Counter()
        for member in members:
            kills[member.stage] += member.killed
        words = [line for member in members for line in member.last_words]
        stale = sum(member.stale_blocks for member in members)
        return Ran(
            acknowledged,
            kills,
            dict(unexpected),
            words,
            stale,
            inbox.posts,
            inbox.forged,
            inbox.refused,
        )


async def _disturbed(
    plan: Plan, group: Group, inbox: Inbox, say: Say, disturb: Disturb, make_sender: MakeSender
) -> Acknowledged:
    """Sends and disturbs at the same time; returns when everything is sent, and acknowledged."""
    seconds = max(plan.kills * _KILL_S, 10.0) if plan.seconds is None else plan.seconds
    rate = (1 - HELD_BACK - RUSHED) * plan.events / seconds
    sender = make_sender(plan, rate)
    sending = asyncio.create_task(asyncio.to_thread(sender.run))
    try:
        for member in group.members.values():
            member.start()
        for member in group.members.values():
            await until(member.is_ready, _FIRST_FLOW_S, f"{member.name} is not ready")
        say(f"all stages are ready; sending {plan.events:,} events, at first {rate:,.0f} a second")
        sender.go.set()
        changing = asyncio.create_task(_change_settings(plan, sender, say))
        await disturb(plan, group, sender, inbox, say)
        sender.calm.set()
        await changing
        return await sending
    except BaseException:
        for end in (sender.given_up, sender.calm, sender.go):
            end.set()
        await asyncio.gather(sending, return_exceptions=True)
        raise


async def _change_settings(plan: Plan, sender: Sender, say: Say) -> None:
    """Another version takes effect while events flow."""

    async def is_mid_stream() -> bool:
        return sender.sent > _MIDDLE * plan.events

    async def is_published() -> bool:
        try:
            await asyncio.to_thread(
                publish, plan.broker, plan.lanes, plan.second, plan.control_key, "exactness"
            )
        except Refused as why:
            # A person who is told to try again does so.
            say(str(why))
            return False
        return True

    await until(is_mid_stream, 3600.0, "the sender does not get half-way")
    await until(is_published, 300.0, "the settings are not published")
    say("another settings version takes effect")


def _config(plan: Plan, inbox: Inbox, folder: Path) -> Path:
    """A settings file for all stages."""
    receiver = {
        "name": RECEIVER,
        "kind": "webhook",
        "pages_per_hour": None,
        "url": inbox.url,
        "secret": inbox.secret,
        "allow_private": True,
        "min_severity": "info",
    }
    sections: dict[str, object] = {
        "broker": {
            "bootstrap_servers": plan.proxied or plan.bootstrap,
            "topic_prefix": plan.prefix,
        },
        "lanes": {"partitions": PARTITIONS, "lateness_s": plan.lanes.lateness_s},
        "correlation": {"quiet_s": CORRELATION.quiet_s},
        "alerting": {
            # Recorded traffic of an hour ago: every incident is told singly all the same.
            "alert_max_age_s": 1e6,
            "max_waiting": 100_000,
            "retry": {"first_s": 0.3, "cap_s": 2.0},
            "receivers": [receiver],
        },
        "worker": {"control_key": plan.control_key.reveal(), "log_level": "warning"},
    }
    if plan.store is not None:
        sections["store"] = _store(plan.store)
    config = folder / "sentinel.yaml"
    config.touch(mode=0o600)
    config.write_text(yaml.safe_dump(sections))
    return config


def _store(store: StoreSettings) -> dict[str, object]:
    """The settings of a store that asks for no credentials, as a file has them."""
    given = {"kind": str(store.kind), "timeout_s": store.timeout_s, "deadline_s": store.deadline_s}
    if store.kind is StoreKind.EMBEDDED:
        return {**given, "path": store.path}
    return {
        **given,
        "urls": list(store.urls),
        "index_prefix": store.index_prefix,
        "replicas": store.replicas,
    }
