"""Faults over one installation, from the first event to the verifier's figures."""

import asyncio
import contextlib
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from connectors.store.settings import StoreKind, StoreSettings
from tests.faults.catalogue import Fault
from tests.faults.elastic import Elastic
from tests.faults.front import Front
from tests.faults.scene import Scene
from tests.faults.stores import DEADLINE_S, TIMEOUT_S
from tests.faults.watching import Watch
from tests.faults.wire import Wire
from tests.harness.exactness.comparing import references
from tests.harness.exactness.disturbing import Group, Say
from tests.harness.exactness.inbox import Inbox
from tests.harness.exactness.plan import Plan
from tests.harness.exactness.running import Ran, run
from tests.harness.exactness.sending import Sender
from tests.harness.exactness.storing import compared
from tests.harness.exactness.verdict import Verdict, judged
from tests.harness.reference.tally import Tally
from tests.harness.servers.kafka import KafkaCluster, KafkaServer
from tests.harness.showing import BenchmarkFailed, Json
from topology.supervision.ports import free_port

MOST_GAP_S: Final = 30.0
"""For so long a lane may stand still that has records before it, and that nothing harms."""
MOST_MEMORY_MB: Final = 512.0
MOST_FILES: Final = 256
_BEFORE_S: Final = 2.0
"""All goes well, before."""
_QUICK_LOOK_S: Final = 2.0
"""Between two looks at the lanes in the quick form: each reads all their state."""


@dataclass(frozen=True, slots=True)
class Place:
    """A broker that workers reach directly or through a wire, one of three nodes, and a store for
    those who want them.
    """

    kafka: KafkaServer
    cluster: KafkaCluster
    """Started by the first fault that needs three nodes."""
    wire_port: int
    behind: tuple[str, int]
    elastic: Elastic


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """A broker of its own, which may be harmed. Raises CannotStartKafka."""
    wire_port, behind = free_port(), free_port()
    server = KafkaServer(
        {
            "listener.security.protocol.map": (
                "PLAINTEXT:PLAINTEXT,WIRE:PLAINTEXT,CONTROLLER:PLAINTEXT"
            ),
            "inter.broker.listener.name": "PLAINTEXT",
            "log.cleaner.backoff.ms": "500",
        },
        extra_listeners=(f"WIRE://127.0.0.1:{behind}",),
        advertised={"WIRE": f"127.0.0.1:{wire_port}"},
    )
    with (
        server,
        contextlib.closing(KafkaCluster()) as cluster,
        contextlib.closing(Elastic()) as elastic,
    ):
        yield Place(server, cluster, wire_port, ("127.0.0.1", behind), elastic)


@dataclass(frozen=True, slots=True)
class Figures:
    """What the verifier says of one run."""

    faults: Sequence[Fault]
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
        kept = (
            "events",
            "lost",
            "wrong_state",
            "missing",
            "duplicates",
            "unequal",
            "unexpected",
            "crashes",
        )
        more = (
            "ended_by_themselves",
            "dead_letters",
            "anomalies",
            "incidents",
            "messages",
            "delivered_again",
        )
        pages = next(tally for tally in self.verdict.tallies if tally.what == "messages received")
        return {
            **{name: numbers[name] for name in (*kept, *more)},
            "stored": sum(
                tally.compared for tally in self.verdict.tallies if tally.what == "stored documents"
            ),
            "refused": sum(
                tally.compared
                for tally in self.verdict.tallies
                if tally.what == "documents refused"
            ),
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


def suffer(
    faults: Sequence[Fault],
    at: Place,
    *,
    events: int,
    subjects: int,
    seed: int,
    long: bool,
    say: Say,
) -> Figures:
    """Runs faults one after the other over one installation, with `events` for each, and compares
    what is left. Faults of one run need the same broker and network, and no two different stores;
    after each, the workers are usual ones again.

    Raises BenchmarkFailed when a stage does not come back, CannotStartKafka and
    CannotStartElasticsearch; ValueError when the faults do not fit together.
    """
    first = faults[0]
    stores = {fault.store for fault in faults} - {StoreKind.NONE}
    if len({fault.way for fault in faults}) > 1 or len(stores) > 1:
        raise ValueError(f"not one installation for {', '.join(one.name for one in faults)}")
    pace_s = 90.0 if long else 15.0
    plan = Plan(
        at.cluster.start() if first.on_three else at.kafka.address,
        f"fault{uuid.uuid4().hex[:8]}.",
        events=events * len(faults),
        copies=3 if first.on_three else 1,
        kills=10 if long else 3,
        subjects=subjects,
        seed=seed,
        freezes=False,
        # Kills have a pace of their own.
        seconds=None if [one.name for one in faults] == ["kills"] else pace_s * len(faults),
        prepare=next((one.prepare for one in faults if one.prepare is not None), None),
        proxied=f"127.0.0.1:{at.wire_port}" if first.through_wire else "",
    )
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sentinel-fault-") as folder:
        run = _Run(faults, at, plan, Path(folder), long, say)
        ran, stored = asyncio.run(run.suffered())
    verdict = judged(plan, ran, references(plan, say), stored)
    return Figures(faults, verdict, run.watch, run.drain_s, time.monotonic() - began)


@dataclass(slots=True)
class _Run:
    """Faults on one plan."""

    faults: Sequence[Fault]
    at: Place
    plan: Plan
    folder: Path
    """For the store that is a file."""
    long: bool
    say: Say
    watch: Watch = field(init=False)
    drain_s: float = 0.0

    def __post_init__(self) -> None:
        self.watch = Watch(self.plan) if self.long else Watch(self.plan, look_s=_QUICK_LOOK_S)

    async def suffered(self) -> tuple[Ran, list[Tally]]:
        """What is left when everything was worked off, the store compared."""
        async with Wire(self.at.wire_port, self.at.behind) as wire, Front() as front:
            if self._store_kind is StoreKind.ELASTICSEARCH:
                front.server = await self.at.elastic.url()
            self.plan = replace(self.plan, store=self._store(front.url))
            ran = await self._disturbed(wire, front)
        if self.plan.store is None:
            return ran, []
        # Asked without anything between.
        store = replace(self.plan.store, urls=(front.server,)) if front.server else self.plan.store
        return ran, await compared(self.plan, store, front.refused)

    async def _disturbed(self, wire: Wire, front: Front) -> Ran:
        calm_at = 0.0
        watching: list[asyncio.Task[None]] = []

        async def disturb(plan: Plan, group: Group, sender: Sender, inbox: Inbox, say: Say) -> None:
            nonlocal calm_at
            watching.append(asyncio.create_task(self.watch.run(group)))
            await asyncio.sleep(_BEFORE_S)
            elastic, watch = self.at.elastic, self.watch
            scene = Scene(
                plan,
                group,
                sender,
                inbox,
                say,
                self.at.kafka,
                self.at.cluster,
                wire,
                elastic,
                front,
                watch,
                self.long,
            )
            sender.parts = len(self.faults)
            for fault in self.faults:
                watch.during = fault.name
                await _does(fault, scene)
            calm_at = time.monotonic()

        try:
            return await run(self.plan, self.say, disturb)
        finally:
            self.drain_s = time.monotonic() - calm_at
            for task in watching:
                task.cancel()
            for outcome in await asyncio.gather(*watching, return_exceptions=True):
                if isinstance(outcome, Exception):
                    self.say(f"the watch ended: {outcome!r}")

    @property
    def _store_kind(self) -> StoreKind:
        return next(
            (fault.store for fault in self.faults if fault.store is not StoreKind.NONE),
            StoreKind.NONE,
        )

    def _store(self, url: str) -> StoreSettings | None:
        if self._store_kind is StoreKind.NONE:
            return None
        return StoreSettings(
            self._store_kind,
            path=str(self.folder / "sentinel.db"),
            urls=(url,),
            index_prefix=self.plan.prefix.replace(".", "-"),
            replicas=0,
            timeout_s=TIMEOUT_S,
            deadline_s=StoreSettings().deadline_s if self.long else DEADLINE_S,
        )


async def _does(fault: Fault, scene: Scene) -> None:
    """One fault, until all workers work again. Raises BenchmarkFailed with its name."""
    scene.say(f"--- {fault.name}")
    try:
        await fault.does(scene)
        if not fault.is_last:
            await scene.group.as_usual()
        await scene.all_work()
    except BenchmarkFailed as why:
        raise BenchmarkFailed(f"{fault.name}: {why}") from why
