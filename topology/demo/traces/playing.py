"""The players: a recorded hour at some speed, traffic at a rate on a schedule, a backlog as fast as
the broker takes it.

This is a process edge: the clocks are read here, and a test hands in its own.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from confluent_kafka import Producer

from schemas.records.telemetry import TelemetryEvent
from topology.demo.traces.ordinary import Population, marked_event, ordinary_events
from topology.demo.traces.outbox import Outbox
from topology.demo.traces.templates import RUN_LENGTH, Templates

Progress: TypeAlias = Callable[[int, int], None]
"""Called now and then with the number of events sent, and the event time (µs) of the last."""

BURST: Final = 500
"""Most records that `play` sends before it looks around."""

TICK_S: Final = 0.001
"""How often `send_at_rate` looks what is due, seconds: a record leaves at most about this much
after its moment.
"""

BLOCK_S: Final = 0.02
"""Records of this much of the schedule are made at a time, seconds: little, since none is sent
meanwhile.
"""

LEAD_S: Final = 0.1
"""How long after its call the schedule of `send_at_rate` begins, seconds."""

LATE_US: Final = 600_000_000
"""How much too old the event time of a late record is, µs: ten minutes, which no sensible lateness
allows.
"""

FILL: Final = 20_000
"""Records that `backlog` makes at a time."""


@dataclass(frozen=True, slots=True)
class Clock:
    """What the players know of time: three functions, so that a test can do without waiting."""

    monotonic: Callable[[], float] = time.monotonic
    wall_us: Callable[[], int] = lambda: time.time_ns() // 1000
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Played:
    """What a player did."""

    events: int
    first_event_time: int
    """Event time of the first event, µs."""
    last_event_time: int
    wall_s: float
    cpu_s: float
    """CPU time of this process meanwhile, the threads of the Kafka client included, seconds."""
    marked: tuple[int, ...] = ()
    """The scheduled moments (µs) of the marked events, in order."""
    worst_lag_s: float = 0.0
    """The most that a record was handed over after its moment, seconds."""


EVERYDAY: Final = Population()
REAL: Final = Clock()


def silent(sent: int, event_time: int) -> None:
    """A Progress that nobody looks at."""


def play(
    producer: Producer,
    topic: str,
    events: Sequence[TelemetryEvent],
    speed: float | None,
    progress: Progress = silent,
    hold: Callable[[int], bool] | None = None,
    clock: Clock = REAL,
) -> Played:
    """Plays events, which are in order of event time, at `speed` times the pace of their event
    times.

    `speed` None means as fast as the broker takes them. While `hold(sent)` says so, playing pauses,
    and what was due meanwhile is not hurried after: that is for the embedded broker, which forgets
    what its readers are slow to read. Returns when the broker has acknowledged everything; raises
    NotDelivered when it does not.
    """
    outbox = Outbox(producer, topic)
    began, cpu, wall = clock.monotonic(), time.process_time(), clock.monotonic()
    origin = events[0].event_time
    while outbox.sent < len(events):
        while hold is not None and hold(outbox.sent):
            paused = clock.monotonic()
            clock.sleep(0.02)
            began += clock.monotonic() - paused
        ahead = events[outbox.sent : outbox.sent + BURST]
        if speed is not None:
            now = origin + (clock.monotonic() - began) * speed * 1e6
            ahead = [event for event in ahead if event.event_time <= now]
            if not ahead:
                due_s = (events[outbox.sent].event_time - now) / speed / 1e6
                clock.sleep(min(max(due_s, 0.005), 0.25))
                continue
        outbox.put(
            [f"{event.tenant}/{event.application}".encode() for event in ahead],
            [event.to_bytes() for event in ahead],
        )
        progress(outbox.sent, ahead[-1].event_time)
    outbox.close()
    return Played(
        events=len(events),
        first_event_time=origin,
        last_event_time=events[-1].event_time,
        wall_s=clock.monotonic() - wall,
        cpu_s=time.process_time() - cpu,
    )


def send_at_rate(
    producer: Producer,
    topic: str,
    rate: float,
    seconds: float,
    population: Population = EVERYDAY,
    marked_every: int | None = None,
    seed: int = 1,
    progress: Progress = silent,
    clock: Clock = REAL,
) -> Played:
    """Sends ordinary events on an absolute schedule: event n at start + n / rate, which is its
    event time.

    A sender that falls behind does not shift the schedule, so what a stage's latency is measured
    from is when an event should have been sent, not when the sender got round to it. Every
    `marked_every`-th event is a `marked_event`; None means none is. Raises NotDelivered.
    """
    templates = Templates(ordinary_events(population, seed))
    outbox = Outbox(producer, topic)
    count = round(rate * seconds)
    start_us, start = clock.wall_us() + round(LEAD_S * 1e6), clock.monotonic() + LEAD_S
    run = _run("rate", start_us)
    cpu, wall = time.process_time(), clock.monotonic()
    marked: list[int] = []
    worst = 0.0
    block = max(1, round(rate * BLOCK_S))
    for first in range(0, count, block):
        numbers = np.arange(first, min(first + block, count))
        times = start_us + np.rint(numbers * (1e6 / rate)).astype(np.int64)
        keys, values = templates.records(run, first, times)
        if marked_every is not None:
            for number in numbers[numbers % marked_every == marked_every - 1].tolist():
                event = marked_event(int(times[number - first]), number, population.tenant)
                keys[number - first] = f"{event.tenant}/{event.application}".encode()
                values[number - first] = event.to_bytes()
                marked.append(event.event_time)
        worst = max(worst, _send_when_due(outbox, keys, values, first, rate, start, clock))
        progress(outbox.sent, int(times[-1]))
    outbox.close()
    return Played(
        events=count,
        first_event_time=start_us,
        last_event_time=start_us + round((count - 1) * 1e6 / rate),
        wall_s=clock.monotonic() - wall,
        cpu_s=time.process_time() - cpu,
        marked=tuple(marked),
        worst_lag_s=worst,
    )


def _send_when_due(
    outbox: Outbox,
    keys: Sequence[bytes],
    values: Sequence[bytes],
    first: int,
    rate: float,
    start: float,
    clock: Clock,
) -> float:
    """Sends a block of records, the first of which has the number `first`; answers its worst lag,
    seconds.
    """
    done, worst = 0, 0.0
    while done < len(values):
        elapsed = clock.monotonic() - start
        due = min(int(elapsed * rate) + 1 - first, len(values)) if elapsed >= 0 else 0
        if due > done:
            worst = max(worst, elapsed - (first + done) / rate)
            outbox.put(keys[done:due], values[done:due])
            done = due
        if done < len(values):
            # Also after a record was sent: at a high rate one is always due, and this would never
            # rest.
            clock.sleep(max((first + done) / rate - elapsed, TICK_S))
    return worst


def backlog(
    producer: Producer,
    topic: str,
    count: int,
    population: Population = EVERYDAY,
    event_rate: float = 20_000.0,
    start: int | None = None,
    seed: int = 1,
    progress: Progress = silent,
    clock: Clock = REAL,
) -> Played:
    """Fills a topic with ordinary events as fast as the broker takes them; event time runs at
    `event_rate` events a second.

    `start` is the event time of the first, µs; None means that the last one's is now. The same
    arguments, with a start, give the same records. Raises NotDelivered.
    """
    templates = Templates(ordinary_events(population, seed))
    return fill(
        producer, topic, templates, count, event_rate, start, progress=progress, clock=clock
    )


def fill(
    producer: Producer,
    topic: str,
    templates: Templates,
    count: int,
    event_rate: float = 20_000.0,
    start: int | None = None,
    late_share: float = 0.0,
    progress: Progress = silent,
    clock: Clock = REAL,
) -> Played:
    """`backlog`, of whatever templates; `late_share` of the records, evenly spread, carry an event
    time `LATE_US` too old.
    """
    outbox = Outbox(producer, topic)
    if start is None:
        start = clock.wall_us() - round(count / event_rate * 1e6)
    run = _run("fill", start)
    cpu, wall = time.process_time(), clock.monotonic()
    last = start
    for first in range(0, count, FILL):
        numbers = np.arange(first, min(first + FILL, count))
        times = start + np.rint(numbers * (1e6 / event_rate)).astype(np.int64)
        last = int(times[-1])
        times[np.floor((numbers + 1) * late_share) > np.floor(numbers * late_share)] -= LATE_US
        outbox.put(*templates.records(run, first, times))
        progress(outbox.sent, last)
    outbox.close(600.0)
    return Played(count, start, last, clock.monotonic() - wall, time.process_time() - cpu)


def _run(kind: str, start: int) -> str:
    return f"{kind}{start:0{RUN_LENGTH - len(kind)}d}"
