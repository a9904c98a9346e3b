"""An hour of churn on one detect worker: memory, open files, threads and the queue before it stay
bounded.

    python -m benchmarks.soak [--json] [--minutes 60] [--rate 3000]

A real Kafka with four partitions and one real worker, all detectors on, that is watched from the
first event to the last. Meanwhile events come at `--rate` a second; every 20 s all applications,
models and users are replaced by ones with other names, and who was not seen for a minute of event
time is forgotten (buckets are of one second here, since a lane looks for those every sixty
buckets); and a second worker joins for 20 s and leaves for 20 s, in order and by SIGKILL in turn,
so lanes come and go.

The first third of the time is warm-up. Then the second and the last third are compared, by their
medians, and the run is bounded when PSS and RSS have grown by at most 5 % and 5 MB, open files and
threads by at most 2, and the queue (records that wait in the log) was worked off: its median in the
last third is at most two seconds of traffic, and its maximum at most thirty. Open files and threads
have two levels, with the other worker there and without it, and a median falls on either: of these
it is the value that one look of ten is above. The exit status is 0 only for a bounded run.
`--minutes 15` is the short form. Slopes are of a least-squares line over all after the warm-up.
"""

import argparse
import contextlib
import itertools
import multiprocessing
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.context import SpawnProcess
from typing import Final

import psutil
from confluent_kafka import Producer

from benchmarks.throughput import DETECTORS
from streams.settings import Broker
from tests.harness.installation import Installation, installed
from tests.harness.machine import machine
from tests.harness.processes import WorkerProcess
from tests.harness.showing import BenchmarkFailed, Json, Screen, Sheet, end_in_order
from topology.demo.traces.ordinary import Population
from topology.demo.traces.outbox import load_config
from topology.demo.traces.playing import send_at_rate

EXPIRY_S: Final = 60
BUCKET_S: Final = 1
ROUND_S: Final = 20.0
"""How long the same subjects send; and how long the second worker stays, and stays away."""

APPLICATIONS: Final = 400
MODELS: Final = 5
USERS: Final = 2_000

GROWTH: Final = 0.05
SLACK_MB: Final = 5.0
SLACK_COUNT: Final = 2.0
QUEUE_S: Final = 2.0
QUEUE_MOST_S: Final = 30.0

MEMORY: Final = ("pss_mb", "rss_mb")
COUNTS: Final = ("open_files", "threads")
QUEUE: Final = "queue_records"

_LOOK_S: Final = 2.0
_LEAST_LOOKS: Final = 6


@dataclass(frozen=True, slots=True)
class Look:
    """The worker at one moment."""

    at_s: float
    """Seconds since the first look."""
    pss_mb: float
    rss_mb: float
    open_files: float
    threads: float
    queue_records: float
    """Records that its lanes have before them in the log."""
    events: float
    """Counted so far."""


@dataclass(frozen=True, slots=True)
class Course:
    """How one number went after the warm-up."""

    start: float
    """Median of the second third; for counters, the value that one sample in ten exceeds."""
    end: float
    """The same of the last third."""
    max: float
    per_hour: float
    """Slope of a line over all, per hour."""


def courses(looks: Sequence[Look]) -> dict[str, Course]:
    """By name. Raises BenchmarkFailed when there are too few looks to say anything."""
    third = len(looks) // 3
    if third * 3 < _LEAST_LOOKS:
        raise BenchmarkFailed(f"{len(looks)} looks say nothing; give more --minutes")
    warm = looks[third:]
    return {
        name: _course(
            [look.at_s for look in warm],
            [getattr(look, name) for look in warm],
            _upper if name in COUNTS else statistics.median,
        )
        for name in (*MEMORY, *COUNTS, QUEUE)
    }


def _upper(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=10)[-1]


def _course(
    times: Sequence[float], values: Sequence[float], level: Callable[[Sequence[float]], float]
) -> Course:
    middle = len(values) // 2
    slope = statistics.linear_regression(times, values).slope
    return Course(
        start=round(level(values[:middle]), 1),
        end=round(level(values[middle:]), 1),
        max=round(max(values), 1),
        per_hour=round(slope * 3600, 1),
    )


def unbounded(found: Mapping[str, Course], rate: float) -> list[str]:
    """Why a run is not bounded, a line for each number; nothing when it is."""
    told = []
    for name in MEMORY:
        most = found[name].start * (1 + GROWTH) + SLACK_MB
        if found[name].end > most:
            told.append(
                f"{name} grew from {found[name].start:g} to {found[name].end:g}, beyond {most:.1f}"
            )
    for name in COUNTS:
        if found[name].end > found[name].start + SLACK_COUNT:
            told.append(f"{name} grew from {found[name].start:g} to {found[name].end:g}")
    queue = found[QUEUE]
    if queue.end > QUEUE_S * rate or queue.max > QUEUE_MOST_S * rate:
        told.append(
            f"the queue was not worked off: {queue.end:,.0f} records at the end, {queue.max:,.0f}"
            " at most"
        )
    return told


def run(minutes: float, rate: float, screen: Screen) -> tuple[list[Look], int]:
    """What was seen, and how often the other worker came. Raises BenchmarkFailed."""
    with installed({"lanes": {"subject_expiry_s": EXPIRY_S, "bucket_s": BUCKET_S}}) as installation:
        installation.publish(DETECTORS)
        with installation.worker("detect") as worker, _churn(installation, rate) as sender:
            worker.wait_ready()
            looks: list[Look] = []
            began = time.monotonic()
            visits = _Visits(installation)
            with contextlib.closing(visits):
                while (now := time.monotonic() - began) < minutes * 60:
                    visits.at(now)
                    if sender.exitcode is not None:
                        raise BenchmarkFailed(f"the sender ended with status {sender.exitcode}")
                    if (look := _look(worker, now)) is not None:
                        looks.append(look)
                        _tell(looks, screen)
                    time.sleep(_LOOK_S)
            worker.stop()
    if looks and not looks[-1].events:
        raise BenchmarkFailed("the worker counted no event")
    return looks, visits.count


def _look(worker: WorkerProcess, at_s: float) -> Look | None:
    scrape = worker.scrape()
    if scrape is None:
        return None
    process = psutil.Process(worker.pid)
    return Look(
        at_s,
        *worker.memory_mb(),
        open_files=process.num_fds(),
        threads=process.num_threads(),
        queue_records=scrape["sentinel_lane_lag"],
        events=scrape["sentinel_events_total"],
    )


def _tell(looks: Sequence[Look], screen: Screen) -> None:
    if len(looks) % 15 == 1:
        look = looks[-1]
        screen.note(
            f"{look.at_s / 60:.1f} min: {look.pss_mb:.0f} MB, {look.open_files:.0f} files,"
            f" {look.threads:.0f} threads, {look.queue_records:,.0f} records wait,"
            f" {look.events:,.0f} events"
        )


class _Visits:
    """Another worker that comes and goes."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._visitor: WorkerProcess | None = None
        self.count = 0

    def at(self, seconds: float) -> None:
        """Brings it, or ends it, as it is time."""
        wanted = int(seconds / ROUND_S) % 2 == 1
        if wanted and self._visitor is None:
            self._visitor = self._installation.worker("detect")
            self._visitor.start()
            self.count += 1
        elif not wanted and self._visitor is not None:
            self._end()

    def close(self) -> None:
        """Ends it."""
        if self._visitor is not None:
            self._end()

    def _end(self) -> None:
        visitor, self._visitor = self._visitor, None
        assert visitor is not None
        try:
            if self.count % 2:
                visitor.stop()
        finally:
            visitor.__exit__(None, None, None)


@contextlib.contextmanager
def _churn(installation: Installation, rate: float) -> Iterator[SpawnProcess]:
    """Traffic by ever new applications, models and users, from a process of its own."""
    sender = multiprocessing.get_context("spawn").Process(
        target=_send, args=(installation.broker, installation.names.telemetry, rate), daemon=True
    )
    sender.start()
    try:
        yield sender
    finally:
        sender.kill()
        sender.join()


def _send(broker: Broker, topic: str, rate: float) -> None:
    # Ctrl-C goes to the whole group; who started us ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    producer = Producer({**load_config(broker), "log_level": 0})
    for number in itertools.count():
        population = Population(APPLICATIONS, MODELS, USERS, tenant=f"churn-{number:05d}")
        send_at_rate(producer, topic, rate, ROUND_S, population, seed=number)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description=(__doc__ or "").splitlines()[0],
        epilog="Example: python -m benchmarks.soak --json --minutes 15",
    )
    parser.add_argument("--json", action="store_true", help="print one object instead of a table")
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="how long (60; 15 is the short form)"
    )
    parser.add_argument("--rate", type=float, default=3_000.0, help="events a second (3,000)")
    options = parser.parse_args(arguments)
    if options.minutes <= 0 or options.rate < 1:
        parser.error("--minutes is more than 0, and --rate 1 or more")
    screen, described = Screen(options.json), machine()
    end_in_order()
    try:
        looks, visits = run(options.minutes, options.rate, screen)
        found = courses(looks)
    except BenchmarkFailed as why:
        sys.exit(f"benchmarks.soak: {why}")
    told = unbounded(found, options.rate)
    screen.results(described, [_sheet(found, visits)], _whole(looks, found, visits, told))
    if told:
        sys.exit("\n".join(f"benchmarks.soak: {why}" for why in told))


def _whole(
    looks: Sequence[Look], found: Mapping[str, Course], visits: int, told: Sequence[str]
) -> dict[str, Json]:
    return {
        **{name: asdict(course) for name, course in found.items()},
        "bounded": not told,
        "why_not": list(told),
        "minutes": round(looks[-1].at_s / 60, 1),
        "events": int(looks[-1].events),
        "visits": visits,
        "looks": len(looks),
    }


def _sheet(found: Mapping[str, Course], visits: int) -> Sheet:
    rows = [
        (
            name.replace("_", " "),
            *(f"{value:,.1f}" for value in (course.start, course.max, course.end, course.per_hour)),
        )
        for name, course in found.items()
    ]
    return Sheet(
        "One detect worker under churn, after the warm-up",
        ("", "start", "max", "end", "slope / h"),
        rows,
        f"another worker came and went {visits} times; start and end are medians, of counts what"
        " one look of ten is above",
    )


if __name__ == "__main__":
    main()
