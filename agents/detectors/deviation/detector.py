"""A robust deviation score at close: each series against its own past, steps within two or three
buckets and drifts within minutes.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from agents.detectors.contract import (
    Bands,
    Change,
    Closed,
    Finding,
    Int64s,
    Kind,
    Signal,
    Tables,
    Verdicts,
)
from agents.detectors.deviation.changes import changes, no_data
from agents.detectors.deviation.findings import finding, recomputed
from agents.detectors.deviation.judging import Judged, judged
from agents.detectors.deviation.learning import learning
from agents.detectors.deviation.levels import gates
from agents.detectors.deviation.state import (
    COUNT,
    METRICS,
    SHARE,
    SIZES,
    TABLE,
    Bucket,
    SeriesState,
    asleep,
    bucket_of,
    in_units,
    opened,
    read,
    write,
)
from agents.detectors.settings import Deviation
from streams.state.tables import TableSpec

_SUBJECTS: Final = 2048
"""Subjects judged together: an array of six metrics stays under the 128 kB from which the allocator
asks the system for fresh pages, which at twice the size cost three times the rest. No result
depends on it.
"""

_SLEEP_RATE: Final = 0.02
"""Requests per bucket under which a silent series is left alone."""


class DeviationDetector:
    """Latency, time to first token, tokens, cost (each per request), error rate and request rate of
    every series.

    A metric is anomalous from the bucket in which one of its two control charts (`charts`) reaches
    the threshold and the change itself is worth telling: that of the bucket for the fast chart, its
    mean over about ten buckets for the slow one. It stays so until both are under half of that, and
    is told at the start and then every `repeat_buckets`. Meanwhile nothing is learnt, so that the
    anomaly stays one; its end is a change. A level that stays is taken as the new one, and its
    signal ends when the old one is back (`series_levels`).

    A bucket without requests says nothing about metrics other than the request rate: they stay as
    they were. There is no score before `least_buckets` buckets with data. The score is that of the
    chart that speaks, in its standard deviations. The confidence is 1 - 4/(9 score²): whatever the
    noise, if it has one mode, no more than the rest is chance (`scores.confidence`).

    The verdict on a series depends on its own buckets alone.
    """

    name = "deviation"
    version = 1
    kind = Kind.SERIES
    bands: tuple[str, ...] = METRICS
    tables: Sequence[tuple[Kind, TableSpec]] = ((Kind.SERIES, TABLE),)

    def __init__(self, settings: Deviation, no_data_buckets: int = 18) -> None:
        self._settings, self._no_data_buckets = settings, no_data_buckets
        self._gates = gates(settings.least_change)[:, 0].tolist()

    def at_close(self, tables: Tables, closed: Closed) -> Verdicts:
        """Findings in the order of rows, then of metrics."""
        if not self._settings.enabled or not len(closed.rows):
            return Verdicts(())
        table = tables["deviation"]
        table.reserve(int(closed.rows.max()) + 1)
        awake = np.flatnonzero(~asleep(table, closed.rows, closed.numbers["requests"], _SLEEP_RATE))
        observed, expected, low, high = (
            np.full((len(closed.rows), len(METRICS)), np.nan) for _ in range(4)
        )
        bands = Bands(METRICS, observed, expected, low, high)
        findings: list[Finding] = []
        told: list[Change] = []
        for start in range(0, len(awake), _SUBJECTS):
            stop = min(start + _SUBJECTS, len(awake))
            part = slice(start, stop) if len(awake) == len(closed.rows) else awake[start:stop]
            rows = closed.rows[part]
            before = read(table, rows)
            bucket = bucket_of(closed, part)
            verdict = judged(
                before, bucket, closed.bucket + 1, closed.seen_before[part], self._settings
            )
            self._draw(bands, part, before, bucket, verdict, (closed.end - closed.start) / 1e6)
            for subject, metric in np.argwhere(verdict.telling.T).tolist():
                at, gate = (metric, subject), self._gates[metric]
                findings.append(
                    finding(closed, int(rows[subject]), at, before, bucket, verdict, gate)
                )
            told += changes(closed, rows, before, bucket, verdict)
            memory = self._settings.memory_buckets
            write(
                table,
                rows,
                learning(
                    verdict.state,
                    bucket,
                    verdict.residual,
                    verdict.variance,
                    verdict.lesson,
                    memory,
                ),
            )
        return Verdicts(findings, bands, told + no_data(table, closed, self._no_data_buckets))

    def watched(self, tables: Tables) -> Int64s:
        """Rows with an open signal."""
        return np.flatnonzero(opened(tables["deviation"].rows).any(axis=1))

    def open_signals(self, tables: Tables, rows: Int64s | None = None) -> Sequence[Signal]:
        """Anomalies that last, and new levels while the old one is remembered."""
        table = tables["deviation"].rows
        chosen = np.arange(len(table)) if rows is None else rows[rows < len(table)]
        return [
            Signal(Kind.SERIES, int(chosen[place]), METRICS[metric])
            for place, metric in np.argwhere(opened(table[chosen])).tolist()
        ]

    def judges(self, signal: Signal, name: tuple[str, ...]) -> bool:
        """Whether the metric is judged at all."""
        return self._settings.enabled and bool(
            np.isfinite(self._gates[METRICS.index(signal.metric)])
        )

    def forget(self, tables: Tables, signals: Sequence[Signal]) -> None:
        """What is learnt stays; that the signals are open does not."""
        table = tables["deviation"]
        for signal in signals:
            for name in ("since", "told", "taken", "usual"):
                table.rows[name][signal.row, METRICS.index(signal.metric)] = 0
            table.touch(np.array([signal.row]))

    def recompute(self, metric: str, evidence: Mapping[str, float]) -> float:
        """The score from the bucket's value and what was usual before it."""
        return recomputed(metric, evidence)

    def _draw(
        self,
        bands: Bands,
        part: Int64s | slice,
        before: SeriesState,
        bucket: Bucket,
        verdict: Judged,
        bucket_s: float,
    ) -> None:
        """Fills in the bands: between `low` and `high` a bucket of so many requests is within the
        threshold.
        """
        wide = self._settings.threshold
        centre = np.where(before.learnt >= self._settings.least_buckets, before.centre, np.nan)
        share, rate = np.clip(before.centre[SHARE], 0.0, 1.0), before.centre[COUNT]
        variance = np.empty_like(centre)
        variance[SIZES] = verdict.variance
        variance[SHARE] = (
            share * (1 - share) * np.maximum(before.spread[SHARE], 1.0) / bucket.requests[SHARE]
        )
        variance[COUNT] = rate + np.maximum(before.spread[COUNT], 0.0) * rate * rate
        reach = np.where(bucket.known, wide * np.sqrt(variance), np.nan)
        low, high = centre - reach, centre + reach
        low[SHARE:] = np.maximum(low[SHARE:], 0.0)
        high[SHARE] = np.minimum(high[SHARE], 1.0)
        bands.observed[part] = in_units(bucket.values, bucket_s).T
        bands.expected[part] = in_units(centre, bucket_s).T
        bands.low[part] = in_units(low, bucket_s).T
        bands.high[part] = in_units(high, bucket_s).T
