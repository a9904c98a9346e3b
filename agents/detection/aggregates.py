"""Closed buckets as `Aggregate` records."""

from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from agents.detectors.contract import Bands, Closed
from schemas.aggregates import aggregate_bodies, bucket_part, subject_prefix
from streams.sketch import quantiles
from streams.subjects import Subjects

Float64s = npt.NDArray[np.float64]

METRICS: Final = ("latency", "time_to_first_token", "tokens", "cost", "error_rate", "request_rate")
"""Metrics with a band, in the order of the schema."""

_PLAIN: Final = 13
"""Numbers of an aggregate before the bands."""


def aggregate_records(
    topic: str, closed: Closed, bands: Bands | None, subjects: Subjects, version: str
) -> list[tuple[str, bytes, list[bytes]]]:
    """A record for each series that had an event in the bucket: (topic, key, values) by application, in the order of names."""
    present = np.flatnonzero(closed.numbers["requests"])
    if not len(present):
        return []
    notes = subjects.notes
    prefixes = [notes.get(row) or _prefix(subjects, row) for row in closed.rows[present].tolist()]
    bodies = aggregate_bodies(
        [prefix for _, prefix in prefixes],
        bucket_part(closed.start, closed.end, version),
        _doubles(closed, bands, present),
    )
    # The series of an application stand together, since names are sorted.
    starts = np.flatnonzero(np.diff(closed.applications[present], prepend=-1)).tolist()
    return [(topic, prefixes[first][0], bodies[first:end]) for first, end in pairwise([*starts, len(bodies)])]


def _prefix(subjects: Subjects, row: int) -> tuple[bytes, bytes]:
    """Key and encoded names of a series; kept in `notes`."""
    tenant, application, model = subjects.name(row)
    made = subjects.notes[row] = (f"{tenant}/{application}".encode(), subject_prefix(tenant, application, model))
    return made


def _doubles(closed: Closed, bands: Bands | None, present: npt.NDArray[np.int64]) -> Float64s:
    numbers = {name: column[present] for name, column in closed.numbers.items()}
    out = np.full((len(present), _PLAIN + 4 * len(METRICS)), np.nan)
    latency = quantiles(closed.sketches["latency_us"][present], (0.5, 0.95, 0.99))
    first_token = quantiles(closed.sketches["time_to_first_token_us"][present], (0.5, 0.95))
    for column, values in enumerate(
        (
            numbers["requests"],
            numbers["errors"],
            numbers["latency_us"],
            numbers["latency_max_us"],
            *latency.T,
            numbers["first_tokens"],
            *first_token.T,
            numbers["prompt_tokens"],
            numbers["completion_tokens"],
            numbers["cost_nano"],
        )
    ):
        out[:, column] = values
    if bands is not None:
        order = [bands.metrics.index(metric) for metric in METRICS]
        stacked = (bands.observed, bands.expected, bands.low, bands.high)
        for place, values in enumerate(stacked):
            out[:, _PLAIN + place :: 4] = values[present][:, order]
    return out
