"""What became of signals of series, and why, in a sentence."""

import numpy as np

from agents.detectors.contract import Change, Closed, Int64s, Kind, Signal
from agents.detectors.deviation.findings import told
from agents.detectors.deviation.judging import Judged
from agents.detectors.deviation.state import (
    METRICS,
    SIZES,
    Bucket,
    SeriesState,
    has_unknown,
    opened,
)
from schemas.records.anomalies import SignalStatus
from schemas.units import quantity
from streams.state.tables import Table


def changes(
    closed: Closed, rows: Int64s, before: SeriesState, bucket: Bucket, judged: Judged
) -> list[Change]:
    """Signals that a bucket ended, and levels that it made the new ones; in the order of rows, then
    of metrics.
    """
    bucket_s = (closed.end - closed.start) / 1e6
    made = []
    for subject, metric in np.argwhere((judged.normal | judged.level).T).tolist():
        at = (metric, subject)
        name, taken = METRICS[metric], int(before.taken[at])
        seen = quantity(name, told(metric, float(bucket.values[at]), bucket_s))
        level = float(before.usual[at]) if taken else float(before.centre[at])
        usual = quantity(name, told(metric, level, bucket_s))
        if judged.level[at]:
            status = SignalStatus.NEW_LEVEL
            reason = (
                f"{name} is still so, at {seen} where {usual} was usual; taken as the new level"
            )
        elif taken and not judged.back[at]:
            status, days = (
                SignalStatus.NORMAL,
                (closed.end - taken * (closed.end - closed.start)) / 86_400e6,
            )
            reason = f"{name} has been at its new level for {days:.3g} days: that is what is usual"
        else:
            status, reason = SignalStatus.NORMAL, f"{name} is normal again: {seen} against {usual}"
        made.append(Change(Signal(Kind.SERIES, int(rows[subject]), name), status, reason))
    return made


def no_data(table: Table, closed: Closed, buckets: int) -> list[Change]:
    """Open signals of which nothing was known for so many buckets, since the series had no event or
    its events no such metric, and those that began after as many: each is told once.
    """
    stamp, width = closed.bucket + 1, closed.end - closed.start
    is_silent = (closed.seen_before > 0) & (closed.numbers["requests"] == 0)
    gap = np.where(is_silent, stamp - closed.seen_before, 0)
    places = np.flatnonzero((gap >= buckets) | has_unknown(table, closed.rows))
    if not len(places):
        return []
    rows = table.rows[closed.rows[places]]
    unknown = np.repeat(gap[places][:, None], len(METRICS), axis=1)
    unknown[:, SIZES] += rows["unknown"]
    begun = (gap[places] >= buckets)[:, None] & (rows["since"] == stamp)
    made = []
    for place, metric in np.argwhere(opened(rows) & ((unknown == buckets) | begun)).tolist():
        since = (stamp - int(unknown[place, metric])) * width
        signal = Signal(Kind.SERIES, int(closed.rows[places[place]]), METRICS[metric])
        made.append(Change(signal, SignalStatus.NO_DATA, f"no data of {METRICS[metric]}", since))
    return made
