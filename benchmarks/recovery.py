"""How long a detect worker needs to be back: with a million subjects, and after kill -9.

    python -m benchmarks.recovery [--json] [--subjects 1000000] [--kills 10]

First a worker learns the subjects (application and model, two events each, deviation on, so that
each has rows of windows, names and baseline), closes their buckets, flushes and ends in order. Then
it starts again: `recovery_s` is from the start of the process until it is ready, `restore_s` the
part of it in which the lanes were restored.

Then, on another installation, a supervised worker is killed (SIGKILL) again and again while traffic
goes on, in which an event each tenth of a second breaks a rule, each under an application that is
its alone. `kill_to_verdict` is from the kill until the first anomaly about an event that is newer
than the kill stands in its topic, by the broker's stamp. `static` is the same for a worker with a
name of its own in its group (`broker.group_instance_id`), which gets its lanes back without waiting
for its session to end.
"""

import argparse
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from agents.detectors.settings import Comparison, DetectionSettings, Profile, Rule
from benchmarks.aside import Traffic, sending
from benchmarks.stages import Stages, supervised
from benchmarks.stamps import follow
from schemas.errors import BadRecord
from schemas.records.anomalies import Anomaly
from streams.admin.inspection import lanes
from tests.harness.installation import PARTITIONS, Installation, installed
from tests.harness.machine import machine
from tests.harness.processes import Usage, WorkerProcess, wait_until
from tests.harness.showing import BenchmarkFailed, Json, Screen, Sheet, end_in_order, percentile
from topology.demo.traces.ordinary import MARKED_LATENCY_US, Population
from topology.demo.traces.playing import backlog
from topology.supervision.supervisor import RestartPolicy

GOAL_RECOVERY_S: Final = 15.0
GOAL_VERDICT_S: Final = 8.0
GOAL_STATIC_S: Final = 5.0

LEARNING: Final = DetectionSettings(profile=Profile(enabled=False))

MODELS: Final = 50
AT_A_TIME: Final = 50_000
"""Subjects whose templates are made at a time: each chunk of subjects is a tenant."""

EVENT_RATE: Final = 20_000.0
"""Events per second of event time."""

RULES: Final = DetectionSettings(
    rules=(Rule("slow", "latency_us", Comparison.ABOVE, MARKED_LATENCY_US / 2),),
)
STEADY: Final = Traffic(rate=500.0, seconds=3600.0, marked_every=50, population=Population())

KILLS_CLOSE: Final = RestartPolicy(well_after_s=1.0)
"""The kills come closer than the minute after which a process counts as well; each is meant to be a
first one.
"""

_STALLED_S: Final = 120.0
_VERDICT_S: Final = 60.0
_SETTLE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """A worker that starts with much to restore."""

    subjects: int
    events: int
    learn_cpu_s: float
    learn_wall_s: float
    records_per_step: int
    stop_s: float
    """From SIGTERM until the process was gone: the last flush."""
    recovery_s: float
    restore_s: float
    recovery_cpu_s: float
    state_rows: int
    state_mb: int
    """Live state in the topic, uncompressed."""
    pss_mb: int
    rss_mb: int


def recovered(subjects: int, screen: Screen) -> Recovery:
    """Fill, learn, stop, start. Raises BenchmarkFailed."""
    with installed() as installation:
        installation.publish(LEARNING)
        events = _fill(installation, subjects, screen)
        with installation.worker("detect") as worker:
            screen.note(f"learning {subjects:,} subjects from {events:,} events")
            learning, records = _learn(worker, events)
            began = time.monotonic()
            worker.stop()
            stop_s = time.monotonic() - began
        kept = lanes(installation.broker, "detect")
        screen.note(f"learnt in {learning.wall_s:.0f} s, ended in {stop_s:.1f} s; starting again")
        with installation.worker("detect") as worker:
            began = time.monotonic()
            worker.wait_ready(timeout_s=600.0, every_s=0.02)
            recovery_s, recovery_cpu_s = time.monotonic() - began, worker.usage().cpu_s
            scrape = worker.scrape()
            pss, rss = worker.memory_mb()
            worker.stop()
    if scrape is None:
        raise BenchmarkFailed("the worker is ready and has no metrics")
    return Recovery(
        subjects=subjects,
        events=events,
        learn_cpu_s=round(learning.cpu_s, 1),
        learn_wall_s=round(learning.wall_s, 1),
        records_per_step=records,
        stop_s=round(stop_s, 1),
        recovery_s=round(recovery_s, 2),
        restore_s=round(scrape["sentinel_recovery_seconds"], 2),
        recovery_cpu_s=round(recovery_cpu_s, 2),
        state_rows=sum(lane.rows for lane in kept),
        state_mb=round(sum(lane.state_bytes for lane in kept) / 2**20),
        pss_mb=round(pss),
        rss_mb=round(rss),
    )


def _fill(installation: Installation, subjects: int, screen: Screen) -> int:
    """Two events of every subject or more; the number of events."""
    events, producer = 0, installation.load_producer()
    chunks = [min(AT_A_TIME, subjects - first) for first in range(0, subjects, AT_A_TIME)]
    population = [
        Population(
            max(1, count // MODELS), min(count, MODELS), users=0, tenant=f"load-{number:02d}"
        )
        for number, count in enumerate(chunks)
    ]
    counts = [one.templates_needed() for one in population]
    start = time.time_ns() // 1000 - round(sum(counts) / EVENT_RATE * 1e6)
    for one, count in zip(population, counts, strict=True):
        screen.note(f"filling: {events:,} events so far")
        played = backlog(producer, installation.names.telemetry, count, one, EVENT_RATE, start)
        start = played.last_event_time + round(1e6 / EVENT_RATE)
        events += count
    return events


def _learn(worker: WorkerProcess, events: int) -> tuple[Usage, int]:
    """Until the worker has counted them all and closed their buckets; what that took, and the
    records per step.
    """
    worker.wait_ready()
    before, moved, seen, ticks = worker.usage(), time.monotonic(), 0, 0
    # A tick in every lane, and another one, so that the first has been taken: it closes the last
    # buckets, and what was in them is learnt.
    while seen < events or ticks < 2 * PARTITIONS:
        time.sleep(0.5)
        scrape = worker.scrape()
        now = (
            0
            if scrape is None
            else int(scrape["sentinel_events_total"] + scrape["sentinel_bad_records_total"])
        )
        ticks = 0 if scrape is None else int(scrape["sentinel_ticks_total"])
        if now > seen:
            seen, moved = now, time.monotonic()
        elif time.monotonic() - moved > _STALLED_S:
            raise BenchmarkFailed(
                f"the worker stands at {seen:,} of {events:,} events: {worker.last_words()}"
            )
    used, scrape = worker.usage().since(before), worker.scrape()
    if (
        scrape is None
        or scrape["sentinel_bad_records_total"]
        or scrape["sentinel_late_events_total"]
    ):
        raise BenchmarkFailed("records were bad or late: the backlog is not what it should be")
    return used, round(scrape["sentinel_step_records_sum"] / scrape["sentinel_step_records_count"])


class _Verdicts:
    """Follows the anomalies of marked events in a thread: (event time in µs, time stamp in ms) of
    each, in order.
    """

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._found: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="verdicts")

    def __enter__(self) -> "_Verdicts":
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._ended.set()
        self._thread.join()

    def first_after(self, moment: int) -> float:
        """Seconds from that moment (wall clock, µs) until the first anomaly about a newer event.
        Raises BenchmarkFailed.
        """
        deadline = time.monotonic() + _VERDICT_S
        while (left := deadline - time.monotonic()) > 0:
            try:
                event_time, at_ms = self._found.get(timeout=left)
            except queue.Empty:
                break
            if event_time > moment:
                return (at_ms * 1000 - moment) / 1e6
        raise BenchmarkFailed(f"no verdict within {_VERDICT_S:g} s")

    def _follow(self) -> None:
        for stamp in follow(self._installation.broker, self._installation.names.anomalies):
            if self._ended.is_set():
                return
            if stamp is None:
                continue
            try:
                anomaly = Anomaly.from_bytes(stamp.value)
            except BadRecord as error:
                raise AssertionError("what detect writes can be read") from error
            self._found.put((anomaly.event_time, stamp.at_ms))


def killed(kills: int, screen: Screen, name: str | None = None) -> list[float]:
    """Seconds from each kill to the first new verdict, for a worker with this name in its group.
    Raises BenchmarkFailed.
    """
    with installed({"broker": {"group_instance_id": name}}) as installation:
        installation.publish(RULES)
        with (
            supervised(installation, ("detect",), screen, KILLS_CLOSE) as stages,
            _Verdicts(installation) as verdicts,
            sending(installation.broker, installation.names.telemetry, STEADY),
        ):
            verdicts.first_after(time.time_ns() // 1000)
            return [_kill(stages, verdicts, number, screen) for number in range(kills)]


def _kill(stages: Stages, verdicts: _Verdicts, number: int, screen: Screen) -> float:
    wait_until(stages.are_ready, _VERDICT_S, "the worker is not ready")
    # Each kill at another phase of heartbeats, flushes and buckets.
    time.sleep(_SETTLE_S + number * 0.37 % 1.0)
    moment = time.time_ns() // 1000
    os.kill(stages.pids()["detect"], signal.SIGKILL)
    seconds = verdicts.first_after(moment)
    screen.note(f"kill {number + 1}: a new verdict after {seconds:.2f} s")
    return seconds


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recovery", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--json", action="store_true", help="print one object instead of tables")
    parser.add_argument(
        "--subjects", type=int, default=1_000_000, help="subjects to restore (1,000,000)"
    )
    parser.add_argument("--kills", type=int, default=10, help="how often to kill (10)")
    options = parser.parse_args(arguments)
    screen, described = Screen(options.json), machine()
    end_in_order()
    try:
        recovery = recovered(options.subjects, screen)
        verdicts = killed(options.kills, screen)
        screen.note("the same for a worker with a name of its own in its group")
        static = killed(options.kills, screen, "detect-1")
    except BenchmarkFailed as why:
        sys.exit(f"benchmarks.recovery: {why}")
    screen.results(
        described, _sheets(recovery, verdicts, static), _whole(recovery, verdicts, static)
    )


def _whole(
    recovery: Recovery, verdicts: Sequence[float], static: Sequence[float]
) -> dict[str, Json]:
    return {
        **asdict(recovery),
        "kills": len(verdicts),
        "kill_to_verdict_p50_s": round(percentile(verdicts, 0.5), 2),
        "kill_to_verdict_p95_s": round(percentile(verdicts, 0.95), 2),
        "kill_to_verdict_s": [round(seconds, 2) for seconds in verdicts],
        "static_p50_s": round(percentile(static, 0.5), 2),
        "static_p95_s": round(percentile(static, 0.95), 2),
        "static_s": [round(seconds, 2) for seconds in static],
    }


def _sheets(recovery: Recovery, verdicts: Sequence[float], static: Sequence[float]) -> list[Sheet]:
    return [
        Sheet(
            f"A detect worker starts with {recovery.subjects:,} subjects",
            (
                "",
                "to ready s",
                "of it restoring s",
                "CPU s",
                "state MB",
                "rows",
                "PSS MB",
                "RSS MB",
            ),
            [
                (
                    "seen",
                    f"{recovery.recovery_s:.1f}",
                    f"{recovery.restore_s:.1f}",
                    f"{recovery.recovery_cpu_s:.1f}",
                    f"{recovery.state_mb:,}",
                    f"{recovery.state_rows:,}",
                    f"{recovery.pss_mb:,}",
                    f"{recovery.rss_mb:,}",
                ),
                ("goal", f"{GOAL_RECOVERY_S:g}", *[""] * 6),
            ],
            f"learnt from {recovery.events:,} events in {recovery.learn_wall_s:.0f} s"
            f" ({recovery.learn_cpu_s:.0f} s of CPU, {recovery.records_per_step:,} records a step);"
            f" ended in {recovery.stop_s:.1f} s",
        ),
        Sheet(
            f"kill -9 to the first new verdict, {len(verdicts)} kills, {STEADY.rate:,.0f} events/s",
            ("", "p50 s", "p95 s", "max s"),
            [
                ("seen", *(f"{percentile(verdicts, share):.1f}" for share in (0.5, 0.95, 1.0))),
                ("goal", "", f"{GOAL_VERDICT_S:g}", ""),
                (
                    "seen, static member",
                    *(f"{percentile(static, share):.1f}" for share in (0.5, 0.95, 1.0)),
                ),
                ("goal", "", f"{GOAL_STATIC_S:g}", ""),
            ],
        ),
    ]


if __name__ == "__main__":
    main()
