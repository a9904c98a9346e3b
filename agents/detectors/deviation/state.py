"""What is remembered of a series between buckets, laid out by what changes together: a flush writes
the tables that changed.

The records are those of judge.c, field by field. Numbers are kept in single precision: they are
estimates.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from agents.detectors.contract import Kind, Signal
from agents.detectors.deviation.measures import MEASURES, METRIC_OF, METRICS, SIZES
from streams.state.tables import Row, Table, TableSpec

_SIZES: Final = len(SIZES)
_MEASURES: Final = len(MEASURES)
_GROUPS: Final = _SIZES + 2
"""Measures that are learnt apart; calls above and below are learnt together."""

BLOCK: Final = np.dtype(
    [
        ("n", "<f4", (_SIZES,)),
        ("x", "<f4", (_SIZES,)),
        ("calls", "<f4"),
        ("failures", "<f4"),
        ("attempts", "<f4"),
        ("buckets", "<f4"),
    ]
)
"""Sums over 1, 4, 16, 64 or 256 buckets. `n` and `x`: successful calls that have the size, and
their logarithms; `calls` in `buckets`; `failures` of `attempts`. Anomalies that are
over are taken out, of each measure apart.
"""

REFERENCE: Final = np.dtype(
    [(name, "<f4", (_SIZES,)) for name in ("centre", "weight", "known", "spread", "windows")]
    + [(name, "<f4", (2,)) for name in ("seen", "exposure", "excess", "informed", "learnt")]
)
"""What is usual. Of sizes: mean logarithm, its weight, calls behind it, variance of the level in a
window, windows behind that. Of failures and of calls: how many were seen in how many calls or
buckets, relative excess variance, windows behind that, windows learnt.
"""

NOW: Final = np.dtype(
    [
        ("stamp", "<u4"),
        ("age", "<u4"),
        ("ring", BLOCK, (4,)),
        ("references", REFERENCE, (2,)),
        ("variance", "<f4", (_SIZES,)),
        ("variance_n", "<f4", (_SIZES,)),
        ("mean", "<f4", (_SIZES,)),
        ("mean_n", "<f4", (_SIZES,)),
        ("top", "<f4", (_MEASURES,)),
        ("since", "<u4", (_MEASURES,)),
        ("tainted", "<u4", (_GROUPS,)),
        ("disturbed", "<u2"),
        ("by", "<u1", (_MEASURES,)),
        ("unknown", "<u1", (_SIZES,)),
        ("spare", "<u1", (3,)),
    ]
)
"""What every bucket changes. `stamp`: one more than the newest bucket judged; `age`: buckets
judged; `variance` of one call's logarithm; `mean` over days; `top`: largest score of this hour;
`since`: one more than the bucket in which the present anomaly began, moved on by buckets without
data, 0 for none; `tainted`: bits of the blocks in which an anomaly was; `disturbed`: measures that
were anomalous in this hour; `by`: the reference that found the anomaly; `unknown`: buckets with
calls since the newest that had the size, while it is anomalous.
"""

_MINUTES: Final = np.dtype([("ring", BLOCK, (4,)), ("references", REFERENCE, (2,))])
_LONGER: Final = np.dtype([("ring", BLOCK, (4,)), ("references", REFERENCE, (1,))])
_TAILS: Final = np.dtype(
    [(name, "<f4", (_MEASURES,)) for name in ("place", "excess", "hours", "habit")]
)
"""Gumbel laws of the hourly largest scores, hours behind them, and what bursts did to thresholds.
"""

SPECS: Final = (
    TableSpec("deviation-now", NOW),
    TableSpec("deviation-4", _MINUTES),
    TableSpec("deviation-16", _LONGER),
    TableSpec("deviation-64", _LONGER),
    TableSpec("deviation-256", _LONGER),
    TableSpec("deviation-tails", _TAILS),
)
"""In the order in which the judge is given them; named by the buckets of a block."""

_FORMER_REALS: Final = 9 * len(METRICS)
FORMER: Final = TableSpec(
    "deviation",
    np.dtype(
        [
            ("reals", "<f4", (_FORMER_REALS,)),
            ("since", "<u4", (len(METRICS),)),
            ("told", "<u4", (len(METRICS),)),
            ("taken", "<u4", (len(METRICS),)),
            ("unknown", "<u1", (4,)),
        ]
    ),
    version=3,
)
"""State of version 1 of the detector, whose open signals are retired."""

TABLES: Final[Sequence[tuple[Kind, TableSpec]]] = tuple(
    (Kind.SERIES, spec) for spec in (*SPECS, FORMER)
)


def opened(rows: Row) -> npt.NDArray[np.bool_]:
    """Where a signal is open, shape (n, metrics), of rows of `NOW`."""
    measures = np.asarray(rows["since"] > 0)
    out = np.zeros((len(rows), len(METRICS)), bool)
    for measure, metric in enumerate(METRIC_OF.tolist()):
        out[:, metric] |= measures[:, measure]
    return out


def retire(former: Table) -> list[Signal]:
    """The signals that version 1 left open, in row order; empties its table, of whose pages only
    tombstones are left.
    """
    rows = former.rows
    is_open = (rows["since"] > 0) | (rows["taken"] > 0)
    signals = [
        Signal(Kind.SERIES, row, METRICS[metric]) for row, metric in np.argwhere(is_open).tolist()
    ]
    used = rows.view(np.uint8).reshape(len(rows), -1).any(axis=1)
    former.clear(np.flatnonzero(used))
    return signals
