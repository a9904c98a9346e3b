"""Events per CPU second of one detect worker on a backlog.

    python -m benchmarks.throughput [--json] [--events 6000000] [--subjects 100,3000,50000]
    [--repeat 1]

For each number of subjects: a real Kafka with four partitions, a backlog of records, lz4 as our
producers write them, whose event time runs at 20,000 a second, and one real worker process, windows
only: deviation and profile are switched off by published settings that stand in the log before the
first event. Closed windows leave as aggregates, state and position in transactions. Then the same
at 100 subjects and 20,000 users with three rules, deviation and profile switched on.

CPU is user and system time of the whole worker process, all threads, from the moment at which it
has counted its first events until it has counted the last: start-up is left out, flushes are not.
The broker's CPU is not in it. Looking at the worker's `/metrics` is: about a hundredth.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from agents.detectors.settings import Comparison, DetectionSettings, Deviation, Profile, Rule
from benchmarks.backlogs import EVENT_RATE, Case, Rate, measured
from tests.harness.installation import PARTITIONS
from tests.harness.machine import machine
from tests.harness.showing import BenchmarkFailed, Json, Screen, Sheet, end_in_order
from topology.demo.traces.ordinary import Population

MODELS: Final = 5
USERS: Final = 20_000

WINDOWS_ONLY: Final = DetectionSettings(
    deviation=Deviation(enabled=False), profile=Profile(enabled=False)
)

DETECTORS: Final = DetectionSettings(
    rules=(
        Rule("slow", "latency_us", Comparison.ABOVE, 30_000_000),
        Rule("large", "tokens", Comparison.ABOVE, 20_000),
        Rule("overloaded", "http_status", Comparison.AT_LEAST, 502),
    )
)
"""Everything of the package, with rules that ordinary traffic keeps: what is measured is looking,
not finding.
"""

GOALS: Final = {"100": 700_000, "3000": 600_000, "50000": 400_000, "with detectors": 350_000}


def cases(subjects: Sequence[int]) -> list[Case]:
    """Windows only for each number of subjects (a multiple of five models, or below that one
    model), then all detectors.
    """
    windows_only = [
        Case(
            str(count),
            Population(max(1, count // MODELS), min(count, MODELS), users=0),
            WINDOWS_ONLY,
        )
        for count in subjects
    ]
    return [
        *windows_only,
        Case("with detectors", Population(100 // MODELS, MODELS, USERS), DETECTORS),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.throughput", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--json", action="store_true", help="print one object instead of a table")
    parser.add_argument(
        "--events", type=int, default=6_000_000, help="events of each backlog (6,000,000)"
    )
    parser.add_argument(
        "--subjects", default="100,3000,50000", help="numbers of subjects, comma-separated"
    )
    parser.add_argument(
        "--repeat", type=int, default=1, help="runs of each case; the median is told (1)"
    )
    options = parser.parse_args(arguments)
    screen, described = Screen(options.json), machine()
    end_in_order()
    results: dict[str, Rate] = {}
    try:
        for case in cases([int(count) for count in options.subjects.split(",")]):
            runs = [measured(case, options.events, screen) for _ in range(options.repeat)]
            results[case.name] = middle(runs)
    except BenchmarkFailed as why:
        sys.exit(f"benchmarks.throughput: {why}")
    screen.results(
        described,
        [_sheet(results, options.events, options.repeat)],
        _whole(results, options.events),
    )


def middle(runs: Sequence[Rate]) -> Rate:
    """The run with the median rate; of two, the slower."""
    middle = statistics.median_low(run.events_per_cpu_s for run in runs)
    return next(run for run in runs if run.events_per_cpu_s == middle)


def _whole(results: dict[str, Rate], events: int) -> dict[str, Json]:
    told: dict[str, Json] = {name: asdict(rate) for name, rate in results.items()}
    with_detectors = told.pop("with detectors")
    return {
        "subjects": told,
        "with_detectors": with_detectors,
        "backlog": events,
        "event_rate": EVENT_RATE,
    }


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
        f"windows only, then three rules, deviation and profile with {USERS:,} users at 100"
        f" subjects; event time runs at {EVENT_RATE:,.0f} events/s",
    )


if __name__ == "__main__":
    main()
