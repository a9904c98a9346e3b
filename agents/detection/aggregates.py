"""Closed buckets as `Aggregate` records."""

from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from agents.detectors.contract import BAND_METRICS, Bands, Closed
from schemas.records.aggregate_bodies import aggregate_bodies, bucket_part, subject_prefix
from streams.state.sketch import quantiles
from streams.state.subjects import Subjects

Float64s = npt.NDArray[np.float64]

_PLAIN: Final = 13
"""Numbers of an aggregate before the bands."""

_AT_ONCE: Final = 2_048
"""Series whose numbers are encoded at once; nothing else depends on it."""


def aggregate_records(
    topic: str, closed: Closed, bands: Bands | None, subjects: Subjects, version: str, lane: int
) -> list[tuple[str, bytes, list[bytes]]]:
    """A record for each series that had an event in the bucket: (topic, key, values) by
    application, in the order of names.
    """
    present = np.flatnonzero(closed.numbers["requests"])
    if not len(present):
        return []
    notes, rows = subjects.notes, closed.rows[present]
    common, bodies = bucket_part(closed.start, closed.end, version, lane), list[bytes]()
    for first in range(0, len(present), _AT_ONCE):
        prefixes = [
            notes[row] or _prefix(subjects, row) for row in rows[first : first + _AT_ONCE].tolist()
        ]
        bodies += aggregate_bodies(
            prefixes, common, _doubles(closed, bands, present[first : first + _AT_ONCE])
        )
    # The series of an application are neighbours, since names are sorted.
    starts = np.flatnonzero(np.diff(closed.applications[present], prepend=-1)).tolist()
    return [
        (topic, _key(subjects, int(rows[first])), bodies[first:end])
        for first, end in pairwise([*starts, len(bodies)])
    ]


def _key(subjects: Subjects, row: int) -> bytes:
    tenant, application, _ = subjects.name(row)
    return f"{tenant}/{application}".encode()


def _prefix(subjects: Subjects, row: int) -> bytes:
    """Encoded names of a series; kept in `notes`."""
    tenant, application, model = subjects.name(row)
    made = subjects.notes[row] = subject_prefix(tenant, application, model)
    return made


def _doubles(closed: Closed, bands: Bands | None, present: npt.NDArray[np.int64]) -> Float64s:
    numbers = {name: column[present] for name, column in closed.numbers.items()}
    out = np.full((len(present), _PLAIN + 4 * len(BAND_METRICS)), np.nan)
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
        order = [bands.metrics.index(metric) for metric in BAND_METRICS]
        stacked = (bands.observed, bands.expected, bands.low, bands.high)
        for column, values in enumerate(stacked):
            out[:, _PLAIN + column :: 4] = values[present][:, order]
    return out
