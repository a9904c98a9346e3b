"""How the stages worked while latency was measured, from their own metrics."""

from dataclasses import dataclass

from tests.harness.metrics import Scrape


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How a stage worked: what a step and a flush of it were on average."""

    records_per_step: float
    steps: int
    flushes: int
    flush_ms: float

    @staticmethod
    def between(before: Scrape, after: Scrape) -> "Rhythm":
        """Of the time between two looks at a worker."""

        def gained(name: str) -> float:
            return after[name] - before[name]

        steps, flushes = (
            gained("sentinel_step_records_count"),
            gained("sentinel_flush_seconds_count"),
        )
        return Rhythm(
            round(gained("sentinel_step_records_sum") / max(steps, 1), 1),
            int(steps),
            int(flushes),
            round(1000 * gained("sentinel_flush_seconds_sum") / max(flushes, 1), 1),
        )


@dataclass(frozen=True, slots=True)
class Sinking:
    """What the sink did while events were sent."""

    documents_per_s: float
    writes: int
    write_ms: float
    """Of one batch, on average, until it was durable."""
    lag: int
    """Records that it had not stored at its last commit; the marks that end transactions count, one
    for each partition of aggregates.
    """

    @staticmethod
    def between(before: Scrape, after: Scrape, seconds: float) -> "Sinking":
        """Of the time between two looks at it."""

        def gained(name: str) -> float:
            return after[name] - before[name]

        writes = gained("sentinel_sink_write_seconds_count")
        return Sinking(
            round(gained("sentinel_sink_documents_total") / seconds, 1),
            int(writes),
            round(1000 * gained("sentinel_sink_write_seconds_sum") / max(writes, 1), 1),
            int(after["sentinel_sink_lag"]),
        )
