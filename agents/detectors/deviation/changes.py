"""What became of signals of series, and why, in a sentence."""

import numpy as np
import numpy.typing as npt

from agents.detectors.contract import Change, Closed, Int64s, Kind, Signal
from agents.detectors.deviation.measures import ABOVE, METRIC_OF, METRICS
from agents.detectors.deviation.state import opened
from schemas.records.anomalies import SignalStatus
from schemas.units import quantity
from streams.state.tables import Row

Bools = npt.NDArray[np.bool_]


def ended(
    closed: Closed, row: int, metric: int, seen: float, usual: float, *, adopted: bool
) -> Change:
    """The signal is over; `seen` and `usual` are those of the bucket, in the metric's unit, NaN
    where nothing is known.
    """
    name = METRICS[metric]
    now = f"{quantity(name, seen)} against {quantity(name, usual)}" if seen == seen else ""
    if adopted:
        reason = f"{name} has stayed where it is: that is its new level, and what is usual from now"
    elif usual == usual and now:
        reason = f"{name} is normal again: {now}"
    else:
        reason = f"{name} is normal again"
    # What stays as it is was not resolved: its incident is closed.
    status = SignalStatus.RETIRED if adopted else SignalStatus.NORMAL
    return Change(Signal(Kind.SERIES, row, name), status, reason)


def no_data(closed: Closed, places: Int64s, states: Row, buckets: int) -> list[Change]:
    """Open signals of which nothing was known for `buckets`, since the series had no event or its
    events no such metric, and those that began after as many: each is reported once. `places` are
    those of the bucket's rows that have an open signal, `states` their rows of `state.NOW`, after
    the bucket.
    """
    stamp, width = closed.bucket + 1, closed.end - closed.start
    seen = closed.seen_before[places]
    is_silent = (seen > 0) & (closed.numbers["requests"][places] == 0)
    gap = np.where(is_silent, stamp - seen, 0)
    unknown = _unknown(states, gap)
    begun = (gap >= buckets)[:, None] & _begun(states, stamp)
    made = []
    due = opened(states) & ((unknown == buckets) | begun)
    for place, metric in np.argwhere(due).tolist():
        since = (stamp - int(unknown[place, metric])) * width
        signal = Signal(Kind.SERIES, int(closed.rows[places[place]]), METRICS[metric])
        made.append(Change(signal, SignalStatus.NO_DATA, f"no data of {METRICS[metric]}", since))
    return made


def _unknown(states: Row, gap: Int64s) -> Int64s:
    """Buckets since something was known of each metric, shape (n, metrics)."""
    out = np.repeat(gap[:, None], len(METRICS), axis=1)
    for size in range(states["unknown"].shape[1]):
        metric = METRIC_OF[size]
        out[:, metric] = np.maximum(out[:, metric], gap + states["unknown"][:, size])
    return out


def _begun(states: Row, stamp: int) -> Bools:
    """Signals that began in this bucket; only those of traffic can without data."""
    out = np.zeros((len(states), len(METRICS)), bool)
    out[:, METRICS.index("request_rate")] = (states["since"][:, ABOVE:] == stamp).any(axis=1)
    return out
