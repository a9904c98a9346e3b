"""Events per CPU second of one detect worker on a backlog.

    python -m benchmarks.throughput [--json] [--events 6000000] [--subjects 100,3000,50000] [--repeat 1]

For each number of subjects: a real Kafka with four partitions, a backlog of records, lz4 as our producers write them, whose event time runs at
20,000 a second, and one real worker process, windows only: deviation and profile are switched off by published settings that stand in the log
before the first event.
Closed windows leave as aggregates, state and position in transactions. Then the same at 100 subjects and 20,000 users with three rules, deviation
and profile switched on.

CPU is user and system time of the whole worker process, all threads, from the moment at which it has counted its first events until it has counted
the last: start-up is left out, flushes are not. The broker's CPU is not in it. Looking at the worker's `/metrics` is: about a hundredth.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from agents.detectors.settings import Comparison, DetectionSettings, Deviation, Profile, Rule
from benchmarks.installation import PARTITIONS, Installation, Usage, WorkerProcess, installed
from benchmarks.machine import machine
from benchmarks.scraping import Scrape
from benchmarks.showing import BenchmarkFailed, Json, Screen, Sheet, end_in_order
from topology.traces.ordinary import Population
from topology.traces.playing import backlog

EVENT_RATE: Final = 20_000.0
"""Events per second of event time."""

MODELS: Final = 5
USERS: Final = 20_000

WINDOWS_ONLY: Final = DetectionSettings(deviation=Deviation(enabled=False), profile=Profile(enabled=False))

DETECTORS: Final = DetectionSettings(
    rules=(
        Rule("slow", "latency_us", Comparison.ABOVE, 30_000_000),
        Rule("large", "tokens", Comparison.ABOVE, 20_000),
        Rule("overloaded", "http_status", Comparison.AT_LEAST, 502),
    )
)
"""Everything of the package, with rules that ordinary traffic keeps: what is measured is looking, not finding."""

GOALS: Final = {"100": 700_000, "3000": 600_000, "50000": 400_000, "with detectors": 350_000}

_LOOK_S: Final = 0.1
_MEMORY_EVERY: Final = 20
_STALLED_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure."""

    name: str
    population: Population
    detection: DetectionSettings


@dataclass(frozen=True, slots=True)
class Rate:
    """What one run gave. `events` were counted while CPU and wall time ran; before that, the worker was starting."""

    events: int
    events_per_cpu_s: int
    events_per_wall_s: int
    cpu_s: float
    wall_s: float
    records_per_step: int
    flushes: int
    flush_rows: int
    flush_share: float
    """Of the wall time, how much a lane spent in flushes (their mean over lanes); the CPU of it is in `cpu_s`."""
    outputs: int
    """Anomalies, and the watermarks of each close."""
    pss_mb: int
    rss_mb: int
    """The most that was seen, megabytes; PSS counts a page that several processes share once over all of them."""


@dataclass(frozen=True, slots=True)
class _Look:
    usage: Usage
    scrape: Scrape

    @property
    def events(self) -> int:
        return int(self.scrape["sentinel_events_total"])


def cases(subjects: Sequence[int]) -> list[Case]:
    """Windows only for each number of subjects (a multiple of five models, or below that one model), then all detectors."""
    windows_only = [
        Case(str(count), Population(max(1, count // MODELS), min(count, MODELS), users=0), WINDOWS_ONLY)
        for count in subjects
    ]
    return [*windows_only, Case("with detectors", Population(100 // MODELS, MODELS, USERS), DETECTORS)]


def measured(case: Case, events: int, screen: Screen) -> Rate:
    """Fill, run, measure. Raises BenchmarkFailed."""
    with installed() as installation:
        installation.publish(case.detection)
        screen.note(f"{case.name}: filling {events:,} events")
        filled = backlog(
            installation.load_producer(), installation.names.telemetry, events, case.population, EVENT_RATE
        )
        screen.note(f"{case.name}: filled in {filled.wall_s:.0f} s; running the worker")
        with installation.worker("detect") as worker:
            rate = _run(worker, events)
            worker.stop()
        _check_lanes(installation)
    screen.note(f"{case.name}: {rate.events_per_cpu_s:,} events per CPU second")
    return rate


def _run(worker: WorkerProcess, events: int) -> Rate:
    first = last = _first(worker)
    moved, looks = time.monotonic(), 0
    pss = rss = 0.0
    while last.events < events:
        time.sleep(_LOOK_S)
        look = _look(worker)
        if look is not None and look.events > last.events:
            last, moved = look, time.monotonic()
        elif time.monotonic() - moved > _STALLED_S:
            raise BenchmarkFailed(f"the worker stands at {last.events:,} of {events:,}: {worker.last_words()}")
        if looks % _MEMORY_EVERY == 0:
            pss, rss = map(max, (pss, rss), worker.memory_mb())
        looks += 1
    pss, rss = map(max, (pss, rss), worker.memory_mb())
    return _rate(first, last, pss, rss)


def _first(worker: WorkerProcess) -> _Look:
    deadline = time.monotonic() + _STALLED_S
    while time.monotonic() < deadline:
        look = _look(worker)
        if look is not None and look.events:
            return look
        time.sleep(_LOOK_S / 5)
    raise BenchmarkFailed(f"the worker counted nothing within {_STALLED_S:g} s: {worker.last_words()}")


def _look(worker: WorkerProcess) -> _Look | None:
    scrape = worker.scrape()
    if scrape is None:
        return None
    if spoilt := scrape["sentinel_bad_records_total"] + scrape["sentinel_late_events_total"]:
        raise BenchmarkFailed(f"{spoilt:,.0f} records were bad or late: the backlog is not what it should be")
    return _Look(worker.usage(), scrape)


def _rate(first: _Look, last: _Look, pss: float, rss: float) -> Rate:
    used = last.usage.since(first.usage)
    events = last.events - first.events
    if not events:
        raise BenchmarkFailed("the backlog was over before it could be measured; give more --events")

    def gained(name: str) -> float:
        return last.scrape[name] - first.scrape[name]

    return Rate(
        events=events,
        events_per_cpu_s=round(events / used.cpu_s),
        events_per_wall_s=round(events / used.wall_s),
        cpu_s=round(used.cpu_s, 2),
        wall_s=round(used.wall_s, 2),
        records_per_step=round(gained("sentinel_step_records_sum") / max(gained("sentinel_step_records_count"), 1)),
        flushes=int(gained("sentinel_flush_seconds_count")),
        flush_rows=int(gained("sentinel_flush_rows_total")),
        flush_share=round(gained("sentinel_flush_seconds_sum") / used.wall_s / PARTITIONS, 3),
        outputs=int(gained("sentinel_outputs_total")),
        pss_mb=round(pss),
        rss_mb=round(rss),
    )


def _check_lanes(installation: Installation) -> None:
    """The worker ended in order: its lanes are durable to the end of the log, or what was measured was not the whole work."""
    from streams.inspection import lanes

    behind = sum(lane.behind for lane in lanes(installation.broker, "detect"))
    if behind:
        raise BenchmarkFailed(f"the worker ended {behind:,} records before the end of the log")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.throughput", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--json", action="store_true", help="print one object instead of a table")
    parser.add_argument("--events", type=int, default=6_000_000, help="events of each backlog (6,000,000)")
    parser.add_argument("--subjects", default="100,3000,50000", help="numbers of subjects, comma-separated")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each case; the median is told (1)")
    options = parser.parse_args(arguments)
    screen, described = Screen(options.json), machine()
    end_in_order()
    results: dict[str, Rate] = {}
    try:
        for case in cases([int(count) for count in options.subjects.split(",")]):
            runs = [measured(case, options.events, screen) for _ in range(options.repeat)]
            results[case.name] = _middle(runs)
    except BenchmarkFailed as why:
        sys.exit(f"benchmarks.throughput: {why}")
    screen.results(described, [_sheet(results, options.events, options.repeat)], _whole(results, options.events))


def _middle(runs: Sequence[Rate]) -> Rate:
    middle = statistics.median_low(run.events_per_cpu_s for run in runs)
    return next(run for run in runs if run.events_per_cpu_s == middle)


def _whole(results: dict[str, Rate], events: int) -> dict[str, Json]:
    told: dict[str, Json] = {name: asdict(rate) for name, rate in results.items()}
    with_detectors = told.pop("with detectors")
    return {"subjects": told, "with_detectors": with_detectors, "backlog": events, "event_rate": EVENT_RATE}


def _sheet(results: dict[str, Rate], events: int, repeat: int) -> Sheet:
    columns = (
        "subjects",
        "events / CPU s",
        "goal",
        "events / wall s",
        "CPU s",
        "wall s",
        "records / step",
        "in flushes",
        "flushes",
        "rows",
        "outputs",
        "PSS MB",
        "RSS MB",
    )
    rows = [
        (
            name,
            f"{rate.events_per_cpu_s:,}",
            f"{GOALS[name]:,}" if name in GOALS else "",
            f"{rate.events_per_wall_s:,}",
            f"{rate.cpu_s:.1f}",
            f"{rate.wall_s:.1f}",
            f"{rate.records_per_step:,}",
            f"{rate.flush_share:.1%}",
            f"{rate.flushes:,}",
            f"{rate.flush_rows:,}",
            f"{rate.outputs:,}",
            f"{rate.pss_mb:,}",
            f"{rate.rss_mb:,}",
        )
        for name, rate in results.items()
    ]
    return Sheet(
        f"One detect worker on a backlog of {events:,} events, {PARTITIONS} partitions"
        + (f", median of {repeat}" * (repeat > 1)),
        columns,
        rows,
        f"windows only, then three rules, deviation and profile with {USERS:,} users at 100 subjects; event time runs at {EVENT_RATE:,.0f} events/s",
    )


if __name__ == "__main__":
    main()
