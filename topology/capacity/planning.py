"""Plans workers, partitions, memory and disk for a demand; every number has its reason.

Pure: the same demand gives the same plan. The measured constants are in `measured`.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from topology.capacity import measured
from topology.capacity.demand import (
    BUCKET_S,
    CapacityRefused,
    Demand,
    Line,
    aggregates_per_s,
    check,
    said,
)
from topology.capacity.disk import disk_lines
from topology.capacity.measured import Curve

MIN_PARTITIONS: Final = 12
"""Default of `lanes.partitions`."""

LANES_PER_WORKER: Final = 2
"""Partitions per worker: the number of workers can double later, that of partitions cannot."""

_SESSION_S: Final = 6.0
"""Default of `broker.session_timeout_s`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an installation needs."""

    demand: Demand
    workers: Mapping[str, int]
    """Processes by stage."""
    partitions: int
    lines: tuple[Line, ...]

    def of(self, group: str) -> dict[str, float]:
        """Its numbers by name."""
        return {line.name: line.value for line in self.lines if line.group == group}


def planned(demand: Demand) -> Plan:
    """The plan. More events or subjects never give fewer workers, partitions or bytes on disk.
    Raises CapacityRefused.
    """
    check(demand)
    detect = _detect_workers(demand)
    partitions = partitions_of(detect)
    workers = {"detect": detect, "correlate": 1, "alert": 1, "api": 1}
    if demand.store != "none":
        workers["sink"] = max(
            1, math.ceil(_documents_per_s(demand) / (measured.SINK.value * measured.BUSY.value))
        )
        if workers["sink"] > partitions:
            raise CapacityRefused(
                f"{_documents_per_s(demand):,.0f} documents a second need {workers['sink']}"
                f" sinks, more than there are partitions ({partitions}); store a smaller share of"
                " the events (--stored-share)"
            )
    sections = (
        _worker_lines(demand, workers, partitions),
        _memory_lines(demand, workers),
        disk_lines(demand, partitions),
        _time_lines(demand, detect),
    )
    return Plan(
        demand, workers, partitions, tuple(line for section in sections for line in section)
    )


def partitions_of(workers: int) -> int:
    """Partitions for so many detect workers: a multiple of twelve, since that divides evenly among
    many numbers of workers.

    >>> partitions_of(1), partitions_of(7), partitions_of(20)
    (12, 24, 48)
    """
    return math.ceil(LANES_PER_WORKER * workers / MIN_PARTITIONS) * MIN_PARTITIONS


def share_of(workers: int) -> float:
    """Of all lanes, how many the worker with the most has.

    >>> share_of(1), share_of(3), share_of(5)
    (1.0, 0.3333333333333333, 0.25)
    """
    partitions = partitions_of(workers)
    return math.ceil(partitions / workers) / partitions


def busy(demand: Demand, workers: int) -> float:
    """Share of a core that the busiest of so many detect workers needs. Raises ValueError beyond
    what was measured.
    """
    share, partitions = share_of(workers), partitions_of(workers)
    # Lanes divide unevenly among workers: the busiest decides.
    cost_us = _cost_us(demand, share)
    if workers > 1:
        # Workers share a machine: the constant is what one beside another was measured to do.
        cost_us /= measured.TWO_WORKERS.value
    # A lane says how far it is where it found something, once a bucket: here each lane has found
    # something of one tenant.
    watermarks_per_s = partitions / BUCKET_S
    return (
        share
        * (demand.events_per_s * cost_us + watermarks_per_s * measured.WATERMARK_CPU.value)
        / 1e6
    )


def _detect_workers(demand: Demand) -> int:
    most = (
        int(measured.MOST_PARTITIONS.value) // MIN_PARTITIONS * MIN_PARTITIONS // LANES_PER_WORKER
    )
    # The cost of an event depends on the subjects of a worker, so each number is tried in turn.
    enough = (
        workers
        for workers in range(1, most + 1)
        if _fits(demand, share_of(workers)) and busy(demand, workers) <= measured.BUSY.value
    )
    for workers in enough:
        return workers
    raise CapacityRefused(
        f"{demand.events_per_s:,.0f} events a second of {demand.subjects:,} subjects need more than"
        f" {most} detect workers; nothing was measured beyond {measured.MOST_PARTITIONS.value:.0f}"
        " partitions: plan several installations, each with a part of the applications"
        " (broker.topic_prefix)"
    )


def _cost_us(demand: Demand, share: float) -> float:
    """CPU of an event, where a worker has this share of the lanes."""
    return (
        _curve(demand).at(demand.subjects * share)
        + _larger_kb(demand) * measured.LARGER_RECORD_CPU.value
    )


def _larger_kb(demand: Demand) -> float:
    """How much larger records are than those that were measured most."""
    return max(0.0, demand.record_bytes - measured.SMALL_RECORD.value) / 1000


def _fits(demand: Demand, share: float) -> bool:
    """Whether a worker with this share of the lanes has no more subjects and users than were
    measured.
    """
    return (
        demand.subjects * share <= _curve(demand).most
        and _names(demand) * share <= measured.MEMORY.most
    )


def _names(demand: Demand) -> int:
    """Subjects, and users where somebody looks at them."""
    return demand.subjects + (demand.users if demand.detectors else 0)


def _curve(demand: Demand) -> Curve:
    return measured.WITH_DETECTORS if demand.detectors else measured.WINDOWS_ONLY


def _documents_per_s(demand: Demand) -> float:
    return aggregates_per_s(demand) + demand.events_per_s * demand.stored_share


def _worker_lines(demand: Demand, workers: Mapping[str, int], partitions: int) -> Iterator[Line]:
    detect, curve = workers["detect"], _curve(demand)
    subjects = demand.subjects * share_of(detect)
    yield Line(
        "workers",
        "detect",
        detect,
        "processes, a core each",
        f"{demand.events_per_s * share_of(detect):,.0f} events/s of the busiest at"
        f" {_cost_us(demand, share_of(detect)):.2f} µs of CPU ({subjects:,.0f} subjects:"
        f" {curve.command}; {demand.record_bytes:,.0f} bytes a record:"
        f" {measured.LARGER_RECORD_CPU.command}) are {busy(demand, detect):.0%} of a core, at most"
        f" {measured.BUSY.value:.0%}",
    )
    if "sink" in workers:
        yield Line(
            "workers",
            "sink",
            workers["sink"],
            "processes",
            f"{aggregates_per_s(demand):,.0f} aggregates and"
            f" {demand.events_per_s * demand.stored_share:,.0f} events to store a second; a sink"
            f" stores {measured.SINK.value:,.0f} ({measured.SINK.command}),"
            f" {measured.BUSY.value:.0%} of it planned",
        )
    for stage in ("correlate", "alert", "api"):
        yield Line(
            "workers", stage, workers[stage], "process", "follows anomalies and people, not events"
        )
    yield Line(
        "partitions",
        "every topic",
        partitions,
        "partitions",
        f"lanes.partitions: {LANES_PER_WORKER} or more for each detect worker, so that workers can"
        " double, in twelves, which divide evenly; they cannot grow later",
    )


def _memory_lines(demand: Demand, workers: Mapping[str, int]) -> Iterator[Line]:
    # The worker with the most lanes needs the most; every worker may become that one.
    names = _names(demand) * share_of(workers["detect"])
    base = measured.MEMORY.at(names)
    of_each = {"detect": base / (1 - measured.FREE.value)}
    yield Line(
        "memory",
        "detect",
        _up(of_each["detect"]),
        "MB each",
        f"{base:,.0f} MB at {names:,.0f} subjects and users ({measured.MEMORY.command}; a user"
        f" takes no more than a subject), {measured.FREE.value:.0%} free",
    )
    # Memory of these stages does not depend on the subjects.
    for stage, at_rest in measured.AT_REST.items():
        if stage in workers:
            of_each[stage] = at_rest.value / (1 - measured.FREE.value)
            yield Line(
                "memory",
                stage,
                _up(of_each[stage]),
                "MB each",
                f"{said(at_rest)}, {measured.FREE.value:.0%} free",
            )
    total = sum(_up(mb) * workers[stage] for stage, mb in of_each.items())
    yield Line(
        "memory", "all", total, "MB", "all processes together; broker and store are not in it"
    )


def _time_lines(demand: Demand, detect: int) -> Iterator[Line]:
    subjects = demand.subjects * share_of(detect)
    restore = subjects * measured.RESTORE.value / 1e6
    yield Line(
        "time",
        "after a kill",
        _SESSION_S + restore,
        "s",
        f"broker.session_timeout_s, then {subjects:,.0f} subjects x {said(measured.RESTORE)}",
    )
    yield Line(
        "time",
        "an hour behind",
        # What comes meanwhile has to be processed too.
        3600 * busy(demand, detect) / (1 - busy(demand, detect)),
        "s",
        f"until it is caught up: a worker is {busy(demand, detect):.0%} busy, and has the rest of"
        " its core for it",
    )


def _up(mb: float) -> int:
    """To whole tens."""
    return math.ceil(mb / 10) * 10
