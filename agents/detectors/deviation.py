"""A robust deviation score at close: each series against its own past, steps within two or three buckets and drifts within minutes."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from agents.detectors.contract import Bands, Closed, Finding, Int64s, Kind, Tables, Verdicts
from agents.detectors.deviation_findings import finding, recomputed
from agents.detectors.series_judging import Judged, gates, judged
from agents.detectors.series_learning import learning
from agents.detectors.series_state import (
    COUNT,
    METRICS,
    ROW,
    SHARE,
    SIZES,
    Bucket,
    SeriesState,
    asleep,
    bucket_of,
    in_units,
    read,
    write,
)
from agents.detectors.settings import Deviation
from streams.tables import TableSpec

_SUBJECTS: Final = 2048
"""Subjects judged together: an array of six metrics stays under the 128 kB from which the allocator asks the system for fresh pages, which
at twice the size cost three times the rest. No result depends on it."""

_SLEEP_RATE: Final = 0.02
"""Requests per bucket under which a silent series is left alone."""


class DeviationDetector:
    """Latency, time to first token, tokens, cost (each per request), error rate and request rate of every series.

    A metric is anomalous from the bucket in which one of its two control charts (`charts`) reaches the threshold and the change
    itself is worth telling: that of the bucket for the fast chart, its mean over about ten buckets for the slow one. It stays so
    until both are under half of that, and is told at the start and then every `repeat_buckets`. Meanwhile nothing is learnt, so that
    the anomaly stays one; after `give_in_buckets` it is the new normal.

    A bucket without requests says nothing about metrics other than the request rate: they stay as they were. There is no score
    before `least_buckets` buckets with data. The score is that of the chart that speaks, in its standard deviations. The confidence is
    1 - 4/(9 score²): whatever the noise, if it has one mode, no more than the rest is chance (`deviation_findings.confidence`).

    The verdict on a series depends on its own buckets alone.
    """

    name = "deviation"
    version = 1
    kind = Kind.SERIES
    bands: tuple[str, ...] = METRICS
    tables: Sequence[tuple[Kind, TableSpec]] = ((Kind.SERIES, TableSpec("deviation", ROW)),)

    def __init__(self, settings: Deviation) -> None:
        self._settings = settings
        self._gates = gates(settings.least_change)[:, 0].tolist()

    def at_close(self, tables: Tables, closed: Closed) -> Verdicts:
        """Findings in the order of rows, then of metrics."""
        if not self._settings.enabled or not len(closed.rows):
            return Verdicts(())
        table = tables["deviation"]
        table.reserve(int(closed.rows.max()) + 1)
        awake = np.flatnonzero(~asleep(table, closed.rows, closed.numbers["requests"], _SLEEP_RATE))
        observed, expected, low, high = (np.full((len(closed.rows), len(METRICS)), np.nan) for _ in range(4))
        bands = Bands(METRICS, observed, expected, low, high)
        findings: list[Finding] = []
        for start in range(0, len(awake), _SUBJECTS):
            stop = min(start + _SUBJECTS, len(awake))
            part = slice(start, stop) if len(awake) == len(closed.rows) else awake[start:stop]
            rows = closed.rows[part]
            before = read(table, rows)
            bucket = bucket_of(closed, part)
            verdict = judged(before, bucket, closed.bucket + 1, self._settings)
            self._draw(bands, part, before, bucket, verdict, (closed.end - closed.start) / 1e6)
            for subject, metric in np.argwhere(verdict.telling.T).tolist():
                at, gate = (metric, subject), self._gates[metric]
                findings.append(finding(closed, int(rows[subject]), at, before, bucket, verdict, gate))
            memory = self._settings.memory_buckets
            write(
                table,
                rows,
                learning(verdict.state, bucket, verdict.residual, verdict.variance, verdict.lesson, memory),
            )
        return Verdicts(findings, bands)

    def recompute(self, metric: str, evidence: Mapping[str, float]) -> float:
        """The score from the bucket's value and what was usual before it."""
        return recomputed(metric, evidence)

    def _draw(
        self, bands: Bands, part: Int64s | slice, before: SeriesState, bucket: Bucket, verdict: Judged, bucket_s: float
    ) -> None:
        """Fills in the bands: between `low` and `high` a bucket of so many requests is within the threshold."""
        wide = self._settings.threshold
        centre = np.where(before.learnt >= self._settings.least_buckets, before.centre, np.nan)
        share, rate = np.clip(before.centre[SHARE], 0.0, 1.0), before.centre[COUNT]
        variance = np.empty_like(centre)
        variance[SIZES] = verdict.variance
        variance[SHARE] = share * (1 - share) * np.maximum(before.spread[SHARE], 1.0) / bucket.requests[SHARE]
        variance[COUNT] = rate + np.maximum(before.spread[COUNT], 0.0) * rate * rate
        reach = np.where(bucket.known, wide * np.sqrt(variance), np.nan)
        low, high = centre - reach, centre + reach
        low[SHARE:] = np.maximum(low[SHARE:], 0.0)
        high[SHARE] = np.minimum(high[SHARE], 1.0)
        bands.observed[part] = in_units(bucket.values, bucket_s).T
        bands.expected[part] = in_units(centre, bucket_s).T
        bands.low[part] = in_units(low, bucket_s).T
        bands.high[part] = in_units(high, bucket_s).T
