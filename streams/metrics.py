"""The metrics of a worker: declared once, each with its meaning and unit."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streams.samples import Sample

REGISTRY = CollectorRegistry()

_LANE = ("stage", "lane")

RECORDS = Counter(
    "sentinel_records",
    "Records processed by lanes, bad and late ones included.",
    _LANE,
    registry=REGISTRY,
)
EVENTS = Counter("sentinel_events", "Valid events counted in windows.", _LANE, registry=REGISTRY)
LATE_EVENTS = Counter(
    "sentinel_late_events",
    "Events that came after their bucket was closed, counted in no window.",
    _LANE,
    registry=REGISTRY,
)
BAD_RECORDS = Counter(
    "sentinel_bad_records", "Records sent to dead-letters.", ("stage", "reason"), registry=REGISTRY
)
MISPLACED_EVENTS = Counter(
    "sentinel_misplaced_events",
    "Events counted in a lane that is not their application's: its producers send no key, another"
    " one, or do not place it by murmur2.",
    _LANE,
    registry=REGISTRY,
)
CAME_BEFORE = Counter(
    "sentinel_anomalies_came_before",
    "Anomalies at or below the highest offset that came from their lane: written twice after a"
    " fault, and dropped.",
    ("lane",),
    registry=REGISTRY,
)
TAKEN_BACK = Counter(
    "sentinel_source_lanes_taken_back",
    "Times that a record had named an offset beyond the end of its lane's log; the offset is"
    " ignored since.",
    ("lane",),
    registry=REGISTRY,
)
STALE_BLOCKS = Counter(
    "sentinel_stale_blocks",
    "Blocks of an earlier assignment that were dropped; they are fetched again.",
    _LANE,
    registry=REGISTRY,
)
JUMPED = Counter(
    "sentinel_jumped_records",
    "Offsets that retention deleted before a lane could read them.",
    _LANE,
    registry=REGISTRY,
)
TICKS = Counter("sentinel_ticks", "Ticks appended to idle partitions.", _LANE, registry=REGISTRY)
OUTPUTS = Counter(
    "sentinel_outputs", "Records produced by lanes.", ("stage", "topic"), registry=REGISTRY
)
POSITION = Gauge(
    "sentinel_lane_position", "Next offset that the lane processes.", _LANE, registry=REGISTRY
)
DURABLE = Gauge(
    "sentinel_lane_durable_position", "Next offset after the last flush.", _LANE, registry=REGISTRY
)
LAG = Gauge(
    "sentinel_lane_lag",
    "Offsets between the lane's position and the end of its log at the last fetch.",
    _LANE,
    registry=REGISTRY,
)
PROGRESS = Gauge(
    "sentinel_lane_progress_timestamp_seconds",
    "Unix time at which the lane last processed a block.",
    _LANE,
    registry=REGISTRY,
)
STEP_RECORDS = Histogram(
    "sentinel_step_records",
    "Records per step; larger steps cost less per record.",
    ("stage",),
    buckets=(1, 10, 50, 200, 1000, 4000, 16000, 64000),
    registry=REGISTRY,
)
FLUSH_SECONDS = Histogram(
    "sentinel_flush_seconds",
    "Wall time of a flush: one transaction with changed rows and position.",
    ("stage",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
    registry=REGISTRY,
)
FLUSH_ROWS = Counter(
    "sentinel_flush_rows", "State rows (chunks) written by flushes.", ("stage",), registry=REGISTRY
)
DECISIONS = Counter(
    "sentinel_alert_decisions",
    "Decisions about messages, by reason.",
    ("reason",),
    registry=REGISTRY,
)
ATTEMPTS = Counter(
    "sentinel_delivery_attempts",
    "Attempts to deliver a message.",
    ("receiver", "outcome"),
    registry=REGISTRY,
)
HEARTBEATS = Counter(
    "sentinel_heartbeats",
    "Pings of the dead man's switch, by outcome.",
    ("outcome",),
    registry=REGISTRY,
)
RECOVERY_SECONDS = Gauge(
    "sentinel_recovery_seconds",
    "Wall time of the last recovery of lanes.",
    ("stage",),
    registry=REGISTRY,
)
SINK_DOCUMENTS = Counter(
    "sentinel_sink_documents",
    "Documents by outcome: stored (also if it was there already), refused by the store, or expired:"
    " too old to be kept.",
    ("kind", "outcome"),
    registry=REGISTRY,
)
SINK_WRITE_SECONDS = Histogram(
    "sentinel_sink_write_seconds",
    "Wall time until the store had stored a batch, waits for the store included.",
    buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=REGISTRY,
)
TOPICS_MADE_AGAIN = Counter(
    "sentinel_topics_made_again",
    "Partitions of topics that were deleted and created again, read from their begin.",
    ("stage", "topic"),
    registry=REGISTRY,
)
SINK_LAG = Gauge(
    "sentinel_sink_lag",
    "Offsets between what was committed after it was stored and the end of the partition.",
    ("topic", "partition"),
    registry=REGISTRY,
)
API_REQUESTS = Counter(
    "sentinel_api_requests",
    "Requests that the API answered, by route and status.",
    ("route", "status"),
    registry=REGISTRY,
)
API_SECONDS = Histogram(
    "sentinel_api_request_seconds",
    "Wall time from a request's head to its answer.",
    ("route",),
    buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
API_LIVE_CLIENTS = Gauge(
    "sentinel_api_live_clients",
    "Web pages connected for live changes.",
    registry=REGISTRY,
)
HELD_SINCE = Gauge(
    "sentinel_held_since_timestamp_seconds",
    "Unix time since which an open transaction of a producer has held back the records after it in"
    " the partition; no series while none does.",
    ("topic", "partition"),
    registry=REGISTRY,
)
HELD_RECORDS = Gauge(
    "sentinel_held_records",
    "Offsets that an open transaction holds back; no lag includes them.",
    ("topic", "partition"),
    registry=REGISTRY,
)
STORE_LOG = Gauge(
    "sentinel_store_log_bytes",
    "Bytes of the embedded store's write-ahead log, which readers that do not end keep from being"
    " emptied.",
    registry=REGISTRY,
)
_SERIES = ("lane", "tenant", "application", "model")
OPEN_INCIDENTS = Gauge(
    "sentinel_open_incidents",
    "Incidents that are open now.",
    ("lane", "tenant", "application", "severity"),
    registry=REGISTRY,
)
LAST_EVENT = Gauge(
    "sentinel_last_event_timestamp_seconds",
    "End of the last closed bucket that has an event of the application, Unix time.",
    ("lane", "tenant", "application"),
    registry=REGISTRY,
)
SERVICE_REQUESTS = Gauge(
    "sentinel_service_request_rate",
    "Calls a second in the last closed bucket.",
    _SERIES,
    registry=REGISTRY,
)
SERVICE_ERRORS = Gauge(
    "sentinel_service_error_ratio",
    "Share of calls that failed in the last closed bucket.",
    _SERIES,
    registry=REGISTRY,
)
SERVICE_TOKENS = Gauge(
    "sentinel_service_token_rate",
    "Tokens a second, in and out, in the last closed bucket.",
    _SERIES,
    registry=REGISTRY,
)
SERVICE_COST = Gauge(
    "sentinel_service_cost_rate",
    "Cost a second in the last closed bucket, in the currency of the telemetry.",
    _SERIES,
    registry=REGISTRY,
)
SERVICE_LATENCY = Gauge(
    "sentinel_service_latency_seconds",
    "Latency in the last closed bucket, by quantile.",
    (*_SERIES, "quantile"),
    registry=REGISTRY,
)
SINK_ASKED = Gauge(
    "sentinel_sink_lag_timestamp_seconds",
    "Unix time at which the broker last reported the ends of the sink's partitions;"
    " `sentinel_sink_lag` is as old as this.",
    registry=REGISTRY,
)
ENDS_ASKED = Gauge(
    "sentinel_lane_ends_timestamp_seconds",
    "Unix time at which the broker last reported the ends of the lanes' logs: as of then, a lane"
    " without lag has nothing to do.",
    registry=REGISTRY,
)
READY = Gauge(
    "sentinel_ready", "1 when recovered and assigned, else 0.", ("stage",), registry=REGISTRY
)


_SAMPLED = {
    "sentinel_open_incidents": OPEN_INCIDENTS,
    "sentinel_last_event_timestamp_seconds": LAST_EVENT,
    "sentinel_service_request_rate": SERVICE_REQUESTS,
    "sentinel_service_error_ratio": SERVICE_ERRORS,
    "sentinel_service_token_rate": SERVICE_TOKENS,
    "sentinel_service_cost_rate": SERVICE_COST,
    "sentinel_service_latency_seconds": SERVICE_LATENCY,
}


def show_samples(of_lanes: Mapping[int, Iterable[Sample]]) -> None:
    """Replace the gauges that lanes sample, also those of lanes that went."""
    for gauge in _SAMPLED.values():
        gauge.clear()
    for lane, samples in of_lanes.items():
        for sample in samples:
            _SAMPLED[sample.gauge].labels(lane, *sample.labels).set(sample.value)


def begin_lane(stage: str, lane: int, position: int) -> None:
    """Create all series of a lane that starts: an alert that compares them must be able to fire
    before the lane has done anything.
    """
    for counter in (RECORDS, EVENTS, LATE_EVENTS, JUMPED):
        counter.labels(stage, lane)
    POSITION.labels(stage, lane).set(position)
    DURABLE.labels(stage, lane).set(position)
    PROGRESS.labels(stage, lane).set_to_current_time()


def forget_lane(stage: str, lane: int) -> None:
    """Remove the gauges of a lane that another worker continues; here they would never change."""
    for gauge in (POSITION, DURABLE, LAG, PROGRESS):
        gauge.remove(stage, lane)


def forget_sink_lag(topic: str, partition: int) -> None:
    """Remove the lag of a partition that another sink stores from now on."""
    SINK_LAG.remove(topic, partition)


def held_partitions() -> list[tuple[str, str, float]]:
    """Topic, partition and since when (Unix seconds) of what open transactions hold back."""
    return [
        (sample.labels["topic"], sample.labels["partition"], sample.value)
        for metric in HELD_SINCE.collect()
        for sample in metric.samples
    ]


def forget_hold(topic: str, partition: int) -> None:
    """Nothing holds back the partition, or it is no longer read here."""
    for gauge in (HELD_SINCE, HELD_RECORDS):
        gauge.remove(topic, partition)
