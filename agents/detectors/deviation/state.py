"""What is remembered of a series between buckets, and what one bucket says about it, as arrays over
metrics and subjects.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from agents.detectors.contract import Closed, Float64s, Int64s
from agents.detectors.deviation.charts import Charts
from streams.state.sketch import MIDDLES
from streams.state.tables import Row, Table, TableSpec

METRICS: Final = ("latency", "time_to_first_token", "tokens", "cost", "error_rate", "request_rate")
SIZES: Final = slice(0, 4)
_SIZE_COUNT: Final = 4
SHARE: Final = 4
COUNT: Final = 5

_WEIGHED_TOGETHER: Final = 128

UInt32s = npt.NDArray[np.uint32]

_REALS: Final = (
    "learnt",
    "centre",
    "spread",
    "drift",
    "fast",
    "slow",
    "fast_variance",
    "slow_variance",
    "usual",
)
_STAMPS: Final = ("since", "told", "taken")

_ROW_2: Final = np.dtype(
    [(name, "<f4", (len(METRICS),)) for name in _REALS]
    + [(name, "<u4", (len(METRICS),)) for name in _STAMPS]
)

ROW: Final = np.dtype(
    [*((name, _ROW_2[name]) for name in (*_REALS, *_STAMPS)), ("unknown", "<u1", (_SIZE_COUNT,))]
)
"""State of a series, single precision: a row costs 292 bytes on the topic at every change, and its
numbers are estimates. By metric:

`learnt`: buckets behind the estimates, at most the memory; `centre`: what is usual (logarithm of a
size; share; requests per bucket); `spread`: its noise as `residuals` has it; `drift`: mean of the
effect with the slow chart's weight; charts as `charts` has them; `since` and `told`: one more than
the bucket in which the present anomaly began and was last told, 0 for none; `since` moves on by the
buckets in which there was no data, so that only data makes an anomaly last. `usual` and `taken`:
the centre before a lasting level was taken as the new one, and one more than the bucket in which
that was; 0 for none.

`unknown`, of the sizes, while their signal is open: as of the newest bucket with requests, the
buckets since the newest that said something of the metric, at most 255.
"""

_ROW_1: Final = np.dtype(
    [(name, "<f4", (len(METRICS),)) for name in _REALS[:-1]]
    + [(name, "<u4", (len(METRICS),)) for name in _STAMPS[:-1]]
)


def _into(dtype: np.dtype[np.void]) -> Callable[[Row], Row]:
    def migrated(rows: Row) -> Row:
        made: Row = np.zeros(len(rows), dtype)
        for name in rows.dtype.names or ():
            made[name] = rows[name]
        return made

    return migrated


TABLE: Final = TableSpec(
    "deviation", ROW, version=3, migrations={1: (_ROW_1, _into(_ROW_2)), 2: (_ROW_2, _into(ROW))}
)
"""Version 1 had no `usual` and `taken`, version 2 no `unknown`."""

_WORDS: Final = ROW.itemsize // 4
_SPLIT: Final = len(_REALS) * len(METRICS)
_LAST: Final = _WORDS - 1
"""The word that has `unknown`, a byte for each size."""

_MOST_UNKNOWN: Final = 255

_OCTAVE: Final = 1 << 16
_BIN_WEIGHTS: Final = np.stack([np.ones(len(MIDDLES)), np.rint(np.log2(MIDDLES) * _OCTAVE)], axis=1)
"""Counts one, and the logarithm of a bin's middle in whole 1/65536 octaves: sums of whole numbers
are exact in any order (up to four billion requests), so that neither the order of a matrix product
nor its blocks can show.
"""


@dataclass(slots=True)
class SeriesState:
    """State of n series in double precision; arrays of shape (metrics, n), of `unknown` (4, n)."""

    learnt: Float64s
    centre: Float64s
    spread: Float64s
    drift: Float64s
    fast: Float64s
    slow: Float64s
    fast_variance: Float64s
    slow_variance: Float64s
    usual: Float64s
    since: Int64s
    told: Int64s
    taken: Int64s
    unknown: Int64s

    @property
    def charts(self) -> Charts:
        """The control charts alone."""
        return Charts(self.fast, self.slow, self.fast_variance, self.slow_variance)


def read(table: Table, rows: Int64s) -> SeriesState:
    """The state of these rows."""
    words = table.rows.view(np.uint32).reshape(-1, _WORDS)[rows]
    shape = (-1, len(METRICS), len(rows))
    reals = words[:, :_SPLIT].view(np.float32).T.astype(np.float64, order="C").reshape(shape)
    stamps = words[:, _SPLIT:_LAST].T.astype(np.int64, order="C").reshape(shape)
    unknown = np.zeros((_SIZE_COUNT, len(rows)), np.int64)
    if words[:, _LAST].any():
        unknown[:] = words.view(np.uint8)[:, 4 * _LAST :].T
    return SeriesState(*[*reals, *stamps, unknown])


def write(table: Table, rows: Int64s, state: SeriesState) -> None:
    """Puts the state back, rounded to single precision."""
    words = np.empty((len(rows), _WORDS), np.uint32)
    reals = words[:, :_SPLIT].view(np.float32)
    for place, name in enumerate((*_REALS, *_STAMPS)):
        columns = slice(place * len(METRICS), (place + 1) * len(METRICS))
        target = reals if place < len(_REALS) else words
        target[:, columns] = getattr(state, name).T
    words[:, _LAST] = 0
    if state.unknown.any():
        words.view(np.uint8)[:, 4 * _LAST :] = np.minimum(state.unknown, _MOST_UNKNOWN).T
    table.rows.view(np.uint32).reshape(-1, _WORDS)[rows] = words
    table.touch(rows)


@dataclass(frozen=True, slots=True)
class Bucket:
    """What one bucket says of n series; arrays of shape (metrics, n), NaN where it says nothing."""

    values: Float64s
    """Logarithm of the geometric mean (latency and time to first token, µs, within the sketch's
    relative error for each request) or of the mean (tokens, cost in 1e-9 of a currency unit) of a
    request; share of failed requests; requests.
    """

    requests: Float64s
    """Requests that the value is made of; at least 1 but for the last metric, where it is the
    value.
    """

    known: npt.NDArray[np.bool_]
    """Where the bucket says something."""


def bucket_of(closed: Closed, part: Int64s | slice) -> Bucket:
    """Of these of the bucket's subjects, by index. No tokens at all and no cost at all count as not
    measured.
    """
    requests = closed.numbers["requests"][part].astype(np.float64)
    tokens = closed.numbers["prompt_tokens"][part] + closed.numbers["completion_tokens"][
        part
    ].astype(np.float64)
    cost = closed.numbers["cost_nano"][part].astype(np.float64)
    latency, first = (
        _weighed(closed.sketches[name][part]) for name in ("latency_us", "time_to_first_token_us")
    )
    counts = np.stack([latency[:, 0], first[:, 0], requests, requests, requests, requests])
    known = counts > 0
    known[2] &= tokens > 0
    known[3] &= cost > 0
    known[COUNT] = True
    counts[:COUNT] = np.maximum(counts[:COUNT], 1.0)
    values = np.empty_like(counts)
    unit = np.log(2.0) / _OCTAVE
    values[0] = latency[:, 1] * unit / counts[0]
    values[1] = first[:, 1] * unit / counts[1]
    values[2] = np.log(np.maximum(tokens, 1.0) / counts[2])
    values[3] = np.log(np.maximum(cost, 1.0) / counts[3])
    values[SHARE] = closed.numbers["errors"][part] / counts[SHARE]
    values[COUNT] = requests
    values[~known] = np.nan
    return Bucket(values, counts, known)


def _weighed(sketches: UInt32s) -> Float64s:
    """Requests, and the sum of their logarithms in 1/65536 octaves; shape (n, 2)."""
    out = np.empty((len(sketches), 2))
    # By pieces small enough to come from the allocator's cache: fresh pages for the doubles would
    # cost more than the product.
    for start in range(0, len(sketches), _WEIGHED_TOGETHER):
        part = slice(start, start + _WEIGHED_TOGETHER)
        np.matmul(sketches[part].astype(np.float64), _BIN_WEIGHTS, out=out[part])
    return out


def in_units(values: Float64s, bucket_s: float) -> Float64s:
    """Values as people and aggregates have them: µs, tokens and 1e-9 of a currency unit per
    request, share, requests per second.
    """
    out = np.empty_like(values)
    out[SIZES] = np.exp(values[SIZES])
    out[SHARE] = values[SHARE]
    out[COUNT] = values[COUNT] / bucket_s
    return out


def asleep(table: Table, rows: Int64s, requests: Int64s, least: float) -> npt.NDArray[np.bool_]:
    """Subjects without a request of which fewer than `least` per bucket are expected, and no
    anomaly is open in that: nothing to do.
    """
    silent = np.flatnonzero(requests == 0)
    out = np.zeros(len(rows), bool)
    at = rows[silent]
    out[silent] = (table.rows["centre"][at, COUNT] < least) & (table.rows["since"][at, COUNT] == 0)
    return out


def has_unknown(table: Table, rows: Int64s) -> npt.NDArray[np.bool_]:
    """Where an open signal's metric was unknown in the newest bucket with requests; shape (n,)."""
    return np.asarray(table.rows.view(np.uint32).reshape(-1, _WORDS)[rows, _LAST] > 0)


def opened(rows: Row) -> npt.NDArray[np.bool_]:
    """Where a signal is open, shape (n, metrics): an anomaly lasts, or a level was taken as new and
    the old one is remembered.
    """
    return np.asarray((rows["since"] > 0) | (rows["taken"] > 0))
