"""Whether decoded telemetry makes sense: what an Avro schema cannot say."""

from collections.abc import Iterator
from typing import Final

import polars as pl

from schemas.bounds import (
    MAX_COST_NANO,
    MAX_DURATION_US,
    MAX_EVENT_TIME,
    MAX_ID_BYTES,
    MAX_RETRIES,
    MAX_TOKENS,
    MIN_EVENT_TIME,
)
from schemas.errors import BadRecord, Reason
from schemas.records.telemetry import Operation, Status

_TOO_EARLY: Final = "before 2000: seconds or milliseconds where microseconds belong?"
_TOO_LATE: Final = "after 2099: nanoseconds where microseconds belong?"

RANGES: Final = (
    ("event_time", MIN_EVENT_TIME, MAX_EVENT_TIME),
    ("operation", 0, len(Operation) - 1),
    ("status", 0, len(Status) - 1),
    ("latency_us", 0, MAX_DURATION_US),
    ("time_to_first_token_us", 0, MAX_DURATION_US),
    ("prompt_tokens", 0, MAX_TOKENS),
    ("completion_tokens", 0, MAX_TOKENS),
    ("cached_tokens", 0, MAX_TOKENS),
    ("reasoning_tokens", 0, MAX_TOKENS),
    ("cost_nano", 0, MAX_COST_NANO),
    ("time_per_output_token_us", 0, MAX_DURATION_US),
    ("queue_time_us", 0, MAX_DURATION_US),
    ("http_status", 0, 999),
    ("retries", 0, MAX_RETRIES),
)
"""Columns of whole numbers with the least and the most that each may hold."""

TEXTS: Final = (("event_id", 1), ("tenant", 1), ("application", 1), ("model", 1), ("user", 0))
"""Columns of ids with the fewest bytes that each may have."""

NUMBERS: Final = (("quality", "value"), ("security", "score"), ("features", "value"))
"""Columns of lists, each with the part of its items that must be a finite number."""

_SIZES: Final = {
    **{name: pl.col(name).str.len_bytes() for name, _ in TEXTS},
    **{name: pl.col(name).list.len() for name, _ in NUMBERS},
}
"""Asked for at once: each question to polars costs tens of microseconds, however few rows there
are.
"""

CHECKED: Final = frozenset(column for column, *_ in (*RANGES, *TEXTS, *NUMBERS))
"""The columns that are looked at. A record is judged by all of them, whichever of them its reader
wants.
"""


def check(frame: pl.DataFrame) -> list[tuple[int, BadRecord]]:
    """The rows that make no sense, in order, each with one thing that is wrong with it: texts
    before whole numbers before lists, and among them in the order of the tables above.

    `frame` has the columns `CHECKED`, in the dtypes of `schemas.telemetry.avro_blocks.dtypes`. Null
    is never wrong. Costs a look at each column's least and largest value as long as these are as
    they should be.
    """
    bad: dict[int, BadRecord] = {}
    for rows, error in _suspects(frame):
        for row in rows.arg_true().to_list():
            bad.setdefault(row, error)
    return sorted(bad.items())


def _suspects(frame: pl.DataFrame) -> Iterator[tuple[pl.Series, BadRecord]]:
    """Masks of bad rows, each with what is wrong with these."""
    # Asked for once: each look for a column by its name costs a microsecond or two.
    columns = {column.name: column for column in frame.get_columns()}
    sizes = {column.name: column for column in frame.select_seq(_SIZES.values()).get_columns()}
    for name, fewest in TEXTS:
        size = sizes[name]
        if _outside(size, fewest, MAX_ID_BYTES):
            yield size < fewest, BadRecord(Reason.BLANK, name)
            yield size > MAX_ID_BYTES, BadRecord(Reason.TOO_LONG, name)
    for name, least, most in RANGES:
        column = columns[name]
        if _outside(column, least, most):
            below, above = (
                ("negative", "too large") if name != "event_time" else (_TOO_EARLY, _TOO_LATE)
            )
            yield column < least, BadRecord(Reason.OUT_OF_RANGE, name, detail=below)
            yield column > most, BadRecord(Reason.OUT_OF_RANGE, name, detail=above)
    for name, part in NUMBERS:
        if sizes[name].max():
            yield _infinite(columns[name], part), BadRecord(Reason.NOT_FINITE, f"{name}.{part}")


def _outside(column: pl.Series, least: int, most: int) -> bool:
    """Whether any number is not between these; nulls are between any."""
    smallest, largest = column.min(), column.max()
    return (
        isinstance(smallest, int)
        and isinstance(largest, int)
        and (smallest < least or largest > most)
    )


def _infinite(lists: pl.Series, part: str) -> pl.Series:
    """Rows whose list holds a number that is not finite."""
    numbers = lists.to_frame().select(
        pl.col(lists.name).list.eval(~pl.element().struct.field(part).is_finite()).list.any()
    )
    return numbers.to_series().fill_null(value=False)
