"""Sentinel and other stream processors doing the same work on the same broker: events per CPU
second.

    python -m benchmarks.peers [--json] [--keys 100,3000,50000] [--runs 3] [--events 3000000]
    [--engines sentinel,kafka_streams]

The work: decode telemetry in Avro as our producers write it, key it by application and model, keep
count, sum, sum of squares, maximum, errors and cost of ten-second windows of event time in state
that outlives the process, and write each window once it is closed. Each run has a fresh Kafka with
four partitions, filled with one topic that all engines read one after the other (Kafka Streams and
Quix Streams read a copy of it that is keyed by application and model, which spares them a
repartition topic). What every engine wrote is compared with numbers computed beside it, and a
difference fails the benchmark.

CPU is user and system time of the engine's process and its children, all threads, from a tenth of
its events until it has taken in the last: start-up is left out, commits and closes on the way are
not. The JVM has done the same work once before, in the same process, so its code is compiled. Slow
engines are stopped after fewer events of the same topic. The broker's CPU is not in it. Peers are
installed by `make peers`.
"""

import argparse
import sys
from collections.abc import Sequence

from benchmarks.peers.catalogue import SENTINEL, Engine, catalogue, chosen
from benchmarks.peers.filling import fill
from benchmarks.peers.running import Run, make_topic, run
from benchmarks.peers.starting import KEYED
from benchmarks.peers.telling import Results, sheet, whole
from benchmarks.peers.work import EVENT_RATE, GRACE_S, WINDOW_S, reference, work_of
from benchmarks.throughput import WINDOWS_ONLY
from tests.harness.installation import installed
from tests.harness.machine import machine
from tests.harness.showing import BenchmarkFailed, Screen, end_in_order

LEAST_EVENTS = EVENT_RATE * (WINDOW_S + 2 * GRACE_S)
"""Below that no window closes."""


def one_round(engines: Sequence[Engine], keys: int, events: int, screen: Screen) -> dict[str, Run]:
    """A fresh broker, filled once; every engine on it, one at a time. Raises BenchmarkFailed."""
    with installed() as installation:
        if any(engine.name == SENTINEL for engine in engines):
            installation.publish(WINDOWS_ONLY)
        keyed = KEYED if any(engine.reads_keyed for engine in engines) else None
        if keyed is not None:
            make_topic(installation, keyed)
        screen.note(f"{keys:,} keys: filling {events:,} events")
        work = work_of(keys, events)
        fill(installation.load_producer(), work, installation.names.telemetry, keyed)
        right = reference(work)
        runs: dict[str, Run] = {}
        for engine in engines:
            taken = runs[engine.name] = run(installation, engine, work, right)
            told = "" if taken.checked is None else f", {taken.checked:,} closed windows right"
            screen.note(
                f"{keys:,} keys: {engine.name}: {taken.speed.events_per_cpu_s:,} events per CPU"
                f" second{told}"
            )
        return runs


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _options(arguments)
    screen, described = Screen(options.json), machine()
    end_in_order()
    results: Results = {}
    try:
        engines = chosen(options.engines, sys.executable)
        for keys in options.keys:
            for number in range(options.runs):
                if options.runs > 1:
                    screen.note(f"{keys:,} keys: run {number + 1} of {options.runs}")
                results.setdefault(keys, []).append(
                    one_round(engines, keys, options.events, screen)
                )
    except BenchmarkFailed as why:
        sys.exit(f"benchmarks.peers: {why}")
    screen.results(
        described,
        [sheet(results, engines, options.events)],
        whole(results, engines, options.events),
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = ",".join(catalogue(sys.executable))
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description=(__doc__ or "").splitlines()[0],
        epilog=(
            "example: python -m benchmarks.peers --keys 100 --runs 1 --engines"
            " sentinel,kafka_streams   (install the peers with `make peers`)"
        ),
    )
    parser.add_argument("--json", action="store_true", help="print one object instead of a table")
    parser.add_argument(
        "--keys",
        type=_keys,
        default=[100, 3000, 50_000],
        help="numbers of keys, comma-separated (100,3000,50000)",
    )
    parser.add_argument(
        "--runs",
        type=_positive,
        default=3,
        help="runs of everything; the median is told, and the spread (3)",
    )
    parser.add_argument(
        "--events",
        type=_events,
        default=3_000_000,
        help=(
            "events of the topic (3,000,000); quix, bytewax and faust stop after 600,000, 400,000"
            " and 360,000"
        ),
    )
    parser.add_argument("--engines", default=names, help=f"which, comma-separated ({names})")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1")
    return int(text)


def _keys(text: str) -> list[int]:
    return [_positive(part) for part in text.split(",")]


def _events(text: str) -> int:
    if (events := _positive(text)) < LEAST_EVENTS:
        raise argparse.ArgumentTypeError(f"no window closes in fewer than {LEAST_EVENTS:,} events")
    return events


if __name__ == "__main__":
    main()
