"""What became of signals of series, and why, in a sentence."""

import numpy as np

from agents.detectors.contract import Change, Closed, Int64s, Kind, Signal
from agents.detectors.deviation_findings import told
from agents.detectors.series_judging import Judged
from agents.detectors.series_state import METRICS, Bucket, SeriesState, opened
from schemas.records import SignalStatus
from schemas.units import quantity
from streams.tables import Table


def changes(closed: Closed, rows: Int64s, before: SeriesState, bucket: Bucket, judged: Judged) -> list[Change]:
    """Signals that a bucket ended, and levels that it made the new ones; in the order of rows, then of metrics."""
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
            reason = f"{name} is still so, at {seen} where {usual} was usual; taken as the new level"
        elif taken and not judged.back[at]:
            status, days = SignalStatus.NORMAL, (closed.end - taken * (closed.end - closed.start)) / 86_400e6
            reason = f"{name} has been at its new level for {days:.3g} days: that is what is usual"
        else:
            status, reason = SignalStatus.NORMAL, f"{name} is normal again: {seen} against {usual}"
        made.append(Change(Signal(Kind.SERIES, int(rows[subject]), name), status, reason))
    return made


def no_data(table: Table, closed: Closed, buckets: int) -> list[Change]:
    """Open signals of series that have had no event for so many buckets, and those that began after as many: each is told once."""
    gap = closed.bucket + 1 - closed.seen_before
    places = np.flatnonzero((closed.seen_before > 0) & (closed.numbers["requests"] == 0) & (gap >= buckets))
    if not len(places):
        return []
    width = closed.end - closed.start
    rows = table.rows[closed.rows[places]]
    due = opened(rows) & ((gap[places] == buckets)[:, None] | (rows["since"] == closed.bucket + 1))
    made = []
    for place, metric in np.argwhere(due).tolist():
        since = int(closed.seen_before[places[place]]) * width
        signal = Signal(Kind.SERIES, int(closed.rows[places[place]]), METRICS[metric])
        made.append(Change(signal, SignalStatus.NO_DATA, f"no data of {METRICS[metric]}", since))
    return made
