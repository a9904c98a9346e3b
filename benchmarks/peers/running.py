"""One engine on the filled broker: start it, measure it, end it, check what it wrote."""

import time
from dataclasses import dataclass
from typing import Final

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.peers.catalogue import SENTINEL, Engine
from benchmarks.peers.checking import checked
from benchmarks.peers.marks import Mark, Speed, mark, speed
from benchmarks.peers.reading import peer_windows, sentinel_windows
from benchmarks.peers.starting import Started, started
from benchmarks.peers.work import Int64s, Work
from tests.harness.installation import PARTITIONS, Installation
from tests.harness.processes import WorkerProcess, last_words, wait_until
from tests.harness.reference.reading import Reader
from tests.harness.showing import BenchmarkFailed

_STALLED_S: Final = 120.0
_LOOK_S: Final = 0.1
_FIRST_LOOK_S: Final = 0.02
_OUTPUTS_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Run:
    """One engine's run: its speed, and how many closed windows were compared with the reference
    (None: it writes none).
    """

    speed: Speed
    checked: int | None


def make_topics_of(installation: Installation, engine: Engine) -> str:
    """The engine's own output topics; the name of the one that is checked."""
    out = f"peers-{engine.name}"
    make_topic(installation, out)
    make_topic(installation, f"{out}-warm-up")
    return out


def make_topic(installation: Installation, name: str) -> None:
    """With as many partitions as every other."""
    admin = AdminClient({"bootstrap.servers": installation.server.address, "log_level": 0})
    for made in admin.create_topics([NewTopic(name, PARTITIONS, 1)]).values():
        made.result()


def run(installation: Installation, engine: Engine, work: Work, right: Int64s) -> Run:
    """Runs one engine from the begin of its input. Raises BenchmarkFailed, naming the engine."""
    try:
        if engine.name == SENTINEL:
            return _sentinel(installation, work, right)
        return _peer(installation, engine, work, right)
    except BenchmarkFailed as why:
        raise BenchmarkFailed(f"{engine.name} at {work.keys:,} keys: {why}") from None


def _sentinel(installation: Installation, work: Work, right: Int64s) -> Run:
    with installation.worker("detect") as worker:
        marks = _worker_marks(worker, work.events)
        worker.stop()
    closed = sentinel_windows(work, installation.broker, installation.names.aggregates)
    return Run(
        speed(marks, work.events), checked(work, right, closed, work.due(work.events), work.keys)
    )


def _worker_marks(worker: WorkerProcess, events: int) -> list[Mark]:
    marks: list[Mark] = []
    moved = time.monotonic()
    while not marks or marks[-1].events < events:
        scraped = worker.scrape()
        if scraped is not None and (seen := int(scraped["sentinel_events_total"])) > (
            marks[-1].events if marks else 0
        ):
            marks.append(mark(worker.pid, seen))
            moved = time.monotonic()
        elif time.monotonic() - moved > _STALLED_S:
            raise BenchmarkFailed(f"stands still: {worker.last_words()}")
        time.sleep(_LOOK_S if len(marks) > 1 else _FIRST_LOOK_S)
    return marks


def _peer(installation: Installation, engine: Engine, work: Work, right: Int64s) -> Run:
    out = make_topics_of(installation, engine) if engine.writes else ""
    events = engine.events(work.events)
    due = work.due(events) if events == work.events else 0
    # An engine that is stopped early has read some partitions further than others.
    least = work.keys if due else max(1, work.keys // PARTITIONS)
    with started(installation, engine, out, events) as process:
        _wait_for_events(process, events)
        if engine.writes:
            with Reader(installation.broker) as reader:
                wait_until(
                    lambda: sum(reader.ends(out, PARTITIONS)) >= max(least, due * work.keys),
                    _OUTPUTS_S,
                    f"fewer than {max(least, due * work.keys):,} closed windows have come out",
                    process.check,
                    0.5,
                )
        marks = list(process.listener.marks)
    if not engine.writes:
        return Run(speed(marks, events), None)
    closed = peer_windows(work, installation.broker, out)
    return Run(speed(marks, events), checked(work, right, closed, due, least))


def _wait_for_events(process: Started, events: int) -> None:
    seen, moved = 0, time.monotonic()
    while seen < events:
        process.check()
        if process.listener.seen() > seen:
            seen, moved = process.listener.seen(), time.monotonic()
        elif time.monotonic() - moved > _STALLED_S:
            raise BenchmarkFailed(
                f"stands at {seen:,} of {events:,} events: {last_words(process.log)}"
            )
        time.sleep(_LOOK_S)
