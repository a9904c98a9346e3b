"""Each series against its own past: from one bucket to hours, steps and drifts, at a rate of false
alarms that is a setting.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from agents.detectors.contract import (
    Bands,
    Change,
    Closed,
    Finding,
    Float64s,
    Int64s,
    Kind,
    Signal,
    Tables,
    Verdicts,
)
from agents.detectors.deviation.changes import ended, no_data
from agents.detectors.deviation.findings import finding, recomputed
from agents.detectors.deviation.law import rarity
from agents.detectors.deviation.measures import (
    LOG_UNIT,
    METRIC_OF,
    METRICS,
    in_units,
    measures_of,
)
from agents.detectors.deviation.native import ACCEPTED, BEGUN, ENDED, INPUT, Judge
from agents.detectors.deviation.state import FORMER, SPECS, TABLES, opened, retire
from agents.detectors.settings import Deviation, LeastChange
from schemas.records.anomalies import SignalStatus
from streams.state.tables import Table, TableSpec

_COUNTED: Final = (
    "success_latency_us",
    "success_first_token_us",
    "success_tokens",
    "success_cost_nano",
    "success_pace",
    "success_price",
)
"""The closed bucket's names of the sizes, in the order of `SIZES`."""


_REPLACED: Final = "judged by version 1 of the detector; version 2 learns what is usual from now on"


class DeviationDetector:
    """Latency, time to first token, tokens and cost of the successful calls, error rate and request
    rate of every series; `judge.c` has the method.

    Only slower, dearer, more tokens and more failures are anomalies; of the request rate both sides
    are. An anomaly is reported when it begins and then every `repeat_buckets` for as long as it
    lasts; meanwhile nothing is learnt of it, so that it stays one. It ends when all windows up to
    the one that found it are ordinary again, or when it has lasted for `give_in_buckets` and
    becomes what is usual. A bucket without calls says nothing about metrics other than the request
    rate: they stay as they were.

    The verdict on a series depends on its own buckets alone, and on how many series its application
    has, which share the false alarms that are acceptable.
    """

    name = "deviation"
    version = 2
    kind = Kind.SERIES
    bands: tuple[str, ...] = METRICS
    tables: Sequence[tuple[Kind, TableSpec]] = TABLES

    def __init__(self, settings: Deviation, no_data_buckets: int = 18) -> None:
        """Raises CannotJudge where the installation has no compiled judge."""
        self._settings, self._no_data_buckets = settings, no_data_buckets
        self._judge = Judge(settings)

    def at_close(self, tables: Tables, closed: Closed) -> Verdicts:
        """Findings in the order of rows, then of metrics."""
        if not self._settings.enabled or not len(closed.rows):
            return Verdicts(())
        for table in tables.values():
            table.reserve(int(closed.rows.max()) + 1)
        own = [tables[spec.name] for spec in SPECS]
        series = np.bincount(closed.applications)[closed.applications]
        rare = rarity(series, self._settings.false_alarms_per_week)
        out = self._judge.close(own, closed.rows, closed.bucket, inputs_of(closed), rare)
        bucket_s = (closed.end - closed.start) / 1e6
        drawn = in_units(out["bands"], bucket_s)
        _put_means(drawn, closed)
        bands = Bands(METRICS, *(drawn[:, :, place] for place in range(4)))
        is_open = out["open"].any(axis=1)
        changed = out["became"].any(axis=1) | is_open
        findings: list[Finding] = []
        ends = [Change(one, SignalStatus.RETIRED, _REPLACED) for one in self._former(tables)]
        for place in np.flatnonzero(changed).tolist():
            for metric in range(len(METRICS)):
                found, end = self._signal(own, closed, out[place], rare, (place, metric), drawn)
                findings += found
                ends += end
        lasting = np.flatnonzero(is_open)
        states = own[0].rows[closed.rows[lasting]]
        ends += no_data(closed, lasting, states, self._no_data_buckets)
        return Verdicts(findings, bands, ends)

    def watched(self, tables: Tables) -> Int64s:
        """Rows with an open signal."""
        return np.flatnonzero(opened(tables[SPECS[0].name].rows).any(axis=1))

    def open_signals(self, tables: Tables, rows: Int64s | None = None) -> Sequence[Signal]:
        """Anomalies that last."""
        table = tables[SPECS[0].name].rows
        chosen = np.arange(len(table)) if rows is None else rows[rows < len(table)]
        return [
            Signal(Kind.SERIES, int(chosen[place]), METRICS[metric])
            for place, metric in np.argwhere(opened(table[chosen])).tolist()
        ]

    def judges(self, signal: Signal, name: tuple[str, ...]) -> bool:
        """Whether the metric is judged at all."""
        change: LeastChange = self._settings.least_change
        return self._settings.enabled and getattr(change, signal.metric) is not None

    def forget(self, tables: Tables, signals: Sequence[Signal]) -> None:
        """What is learnt stays; that the signals are open does not."""
        table = tables[SPECS[0].name]
        for signal in signals:
            for measure in measures_of(signal.metric):
                table.rows["since"][signal.row, measure] = 0
            table.touch(np.array([signal.row]))

    def recompute(self, metric: str, evidence: Mapping[str, float]) -> float:
        """The score from what the window held and what was usual before it."""
        return recomputed(metric, evidence)

    def _former(self, tables: Tables) -> list[Signal]:
        """Signals of version 1 that end now."""
        former = tables[FORMER.name]
        return [] if former.is_empty else retire(former)

    def _signal(
        self,
        tables: Sequence[Table],
        closed: Closed,
        out: npt.NDArray[np.void],
        rare: Float64s,
        at: tuple[int, int],
        drawn: Float64s,
    ) -> tuple[list[Finding], list[Change]]:
        """What the bucket says of one signal: of the metric at[1] of the row at place at[0]."""
        place, metric = at
        mine = np.flatnonzero(metric == METRIC_OF)
        became, is_open = out["became"][mine], out["open"][mine] > 0
        was_open = (is_open & (became != BEGUN)) | (became == ENDED) | (became == ACCEPTED)
        row = int(closed.rows[place])
        if not is_open.any():
            if not was_open.any():
                return [], []
            seen, usual = drawn[place, metric, :2].tolist()
            adopted = bool((became == ACCEPTED).any())
            return [], [ended(closed, row, metric, seen, usual, adopted=adopted)]
        first = not was_open.any()
        if not first and not self._is_due(tables[0], closed, place, mine[is_open]):
            return [], []
        over = out["score"][mine] - out["threshold"][mine]
        measure = int(mine[np.argmax(np.where(is_open, over, -np.inf))])
        numbers = self._judge.numbers(tables, row, closed.bucket, measure, float(rare[place]))
        return [finding(closed, row, measure, numbers, first=first)], []

    def _is_due(self, now: Table, closed: Closed, place: int, measures: Int64s) -> bool:
        """Whether an anomaly that lasts is reported again: now and then, of buckets with data."""
        since = int(now.rows["since"][closed.rows[place], measures].min())
        is_traffic = METRIC_OF[measures[0]] == METRICS.index("request_rate")
        if not is_traffic and int(closed.numbers["requests"][place]) == 0:
            return False
        return (closed.bucket + 1 - since) % self._settings.repeat_buckets == 0


def _put_means(drawn: Float64s, closed: Closed) -> None:
    """What was observed of tokens and cost, in bands of shape (n, metrics, 4): per call, whatever
    became of it, so that it times the calls is what aggregates sum up. None at all counts as not
    measured.
    """
    requests, numbers = np.maximum(closed.numbers["requests"], 1), closed.numbers
    tokens = numbers["prompt_tokens"] + numbers["completion_tokens"]
    for metric, total in (("tokens", tokens), ("cost", numbers["cost_nano"])):
        drawn[:, METRICS.index(metric), 0] = np.where(total > 0, total / requests, np.nan)


def inputs_of(closed: Closed) -> npt.NDArray[np.void]:
    """The bucket as the judge reads it."""
    inputs = np.zeros(len(closed.rows), INPUT)
    for place, name in enumerate(_COUNTED):
        inputs["n"][:, place] = closed.numbers[f"{name}.n"]
        inputs["x"][:, place] = closed.numbers[f"{name}.log"] * LOG_UNIT
        inputs["xx"][:, place] = closed.numbers[f"{name}.log2"] * LOG_UNIT**2
    inputs["calls"], inputs["failures"] = closed.numbers["requests"], closed.numbers["errors"]
    return inputs
