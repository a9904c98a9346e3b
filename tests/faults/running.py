"""One fault, from the first event to the verifier's figures."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.exactness_run.comparing import references
from benchmarks.exactness_run.disturbing import Group, Say
from benchmarks.exactness_run.inbox import Inbox
from benchmarks.exactness_run.plan import Plan
from benchmarks.exactness_run.running import run
from benchmarks.exactness_run.sending import Sender
from benchmarks.exactness_run.verdict import Verdict, judged
from benchmarks.showing import Json
from tests.faults.catalogue import Fault
from tests.faults.scene import Scene
from tests.faults.watching import Watch
from tests.faults.wire import Wire
from tests.servers.kafka import KafkaServer
from topology.ports import free_port

MOST_GAP_S: Final = 30.0
"""For so long a lane may stand still that has records before it, and that nothing harms."""
MOST_MEMORY_MB: Final = 512.0
MOST_FILES: Final = 256
_BEFORE_S: Final = 2.0
"""All goes well, before."""


@dataclass(frozen=True, slots=True)
class Place:
    """A broker that workers reach directly or through a wire."""

    kafka: KafkaServer
    wire_port: int
    behind: tuple[str, int]


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """A broker of its own, which may be harmed. Raises CannotStartKafka."""
    wire_port, behind = free_port(), free_port()
    server = KafkaServer(
        {
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,WIRE:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
        },
        extra_listeners=(f"WIRE://127.0.0.1:{behind}",),
        advertised={"WIRE": f"127.0.0.1:{wire_port}"},
    )
    with server:
        yield Place(server, wire_port, ("127.0.0.1", behind))


@dataclass(frozen=True, slots=True)
class Figures:
    """What the verifier says of one run."""

    fault: Fault
    verdict: Verdict
    watch: Watch
    drain_s: float
    """From the end of the harm until everything was worked off and all had ended."""
    wall_s: float

    @property
    def broken(self) -> list[str]:
        """The invariants that do not hold."""
        watch = self.watch
        found = [] if self.verdict.is_exact else ["not exact"]
        if watch.longest_gap_s > MOST_GAP_S:
            found.append(f"{watch.gap_of} stood for {watch.longest_gap_s:.0f} s")
        if watch.most_memory_mb > MOST_MEMORY_MB:
            found.append(f"a worker took {watch.most_memory_mb:.0f} MB")
        if watch.most_files > MOST_FILES:
            found.append(f"a worker had {watch.most_files} files open")
        return found

    @property
    def numbers(self) -> dict[str, Json]:
        """As `--json` prints it."""
        numbers, watch = self.verdict.numbers, self.watch
        kept = ("events", "lost", "wrong_state", "missing", "duplicates", "unequal", "unexpected", "crashes")
        more = ("ended_by_themselves", "dead_letters", "anomalies", "incidents", "messages", "delivered_again")
        pages = next(tally for tally in self.verdict.tallies if tally.what == "messages received")
        return {
            **{name: numbers[name] for name in (*kept, *more)},
            "duplicate_pages": pages.duplicates,
            "stuck_lanes": int(watch.longest_gap_s > MOST_GAP_S),
            "longest_gap_s": round(watch.longest_gap_s, 1),
            "recovery_s": round(watch.recovery_s, 1),
            "drain_s": round(self.drain_s, 1),
            "most_memory_mb": round(watch.most_memory_mb),
            "most_files": watch.most_files,
            "wall_s": round(self.wall_s, 1),
            "broken": list(self.broken),
        }


def suffer(fault: Fault, at: Place, *, events: int, seed: int, long: bool, say: Say) -> Figures:
    """Runs one fault, and compares what is left. Raises BenchmarkFailed when a stage does not come back."""
    plan = Plan(
        at.kafka.address,
        f"fault{uuid.uuid4().hex[:8]}.",
        events=events,
        kills=10 if long else 3,
        subjects=24,
        seed=seed,
        freezes=False,
        # Kills have a pace of their own.
        seconds=None if fault.name == "kills" else (90.0 if long else 15.0),
        proxied=f"127.0.0.1:{at.wire_port}" if fault.through_wire else "",
    )
    watch, began = Watch(plan), time.monotonic()
    verdict, drain_s = asyncio.run(_suffered(fault, at, plan, watch, long=long, say=say))
    return Figures(fault, verdict, watch, drain_s, time.monotonic() - began)


async def _suffered(
    fault: Fault, at: Place, plan: Plan, watch: Watch, *, long: bool, say: Say
) -> tuple[Verdict, float]:
    """The verdict, and how long it took to work everything off."""
    calm_at = 0.0
    watching: list[asyncio.Task[None]] = []

    async def disturb(plan: Plan, group: Group, sender: Sender, inbox: Inbox, say: Say) -> None:
        nonlocal calm_at
        watching.append(asyncio.create_task(watch.run(group)))
        await asyncio.sleep(_BEFORE_S)
        scene = Scene(plan, group, sender, inbox, say, at.kafka, wire, watch, long)
        await fault.does(scene)
        await scene.all_work()
        calm_at = time.monotonic()

    async with Wire(at.wire_port, at.behind) as wire:
        try:
            ran = await run(plan, say, disturb)
        finally:
            for task in watching:
                task.cancel()
            for outcome in await asyncio.gather(*watching, return_exceptions=True):
                if isinstance(outcome, Exception):
                    say(f"the watch ended: {outcome!r}")
    drain_s = time.monotonic() - calm_at
    return judged(plan, ran, references(plan, say)), drain_s
