"""From an event to the receiver of its message: all stages, at a steady rate.

    python -m benchmarks.latency [--json] [--through webhook|pagerduty] [--rate 10000] [--seconds
    60] [--warm-up 15]

A real Kafka, one real process for each stage under the supervisor, a sender and a receiver in
processes of their own, all on this machine. The sender keeps to a schedule that it cannot shift, so
an event that it sends late counts from when it was due. Some events are marked: they break a rule
at once, each under an application that is its alone, so that each makes an incident and a message
of its own.

Latency is from the moment at which a marked event was due to the moment at which the receiver read
the request about it. Events of the warm-up are sent like the others and left out of the
percentiles. Detection is that of the package and the one rule.

Through a webhook about ten events a second are marked, and nothing is stored but in Kafka. Through
PagerDuty the receiver has the shape of its Events API v2 and checks what comes; less than two
events a second are marked, since PagerDuty takes 120 calls a minute, for four minutes; and the sink
runs with the embedded store, on this machine's disk.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from agents.detectors.settings import Comparison, DetectionSettings, Rule
from benchmarks.aside import MessageReceiver, Received, Traffic, receiving, sending
from benchmarks.latency_rhythms import Rhythm, Sinking
from benchmarks.latency_ways import SINK, WAYS, Through, Way
from benchmarks.stages import Stages, supervised
from benchmarks.stamps import marked
from schemas.records.anomalies import Severity
from streams.admin.topics import STAGES
from streams.settings import Broker
from streams.topic_names import TopicNames
from tests.harness.installation import installed
from tests.harness.machine import machine
from tests.harness.metrics import Scrape
from tests.harness.processes import Usage, usage, wait_until
from tests.harness.showing import BenchmarkFailed, Json, Screen, Sheet, end_in_order, percentile
from topology.demo.traces.ordinary import MARKED_LATENCY_US, Population
from topology.demo.traces.playing import Played
from topology.supervision.memory import shared_out_mb

POPULATION: Final = Population(applications=20, models=5, users=1_000)

DETECTION: Final = DetectionSettings(
    rules=(Rule("slow", "latency_us", Comparison.ABOVE, MARKED_LATENCY_US / 2, Severity.HIGH),)
)

_SETTLE_S: Final = 15.0
"""Seconds that messages have to arrive after the last event."""

_START_S: Final = 60.0
"""Seconds that the sender may take beyond its schedule: its start, and the encoding of what it will
send.
"""

PARTS: Final = (
    "due to telemetry (sender)",
    "telemetry to anomaly (detect)",
    "anomaly to incident (correlate)",
    "incident to decision (alert)",
    "decision to receiver (alert)",
)
"""The way of an event, between the time stamps of the records about it."""


@dataclass(frozen=True, slots=True)
class Run:
    """What was seen."""

    through: Through
    played: Played
    received: Sequence[Received]
    measured_from: int
    """Scheduled moment (µs) from which events count."""
    stamps: Mapping[str, Mapping[int, int]]
    shares: Mapping[str, float]
    """CPU used while events were sent, as shares of one CPU, by process."""
    rhythms: Mapping[str, "Rhythm"]
    """By stage."""
    sinking: Sinking | None
    """None where no sink ran."""
    pss_mb: float
    """Of the stages together."""

    @property
    def counted(self) -> list[int]:
        """Scheduled moments of the marked events that count."""
        return [moment for moment in self.played.marked if moment >= self.measured_from]

    @property
    def arrivals(self) -> dict[int, int]:
        """When the first message about each marked event arrived, µs."""
        arrivals: dict[int, int] = {}
        for message in self.received:
            arrivals[message.scheduled] = min(
                message.at, arrivals.get(message.scheduled, message.at)
            )
        return arrivals

    @property
    def latencies_ms(self) -> list[float]:
        """Of the counted events whose message arrived."""
        arrivals = self.arrivals
        return [(arrivals[moment] - moment) / 1000 for moment in self.counted if moment in arrivals]


def run(through: Through, rate: float, seconds: float, warm_up_s: float, screen: Screen) -> Run:
    """Start everything, send, receive, end everything. Raises BenchmarkFailed."""
    way = WAYS[through]
    with (
        tempfile.TemporaryDirectory(prefix="sentinel-store-") as folder,
        receiving(way.answering) as receiver,
        installed(way.sections(through, receiver.url, Path(folder))) as installation,
    ):
        installation.publish(DETECTION)
        with supervised(installation, way.stages, screen) as stages:
            screen.note(
                f"all stages are ready; sending {rate:,.0f} events/s for"
                f" {warm_up_s + seconds:.0f} s"
            )
            return _measured(
                through,
                _traffic(way, rate, warm_up_s + seconds),
                warm_up_s,
                receiver,
                stages,
                screen,
            )


def _traffic(way: Way, rate: float, seconds: float) -> Traffic:
    # Not a divisor of any rhythm of ours: bucket closes, flushes and ticks meet the marked events
    # at every phase.
    return Traffic(rate, seconds, max(1, round(rate / way.marked_per_s) - 3), POPULATION)


def _measured(
    through: Through,
    traffic: Traffic,
    warm_up_s: float,
    receiver: MessageReceiver,
    stages: Stages,
    screen: Screen,
) -> Run:
    installation, which = stages.installation, WAYS[through].stages
    pids = {**stages.pids(), "broker": installation.server.pid, "receiver": receiver.pid}
    with sending(installation.broker, installation.names.telemetry, traffic) as sent:
        before, scrapes = _usages(pids), _scrapes(stages)
        played = _played(sent, traffic.seconds, stages)
        used = {name: after.since(before[name]) for name, after in _usages(pids).items()}
    after = _scrapes(stages)
    pss_mb = shared_out_mb(stages.pids().values()) or 0.0
    received = _settled(receiver, len(played.marked), stages)
    screen.note("reading the topics back")
    names = installation.names
    stamps = marked(
        installation.broker,
        [names.telemetry, names.anomalies, names.incidents, names.notifications],
    )
    # The sender begins to count when it has made what it sends; the others have little to do until
    # then.
    shares = {name: used[name].cpu_s / played.wall_s for name in (*which, "broker", "receiver")}
    shares["sender"] = played.cpu_s / played.wall_s
    return Run(
        through=through,
        played=played,
        received=received,
        measured_from=played.first_event_time + round(warm_up_s * 1e6),
        stamps=stamps,
        shares=shares,
        rhythms={stage: Rhythm.between(scrapes[stage], after[stage]) for stage in STAGES},
        sinking=(
            Sinking.between(scrapes[SINK], after[SINK], played.wall_s) if SINK in which else None
        ),
        pss_mb=pss_mb,
    )


def _played(sent: "Future[Played]", seconds: float, stages: Stages) -> Played:
    """What the sender did, while nobody dies."""
    wait_until(sent.done, seconds + _START_S, "the sender is not done", stages.check, every_s=0.5)
    return sent.result()


def _settled(receiver: MessageReceiver, expected: int, stages: Stages) -> list[Received]:
    """What came, when all came or no more time is given."""
    came = receiver.received()
    deadline = time.monotonic() + _SETTLE_S
    while len({message.scheduled for message in came}) < expected and time.monotonic() < deadline:
        stages.check()
        time.sleep(0.5)
        came += receiver.received()
    return came


def _usages(pids: Mapping[str, int]) -> dict[str, Usage]:
    return {name: usage(pid) for name, pid in pids.items()}


def _scrapes(stages: Stages) -> dict[str, Scrape]:
    return {stage: stages.scrape(stage) for stage in stages.ports}


def hops(run: Run, names: TopicNames) -> dict[str, list[float]]:
    """How long each part of the way took, ms, for the counted events whose message arrived. Topics
    stamp whole milliseconds.
    """
    arrivals = run.arrivals
    parts: dict[str, list[float]] = {part: [] for part in PARTS}
    topics = (names.telemetry, names.anomalies, names.incidents, names.notifications)
    for moment in run.counted:
        if moment not in arrivals:
            continue
        passed = [
            moment / 1000,
            *(float(run.stamps[topic][moment]) for topic in topics),
            arrivals[moment] / 1000,
        ]
        for part, begin, end in zip(PARTS, passed, passed[1:], strict=False):
            parts[part].append(end - begin)
    return parts


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.latency", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--json", action="store_true", help="print one object instead of tables")
    parser.add_argument(
        "--through",
        type=Through,
        choices=list(Through),
        default=Through.WEBHOOK,
        help="who receives (webhook)",
    )
    parser.add_argument("--rate", type=float, default=10_000, help="events per second (10,000)")
    parser.add_argument(
        "--seconds", type=float, help="for how long is measured (60; 240 through pagerduty)"
    )
    parser.add_argument(
        "--warm-up", type=float, default=15, help="seconds of the same before that (15)"
    )
    options = parser.parse_args(arguments)
    screen, described = Screen(options.json), machine()
    end_in_order()
    try:
        seconds = options.seconds or WAYS[options.through].seconds
        seen = run(options.through, options.rate, seconds, options.warm_up, screen)
        if not seen.latencies_ms:
            raise BenchmarkFailed(f"none of {len(seen.counted)} messages arrived")
    except BenchmarkFailed as why:
        sys.exit(f"benchmarks.latency: {why}")
    parts = hops(seen, TopicNames(Broker().topic_prefix))
    screen.results(
        described, list(_sheets(seen, parts, options.rate)), _whole(seen, parts, options.rate)
    )


def _whole(seen: Run, parts: Mapping[str, Sequence[float]], rate: float) -> dict[str, Json]:
    latencies = seen.latencies_ms
    return {
        "through": str(seen.through),
        "p50_ms": round(percentile(latencies, 0.5), 1),
        "p99_ms": round(percentile(latencies, 0.99), 1),
        "p999_ms": round(percentile(latencies, 0.999), 1),
        "max_ms": round(max(latencies), 1),
        "count": len(latencies),
        "missing": len(seen.counted) - len(latencies),
        "rate": rate,
        "sender_lag_ms": round(seen.played.worst_lag_s * 1000, 1),
        "cpu_share": {name: round(share, 3) for name, share in seen.shares.items()},
        "stages": {stage: asdict(rhythm) for stage, rhythm in seen.rhythms.items()},
        "sink": None if seen.sinking is None else asdict(seen.sinking),
        "stages_pss_mb": round(seen.pss_mb),
        "hops": {
            part: {
                "p50_ms": round(percentile(times, 0.5), 1),
                "p99_ms": round(percentile(times, 0.99), 1),
            }
            for part, times in parts.items()
        },
    }


def _sheets(seen: Run, parts: Mapping[str, Sequence[float]], rate: float) -> Iterator[Sheet]:
    latencies, way = seen.latencies_ms, WAYS[seen.through]
    yield Sheet(
        f"Event due to {seen.through} received, {rate:,.0f} events/s, {', '.join(way.stages)}",
        ("", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "messages", "missing"),
        [
            (
                "seen",
                *(f"{percentile(latencies, share):.0f}" for share in (0.5, 0.99, 0.999, 1.0)),
                f"{len(latencies):,}",
                str(len(seen.counted) - len(latencies)),
            ),
            ("goal", str(way.goal_p50_ms), str(way.goal_p99_ms), "", "", "", "0"),
        ],
        f"the sender was at most {seen.played.worst_lag_s * 1000:.0f} ms behind its schedule, which"
        " counts as latency",
    )
    yield Sheet(
        "Where the time goes",
        ("part of the way", "p50 ms", "p99 ms", "max ms"),
        [
            (part, *(f"{percentile(times, share):.0f}" for share in (0.5, 0.99, 1.0)))
            for part, times in parts.items()
        ],
    )
    yield Sheet(
        "CPU while events were sent",
        ("process", "of one CPU", "steps", "records / step", "flushes", "ms / flush"),
        [
            (name, f"{share:.1%}", *_cells(seen.rhythms.get(name)))
            for name, share in seen.shares.items()
        ],
        f"the stages together took {seen.pss_mb:,.0f} MB (PSS)" + _told(seen.sinking),
    )


def _told(sinking: Sinking | None) -> str:
    if sinking is None:
        return ""
    return (
        f"; the sink stored {sinking.documents_per_s:g} documents/s in {sinking.writes:,} writes of"
        f" {sinking.write_ms:g} ms"
    )


def _cells(rhythm: Rhythm | None) -> tuple[str, ...]:
    if rhythm is None:
        return ("",) * 4
    return (
        f"{rhythm.steps:,}",
        f"{rhythm.records_per_step:,.1f}",
        f"{rhythm.flushes:,}",
        f"{rhythm.flush_ms:,.1f}",
    )


if __name__ == "__main__":
    main()
