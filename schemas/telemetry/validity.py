"""Validity of decoded telemetry: what an Avro schema cannot express."""

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
"""Columns of whole numbers with their inclusive bounds."""

TEXTS: Final = (("event_id", 1), ("tenant", 1), ("application", 1), ("model", 1), ("user", 0))
"""Columns of ids with their minimum size, bytes."""

NUMBERS: Final = (("quality", "value"), ("security", "score"), ("features", "value"))
"""Columns of lists, each with the field of its items that must be finite."""

_SIZES: Final = {
    **{name: pl.col(name).str.len_bytes() for name, _ in TEXTS},
    **{name: pl.col(name).list.len() for name, _ in NUMBERS},
}
"""Computed in one query: each query of polars costs tens of microseconds, even for a few rows."""

CHECKED: Final = frozenset(column for column, *_ in (*RANGES, *TEXTS, *NUMBERS))
"""The columns that are checked. A record is judged by all of them, whichever its reader requests.
"""


def check(frame: pl.DataFrame) -> list[tuple[int, BadRecord]]:
    """The invalid rows, in order, each with one error: of texts before whole numbers before lists,
    and among them in the order of the tables above.

    `frame` has the columns `CHECKED`, in the dtypes of `schemas.telemetry.avro_blocks.dtypes`. Null
    is always valid. If all rows are valid, this costs the minimum and maximum of each column.
    """
    bad: dict[int, BadRecord] = {}
    for rows, error in _suspects(frame):
        for row in rows.arg_true().to_list():
            bad.setdefault(row, error)
    return sorted(bad.items())


def _suspects(frame: pl.DataFrame) -> Iterator[tuple[pl.Series, BadRecord]]:
    """Masks of bad rows, each with their error."""
    # Looked up once: finding a column by its name costs a microsecond or two.
    columns = {column.name: column for column in frame.get_columns()}
    sizes = {column.name: column for column in frame.select_seq(_SIZES.values()).get_columns()}
    for name, min_size in TEXTS:
        size = sizes[name]
        if _outside(size, min_size, MAX_ID_BYTES):
            yield size < min_size, BadRecord(Reason.BLANK, name)
            yield size > MAX_ID_BYTES, BadRecord(Reason.TOO_LONG, name)
    for name, minimum, maximum in RANGES:
        column = columns[name]
        if _outside(column, minimum, maximum):
            below, above = (
                ("negative", "too large") if name != "event_time" else (_TOO_EARLY, _TOO_LATE)
            )
            yield column < minimum, BadRecord(Reason.OUT_OF_RANGE, name, detail=below)
            yield column > maximum, BadRecord(Reason.OUT_OF_RANGE, name, detail=above)
    for name, part in NUMBERS:
        if sizes[name].max():
            yield _infinite(columns[name], part), BadRecord(Reason.NOT_FINITE, f"{name}.{part}")


def _outside(column: pl.Series, minimum: int, maximum: int) -> bool:
    """Whether any number is out of these inclusive bounds; nulls are within any."""
    # None for a column of nulls only.
    smallest, largest = column.min(), column.max()
    return (
        isinstance(smallest, int)
        and isinstance(largest, int)
        and (smallest < minimum or largest > maximum)
    )


def _infinite(lists: pl.Series, part: str) -> pl.Series:
    """Rows whose list holds a number that is not finite."""
    numbers = lists.to_frame().select(
        pl.col(lists.name).list.eval(~pl.element().struct.field(part).is_finite()).list.any()
    )
    return numbers.to_series().fill_null(value=False)
