"""A backlog of events, and real detect workers that work it off: what each event costs them."""

import contextlib
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Final

from agents.detectors.settings import DetectionSettings
from streams.admin.inspection import lanes
from tests.harness.installation import PARTITIONS, Installation, Kept, installed, kept
from tests.harness.metrics import Scrape
from tests.harness.processes import Usage, WorkerProcess
from tests.harness.second_schema import Mixed
from tests.harness.showing import BenchmarkFailed, Screen
from topology.control.reading import span
from topology.demo.traces.ordinary import Population, ordinary_events
from topology.demo.traces.playing import Played, fill
from topology.demo.traces.templates import Templates

EVENT_RATE: Final = 20_000.0
"""Events per second of event time."""

MOST_TEMPLATES: Final = 1_000_000
"""Events made one by one for a backlog, which repeats them: each takes about 60 µs."""

_TOGETHER_MS: Final = 8_000
"""How long the group waits for workers that are started together, ms: so that all of them work from
the first event on.
"""

_KNOWS_TWO: Final = (sys.executable, "-m", "tests.harness.second_schema")

_LOOK_S: Final = 0.1
_PAUSES: Final = 20
"""A pause between two looks is at least so many times as long as a look, in which the worker writes
its metrics: those of 64 lanes are many.
"""
_MEMORY_EVERY: Final = 20
_STALLED_S: Final = 60.0
_LATE_SLACK: Final = 0.1


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure."""

    name: str
    population: Population
    detection: DetectionSettings
    partitions: int = PARTITIONS
    workers: int = 1
    """Processes, which share the machine and the partitions."""

    late_share: float = 0.0
    """Share of events that come too late to be counted."""

    batch_records: int | None = None
    """Records of a producer's batch, each of which is then fetched alone: so many are a step. None
    means as in service.
    """

    text: int = 0
    """Characters of a prompt's text in each record, which is not read; 0 means no text."""

    other_schema_share: float | None = None
    """Share of records that are written under a second schema id; None means that there is none."""

    warm_up: int = 0
    """Events at the start that are not measured: the first ones of each subject."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What one run gave. `events` were taken while CPU and wall time ran; before that, the workers
    were starting.
    """

    events: int
    events_per_cpu_s: int
    events_per_wall_s: int
    cpu_s: float
    wall_s: float
    records_per_step: int
    flushes: int
    flush_rows: int
    flush_share: float
    """Of the wall time, how much a lane spent in flushes (their mean over lanes); the CPU of it is
    in `cpu_s`.
    """
    outputs: int
    """Anomalies, and the watermarks of each close."""
    pss_mb: int
    rss_mb: int
    """The most that was seen of a worker, megabytes; PSS counts a page that several processes share
    once over all of them.
    """
    record_bytes: int
    """Of a telemetry record's value, before compression."""
    state_rows: int
    state_bytes: int
    """Live state of all lanes at the end, uncompressed."""
    topics: Mapping[str, Kept]
    """By the topics' names without a prefix, at the end."""


@dataclass(frozen=True, slots=True)
class _Look:
    usage: Usage
    each: Sequence[Scrape]

    def __getitem__(self, name: str) -> float:
        return sum(scrape[name] for scrape in self.each)

    @property
    def taken(self) -> int:
        """Events, those that came late included."""
        return int(self["sentinel_events_total"] + self["sentinel_late_events_total"])

    @property
    def all_work(self) -> bool:
        return all(scrape["sentinel_events_total"] for scrape in self.each)


Beside = Callable[[int], AbstractContextManager[None]]
"""Runs beside a worker, by its process id, from its start to its end."""


def measured(
    case: Case, events: int, screen: Screen, beside: Beside = lambda pid: nullcontext()
) -> Rate:
    """Fill, run, measure. Raises BenchmarkFailed."""
    screen.note(f"{case.name}: making events")
    templates = _templates(case)
    few = {} if case.batch_records is None else {"lanes": {"max_fetch_bytes": 1}}
    together = {"group.initial.rebalance.delay.ms": str(_TOGETHER_MS)} if case.workers > 1 else None
    with installed(few, case.partitions, together) as installation:
        installation.publish(case.detection)
        screen.note(f"{case.name}: filling {events:,} events")
        filled = _filled(installation, case, events, templates)
        screen.note(f"{case.name}: filled in {filled.wall_s:.0f} s; running the worker")
        with contextlib.ExitStack() as running:
            program = None if case.other_schema_share is None else _KNOWS_TWO
            workers = [
                running.enter_context(installation.worker("detect", program))
                for _ in range(case.workers)
            ]
            for worker in workers:
                running.enter_context(beside(worker.pid))
            first, last, memory = _run(workers, case, events)
            for worker in workers:
                worker.stop()
        rate = _rate(first, last, memory, installation, templates)
    screen.note(f"{case.name}: {rate.events_per_cpu_s:,} events per CPU second")
    return rate


def _templates(case: Case) -> Templates:
    """Of ordinary events: as many as show everybody a few times, or of more subjects than that can
    be made, each once.
    """
    wanted = case.population.templates_needed()
    count = min(wanted, max(MOST_TEMPLATES, case.population.subjects))
    events = ordinary_events(case.population, seed=1, count=count)
    if case.text:
        letters = random.Random(1)
        events = [replace(event, prompt_text=_text(letters, case.text)) for event in events]
    return Templates(events)


def _text(letters: random.Random, length: int) -> str:
    """Words of random letters, which compress about as text does."""
    return "".join(letters.choices("etaoin shrdlu", k=length))


def _filled(installation: Installation, case: Case, events: int, templates: Templates) -> Played:
    producer = installation.load_producer(batch_records=case.batch_records)
    if case.other_schema_share is not None:
        templates = Mixed(templates, case.other_schema_share)
    return fill(
        producer,
        installation.names.telemetry,
        templates,
        events,
        EVENT_RATE,
        late_share=case.late_share,
    )


def _run(
    workers: Sequence[WorkerProcess], case: Case, events: int
) -> tuple[_Look, _Look, tuple[float, float]]:
    """The looks at which measuring began and ended, and the most PSS and RSS between."""
    first = last = _first(workers, case)
    moved, looks = time.monotonic(), 0
    memory, pause_s = (0.0, 0.0), _LOOK_S
    while last.taken < events:
        time.sleep(pause_s)
        began = time.monotonic()
        look = _look(workers, case)
        pause_s = max(_LOOK_S, _PAUSES * (time.monotonic() - began))
        if look is not None and look.taken > last.taken:
            last, moved = look, time.monotonic()
        elif time.monotonic() - moved > _STALLED_S:
            raise BenchmarkFailed(
                f"the worker stands at {last.taken:,} of {events:,}: {workers[0].last_words()}"
            )
        if looks % _MEMORY_EVERY == 0:
            memory = _most(memory, workers)
        looks += 1
    return first, last, _most(memory, workers)


def _most(memory: tuple[float, float], workers: Sequence[WorkerProcess]) -> tuple[float, float]:
    now = [memory, *(worker.memory_mb() for worker in workers)]
    return max(pss for pss, _ in now), max(rss for _, rss in now)


def _first(workers: Sequence[WorkerProcess], case: Case) -> _Look:
    moved, seen = time.monotonic(), 0
    while time.monotonic() - moved < _STALLED_S:
        look = _look(workers, case)
        if look is not None and look.all_work and look.taken > case.warm_up:
            return look
        if look is not None and look.taken > seen:
            moved, seen = time.monotonic(), look.taken
        time.sleep(_LOOK_S / 5)
    raise BenchmarkFailed(
        f"a worker counted nothing within {_STALLED_S:g} s: {workers[0].last_words()}"
    )


def _look(workers: Sequence[WorkerProcess], case: Case) -> _Look | None:
    each = [scrape for scrape in (worker.scrape() for worker in workers) if scrape is not None]
    if len(each) < len(workers):
        return None
    cpu = sum(worker.usage().cpu_s for worker in workers)
    look = _Look(Usage(cpu, time.monotonic()), each)
    late = look["sentinel_late_events_total"]
    if late > look.taken * case.late_share * (1 + _LATE_SLACK) + look.taken * 1e-2 * (
        case.late_share > 0
    ):
        raise BenchmarkFailed(f"{late:,.0f} events were late: the backlog is not what it should be")
    if bad := look["sentinel_bad_records_total"]:
        raise BenchmarkFailed(f"{bad:,.0f} records were bad: the backlog is not what it should be")
    return look


def _rate(
    first: _Look,
    last: _Look,
    memory: tuple[float, float],
    installation: Installation,
    templates: Templates,
) -> Rate:
    used = last.usage.since(first.usage)
    events = last.taken - first.taken
    if not events:
        raise BenchmarkFailed(
            "the backlog was over before it could be measured; give more --events"
        )

    def gained(name: str) -> float:
        return last[name] - first[name]

    state = _state(installation)
    return Rate(
        events=events,
        events_per_cpu_s=round(events / used.cpu_s),
        events_per_wall_s=round(events / used.wall_s),
        cpu_s=round(used.cpu_s, 2),
        wall_s=round(used.wall_s, 2),
        records_per_step=round(
            gained("sentinel_step_records_sum") / max(gained("sentinel_step_records_count"), 1)
        ),
        flushes=int(gained("sentinel_flush_seconds_count")),
        flush_rows=int(gained("sentinel_flush_rows_total")),
        flush_share=round(
            gained("sentinel_flush_seconds_sum") / used.wall_s / installation.lanes.partitions, 3
        ),
        outputs=int(gained("sentinel_outputs_total")),
        pss_mb=round(memory[0]),
        rss_mb=round(memory[1]),
        record_bytes=round(templates.mean_bytes),
        state_rows=state["rows"],
        state_bytes=state["bytes"],
        topics={
            name: kept(installation, name)
            for name in ("telemetry", "aggregates", "anomalies", "detect-state")
        },
    )


def _state(installation: Installation) -> Counter[str]:
    """Rows and bytes of all lanes. The workers ended in order: their lanes are durable to the last
    event of the log, after which there may be ticks, or what was measured was not the whole work.
    """
    state: Counter[str] = Counter()
    for lane in lanes(installation.broker, "detect"):
        if lane.behind:
            left = span(
                installation.broker,
                installation.names.telemetry,
                lane.lane,
                lane.position,
                lane.log_end,
            )
            if events := sum(record.value is not None for record in left):
                raise BenchmarkFailed(
                    f"the worker ended {events:,} events before the end of lane {lane.lane}"
                )
        state.update(rows=lane.rows, bytes=lane.state_bytes)
    return state
