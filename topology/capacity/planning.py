"""From events a second, subjects and retention to workers, partitions, memory and disk. Every number comes with its reason.

Pure: the same demand gives the same plan. What is rested on stands in `measured`.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from schemas.limits import MAX_RECORD_BYTES
from schemas.units import number
from topology.capacity import measured
from topology.capacity.measured import Constant, Curve

DAYS: Final = MappingProxyType(
    {
        "telemetry": 7.0,
        "aggregates": 90.0,
        "anomalies": 90.0,
        "stored-events": 7.0,
        "stored-aggregates": 90.0,
        "stored-anomalies": 90.0,
    }
)
"""Days for which each thing is kept unless told otherwise: topics as `sentinel topics create` makes them, `stored-` as `store.retention` has it.
Incidents and notifications, a handful, count as anomalies."""

BUCKET_S: Final = 10.0
"""`lanes.bucket_s` as it is by default."""

STORES: Final = ("none", "embedded", "elasticsearch")

LEAST_PARTITIONS: Final = 12
"""`lanes.partitions` as it is by default."""

LANES_PER_WORKER: Final = 2
"""Partitions for each worker that is needed, so that their number can double: partitions cannot grow."""

_DAY_S: Final = 86_400.0
_LAG_S: Final = 600.0
"""`min.compaction.lag.ms` of state topics."""
_SESSION_S: Final = 6.0
"""`broker.session_timeout_s` as it is by default."""
_STORE_COPIES: Final = {"embedded": 1, "elasticsearch": 2}
"""`store.replicas` is 1 by default, beside the first."""


class CapacityRefused(ValueError):
    """A demand that cannot be, or that nothing was measured for; the text is one line that says why."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of an installation."""

    events_per_s: float
    """Of all producers, when most comes."""
    subjects: int
    """Series: applications times their models."""
    users: int = 0
    """Users with a profile of their own."""
    record_bytes: float = measured.USUAL_RECORD.value
    """Of an event's record, before compression."""
    detectors: bool = True
    """False: windows only."""
    store: str = "elasticsearch"
    """One of `STORES`."""
    stored_share: float = 0.0
    """Share of the events that the store keeps, 0 to 1."""
    replicas: int = 1
    """Copies of each topic."""
    days: Mapping[str, float] = field(default_factory=lambda: DAYS)
    """As `DAYS`."""


@dataclass(frozen=True, slots=True)
class Line:
    """One number of a plan, and where it comes from."""

    group: str
    """workers, partitions, memory, disk or time."""
    name: str
    value: float
    unit: str
    why: str


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
    """The plan. More events or subjects never give fewer workers, partitions or bytes on disk. Raises CapacityRefused."""
    _check(demand)
    detect = _detect_workers(demand)
    partitions = partitions_of(detect)
    workers = {"detect": detect, "correlate": 1, "alert": 1, "api": 1}
    if demand.store != "none":
        workers["sink"] = max(1, math.ceil(_documents_per_s(demand) / (measured.SINK.value * measured.BUSY.value)))
        if workers["sink"] > partitions:
            raise CapacityRefused(
                f"{_documents_per_s(demand):,.0f} documents a second would take {workers['sink']} sinks, more than there are "
                f"partitions ({partitions}); store a smaller share of the events (--stored-share)"
            )
    sections = (
        _told_workers(demand, workers, partitions),
        _told_memory(demand, workers),
        _told_disk(demand, partitions),
        _told_time(demand, detect),
    )
    return Plan(demand, workers, partitions, tuple(line for section in sections for line in section))


def partitions_of(workers: int) -> int:
    """Partitions for so many detect workers: a multiple of twelve, since that divides evenly among many numbers of workers.

    >>> partitions_of(1), partitions_of(7), partitions_of(20)
    (12, 24, 48)
    """
    return math.ceil(LANES_PER_WORKER * workers / LEAST_PARTITIONS) * LEAST_PARTITIONS


def share_of(workers: int) -> float:
    """Of all lanes, how many the worker with the most has.

    >>> share_of(1), share_of(3), share_of(5)
    (1.0, 0.3333333333333333, 0.25)
    """
    partitions = partitions_of(workers)
    return math.ceil(partitions / workers) / partitions


def busy(demand: Demand, workers: int) -> float:
    """Share of a core that the busiest of so many detect workers needs. Raises ValueError beyond what was measured."""
    share, partitions = share_of(workers), partitions_of(workers)
    cost_us = _cost_us(demand, share)
    if workers > 1:
        cost_us /= measured.TWO_WORKERS.value
    # Each lane tells each partition of anomalies how far it is, once a bucket.
    watermarks_per_s = partitions**2 / BUCKET_S
    return share * (demand.events_per_s * cost_us + watermarks_per_s * measured.WATERMARK_CPU.value) / 1e6


def _detect_workers(demand: Demand) -> int:
    most = int(measured.MOST_PARTITIONS.value) // LEAST_PARTITIONS * LEAST_PARTITIONS // LANES_PER_WORKER
    enough = (
        workers
        for workers in range(1, most + 1)
        if _fits(demand, share_of(workers)) and busy(demand, workers) <= measured.BUSY.value
    )
    for workers in enough:
        return workers
    raise CapacityRefused(
        f"{demand.events_per_s:,.0f} events a second of {demand.subjects:,} subjects need more than {most} detect workers; nothing was "
        f"measured beyond {measured.MOST_PARTITIONS.value:.0f} partitions: plan several installations, each with a part of the "
        "applications (broker.topic_prefix)"
    )


def _cost_us(demand: Demand, share: float) -> float:
    """CPU of an event, where a worker has this share of the lanes."""
    return _curve(demand).at(demand.subjects * share) + _larger_kb(demand) * measured.LARGER_RECORD_CPU.value


def _larger_kb(demand: Demand) -> float:
    """How much larger records are than those that were measured most."""
    return max(0.0, demand.record_bytes - measured.SMALL_RECORD.value) / 1000


def _fits(demand: Demand, share: float) -> bool:
    """Whether a worker with this share of the lanes has no more subjects and users than were measured."""
    return demand.subjects * share <= _curve(demand).most and _names(demand) * share <= measured.MEMORY.most


def _names(demand: Demand) -> int:
    """Subjects, and users where somebody looks at them."""
    return demand.subjects + (demand.users if demand.detectors else 0)


def _curve(demand: Demand) -> Curve:
    return measured.WITH_DETECTORS if demand.detectors else measured.WINDOWS_ONLY


def _aggregates_per_s(demand: Demand) -> float:
    """One for each subject that had an event in the bucket."""
    return min(float(demand.subjects), demand.events_per_s * BUCKET_S) / BUCKET_S


def _documents_per_s(demand: Demand) -> float:
    return _aggregates_per_s(demand) + demand.events_per_s * demand.stored_share


def _told_workers(demand: Demand, workers: Mapping[str, int], partitions: int) -> Iterator[Line]:
    detect, curve = workers["detect"], _curve(demand)
    subjects = demand.subjects * share_of(detect)
    yield Line(
        "workers",
        "detect",
        detect,
        "processes, a core each",
        f"{demand.events_per_s * share_of(detect):,.0f} events/s of the busiest at {_cost_us(demand, share_of(detect)):.2f} µs of CPU "
        f"({subjects:,.0f} subjects: {curve.command}; {demand.record_bytes:,.0f} bytes a record: {measured.LARGER_RECORD_CPU.command}) "
        f"are {busy(demand, detect):.0%} of a core, at most {measured.BUSY.value:.0%}",
    )
    if "sink" in workers:
        yield Line(
            "workers",
            "sink",
            workers["sink"],
            "processes",
            f"{_aggregates_per_s(demand):,.0f} aggregates and {demand.events_per_s * demand.stored_share:,.0f} events to store a second; "
            f"a sink stores {measured.SINK.value:,.0f} ({measured.SINK.command}), {measured.BUSY.value:.0%} of it planned",
        )
    for stage in ("correlate", "alert", "api"):
        yield Line("workers", stage, workers[stage], "process", "follows anomalies and people, not events")
    yield Line(
        "partitions",
        "every topic",
        partitions,
        "partitions",
        f"lanes.partitions: {LANES_PER_WORKER} or more for each detect worker, so that workers can double, in twelves, which divide evenly; "
        "they cannot grow later",
    )


def _told_memory(demand: Demand, workers: Mapping[str, int]) -> Iterator[Line]:
    names = _names(demand) * share_of(workers["detect"])
    base = measured.MEMORY.at(names)
    of_each = {"detect": base / (1 - measured.FREE.value)}
    yield Line(
        "memory",
        "detect",
        _up(of_each["detect"]),
        "MB each",
        f"{base:,.0f} MB at {names:,.0f} subjects and users ({measured.MEMORY.command}; a user takes no more than a subject), "
        f"{measured.FREE.value:.0%} free",
    )
    for stage, at_rest in measured.AT_REST.items():
        if stage in workers:
            of_each[stage] = at_rest.value / (1 - measured.FREE.value)
            yield Line(
                "memory", stage, _up(of_each[stage]), "MB each", f"{_said(at_rest)}, {measured.FREE.value:.0%} free"
            )
    total = sum(_up(mb) * workers[stage] for stage, mb in of_each.items())
    yield Line("memory", "all", total, "MB", "all processes together; broker and store are not in it")


def _told_disk(demand: Demand, partitions: int) -> Iterator[Line]:
    topics = [
        _topic(demand, partitions, "telemetry", demand.events_per_s, measured.TELEMETRY_RECORD, scale=_scale(demand)),
        _topic(demand, partitions, "aggregates", _aggregates_per_s(demand), measured.AGGREGATE_RECORD),
        _anomalies(demand, partitions),
        _state(demand),
    ]
    yield from topics
    stored = list(_stored(demand)) if demand.store != "none" else []
    yield from stored
    total = sum(line.value for line in (*topics, *stored)) / (1 - measured.FREE.value)
    yield Line(
        "disk",
        "all",
        total,
        "GB",
        f"with {measured.FREE.value:.0%} free; Kafka {_gb(topics)} GB, store {_gb(stored)} GB",
    )


def _scale(demand: Demand) -> float:
    """How much larger telemetry is on disk than the recorded hour: what is larger compresses as well as that."""
    return demand.record_bytes / measured.USUAL_RECORD.value


def _topic(
    demand: Demand, partitions: int, name: str, per_s: float, record: Constant, besides: float = 0.0, scale: float = 1.0
) -> Line:
    """A topic with time-limited retention: so many records a second, `scale` times as large, and bytes a second besides them."""
    bytes_per_s, days = per_s * record.value * scale + besides, demand.days[name]
    kept = bytes_per_s * days * _DAY_S
    open_segments = min(measured.SEGMENT.value * partitions, bytes_per_s * measured.SEGMENT_DAYS.value * _DAY_S)
    larger = f" x {number(scale)} for their size" if scale != 1 else ""
    said = f"{number(per_s)}/s x {_said(record)}{larger}" + (
        f" + {besides:,.0f} bytes/s of watermarks" if besides else ""
    )
    return Line(
        "disk",
        f"topic {name}",
        (kept + open_segments) * demand.replicas / 1e9,
        "GB",
        f"{said}, {days:g} days, and up to a segment more in each partition{_times(demand.replicas)}",
    )


def _anomalies(demand: Demand, partitions: int) -> Line:
    """Each lane tells its watermark to each partition of anomalies, once a bucket."""
    watermarks = partitions**2 / BUCKET_S * measured.WATERMARK_RECORD.value
    per_s = measured.ANOMALIES_PER_HOUR.value / 3600
    return _topic(demand, partitions, "anomalies", per_s, measured.VERDICT_RECORDS, watermarks)


def _state(demand: Demand) -> Line:
    live = demand.subjects * measured.STATE_PER_SUBJECT.value
    if demand.detectors:
        live += demand.users * measured.STATE_PER_USER.value
    written = live * measured.STATE_ON_DISK.value
    return Line(
        "disk",
        "topic detect-state",
        written * _LAG_S * demand.replicas / 1e9,
        "GB",
        f"at most: {live / 1e6:,.1f} MB of state ({_said(measured.STATE_PER_SUBJECT)}), {measured.STATE_ON_DISK.value:g} of it on disk, "
        f"written whole once a second until compaction may begin ({_LAG_S:.0f} s){_times(demand.replicas)}",
    )


def _stored(demand: Demand) -> Iterator[Line]:
    embedded, copies = demand.store == "embedded", _STORE_COPIES[demand.store]
    for name, per_s, document in (
        (
            "stored-events",
            demand.events_per_s * demand.stored_share,
            measured.EMBEDDED_EVENT if embedded else measured.ELASTIC_EVENT,
        ),
        (
            "stored-aggregates",
            _aggregates_per_s(demand),
            measured.EMBEDDED_AGGREGATE if embedded else measured.ELASTIC_AGGREGATE,
        ),
        (
            "stored-anomalies",
            measured.ANOMALIES_PER_HOUR.value / 3600,
            measured.EMBEDDED_VERDICT if embedded else measured.ELASTIC_VERDICT,
        ),
    ):
        size = per_s * document.value * demand.days[name] * _DAY_S * copies / 1e9
        yield Line(
            "disk",
            name,
            size,
            "GB",
            f"{number(per_s)}/s x {_said(document)}, {demand.days[name]:g} days{_times(copies)}",
        )


def _told_time(demand: Demand, detect: int) -> Iterator[Line]:
    subjects = demand.subjects * share_of(detect)
    restore = subjects * measured.RESTORE.value / 1e6
    yield Line(
        "time",
        "after a kill",
        _SESSION_S + restore,
        "s",
        f"broker.session_timeout_s, then {subjects:,.0f} subjects x {_said(measured.RESTORE)}",
    )
    yield Line(
        "time",
        "an hour behind",
        3600 * busy(demand, detect) / (1 - busy(demand, detect)),
        "s",
        f"until it is caught up: a worker is {busy(demand, detect):.0%} busy, and has the rest of its core for it",
    )


def _said(constant: Constant) -> str:
    return f"{number(constant.value, 4)} {constant.unit} ({constant.command})"


def _times(copies: int) -> str:
    return f", {copies} copies" if copies > 1 else ""


def _gb(lines: list[Line]) -> str:
    return f"{sum(line.value for line in lines):,.1f}"


def _up(mb: float) -> int:
    """To whole tens."""
    return math.ceil(mb / 10) * 10


def _check(demand: Demand) -> None:
    if not (math.isfinite(demand.events_per_s) and demand.events_per_s > 0):
        raise CapacityRefused(f"{demand.events_per_s:g} events a second are nothing to plan for; give more than 0")
    if demand.subjects < 1:
        raise CapacityRefused(f"there is at least one subject, not {demand.subjects:,}")
    if demand.users < 0:
        raise CapacityRefused(f"there cannot be {demand.users:,} users")
    if max(demand.subjects, demand.users) > demand.events_per_s * _DAY_S:
        raise CapacityRefused(
            f"{demand.events_per_s:g} events a second are {demand.events_per_s * _DAY_S:,.0f} a day, fewer than "
            f"{max(demand.subjects, demand.users):,} subjects or users: who has none in a day is forgotten (lanes.subject_expiry_s)"
        )
    if not 50 <= demand.record_bytes <= MAX_RECORD_BYTES:
        raise CapacityRefused(
            f"a record is 50 to {MAX_RECORD_BYTES:,} bytes (lanes.max_record_bytes), not {demand.record_bytes:,.0f}"
        )
    if demand.store not in STORES:
        raise CapacityRefused(f"there is no store {demand.store!r}, only {', '.join(STORES)}")
    if not 0 <= demand.stored_share <= 1:
        raise CapacityRefused(f"a share is 0 to 1, not {demand.stored_share:g}")
    if demand.replicas < 1:
        raise CapacityRefused(f"a topic has at least one copy, not {demand.replicas}")
    for name, days in demand.days.items():
        if not (math.isfinite(days) and days >= 0):
            raise CapacityRefused(f"{name} cannot be kept for {days:g} days")
