"""What a demand takes on disk: topics, and the store."""

from collections.abc import Iterator
from typing import Final

from schemas.units import number
from topology.capacity import measured
from topology.capacity.demand import BUCKET_S, DAY_S, Demand, Line, aggregates_per_s, said, times
from topology.capacity.measured import Constant

_LAG_S: Final = 600.0
"""`min.compaction.lag.ms` of state topics."""
_STORE_COPIES: Final = {"embedded": 1, "elasticsearch": 2}
"""`store.replicas` is 1 by default, beside the first."""


def disk_lines(demand: Demand, partitions: int) -> Iterator[Line]:
    """Each topic, what the store keeps, and all of it."""
    topics = [
        _topic(
            demand,
            partitions,
            "telemetry",
            demand.events_per_s,
            measured.TELEMETRY_RECORD,
            scale=_scale(demand),
        ),
        _topic(
            demand, partitions, "aggregates", aggregates_per_s(demand), measured.AGGREGATE_RECORD
        ),
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
    """How much larger telemetry is on disk than the recorded hour: what is larger compresses as
    well as that.
    """
    return demand.record_bytes / measured.USUAL_RECORD.value


def _topic(
    demand: Demand,
    partitions: int,
    name: str,
    per_s: float,
    record: Constant,
    besides: float = 0.0,
    scale: float = 1.0,
) -> Line:
    """A topic with time-limited retention: so many records a second, `scale` times as large, and
    bytes a second besides them.
    """
    bytes_per_s, days = per_s * record.value * scale + besides, demand.days[name]
    kept = bytes_per_s * days * DAY_S
    # Kafka deletes whole segments: the one being written keeps records beyond the retention.
    open_segments = min(
        measured.SEGMENT.value * partitions, bytes_per_s * measured.SEGMENT_DAYS.value * DAY_S
    )
    larger = f" x {number(scale)} for their size" if scale != 1 else ""
    made_of = f"{number(per_s)}/s x {said(record)}{larger}" + (
        f" + {besides:,.0f} bytes/s of watermarks" if besides else ""
    )
    return Line(
        "disk",
        f"topic {name}",
        (kept + open_segments) * demand.replicas / 1e9,
        "GB",
        f"{made_of}, {days:g} days, and up to a segment more in each"
        f" partition{times(demand.replicas)}",
    )


def _anomalies(demand: Demand, partitions: int) -> Line:
    """Each lane tells its watermark where it found something, once a bucket: here each has found
    something of one tenant.
    """
    watermarks = partitions / BUCKET_S * measured.WATERMARK_RECORD.value
    per_s = measured.ANOMALIES_PER_HOUR.value / 3600
    return _topic(demand, partitions, "anomalies", per_s, measured.VERDICT_RECORDS, watermarks)


def _state(demand: Demand) -> Line:
    live = demand.subjects * measured.STATE_PER_SUBJECT.value
    if demand.detectors:
        live += demand.users * measured.STATE_PER_USER.value
    # Compaction removes only segments older than its lag: until then every flush is on disk.
    written = live * measured.STATE_ON_DISK.value
    return Line(
        "disk",
        "topic detect-state",
        written * _LAG_S * demand.replicas / 1e9,
        "GB",
        f"at most: {live / 1e6:,.1f} MB of state ({said(measured.STATE_PER_SUBJECT)}),"
        f" {measured.STATE_ON_DISK.value:g} of it on disk, written whole once a second until"
        f" compaction may begin ({_LAG_S:.0f} s){times(demand.replicas)}",
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
            aggregates_per_s(demand),
            measured.EMBEDDED_AGGREGATE if embedded else measured.ELASTIC_AGGREGATE,
        ),
        (
            "stored-anomalies",
            measured.ANOMALIES_PER_HOUR.value / 3600,
            measured.EMBEDDED_VERDICT if embedded else measured.ELASTIC_VERDICT,
        ),
    ):
        size = per_s * document.value * demand.days[name] * DAY_S * copies / 1e9
        yield Line(
            "disk",
            name,
            size,
            "GB",
            f"{number(per_s)}/s x {said(document)}, {demand.days[name]:g} days{times(copies)}",
        )


def _gb(lines: list[Line]) -> str:
    return f"{sum(line.value for line in lines):,.1f}"
