"""The columns of a block's good events, and those between two closes as the detectors see them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from agents.detectors.contract import Names
from schemas.telemetry.events import NONE, Events

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]

_SUCCESS: Final = 0
_LISTS: Final = {
    "quality": ("name", "value"),
    "security": ("kind", "score"),
    "feature": ("name", "value"),
}
_LIST_COLUMNS: Final = {"quality": "quality", "security": "security", "feature": "features"}


def columns_of(metric: str) -> tuple[str, ...]:
    """The columns of TelemetryEvent that a metric of a rule is read from.

    >>> columns_of("tokens"), columns_of("quality.toxicity")
    (('prompt_tokens', 'completion_tokens'), ('quality',))
    """
    kind, dot, _ = metric.partition(".")
    if dot:
        return (_LIST_COLUMNS[kind],)
    return {"failed": ("status",), "tokens": ("prompt_tokens", "completion_tokens")}.get(
        metric, (metric,)
    )


class Columns:
    """Columns of decoded events as arrays, shape (n,), each made once, when it is first used."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self._integers: dict[str, Int64s] = {}
        self._numbers: dict[str, Float64s] = {}

    def integers(self, column: str) -> Int64s:
        """An integer column; `NONE` where the event has none. Raises KeyError when the block was
        not decoded with it.
        """
        made = self._integers.get(column)
        if made is None:
            made = self._integers[column] = self._made(column)
        return made

    def numbers(self, metric: str) -> Float64s:
        """Any metric of a rule as floats, NaN where the event has none."""
        made = self._numbers.get(metric)
        if made is None:
            kind, dot, name = metric.partition(".")
            made = self._numbers[metric] = self._listed(kind, name) if dot else self._plain(metric)
        return made

    def _made(self, column: str) -> Int64s:
        if column == "failed":
            return np.asarray(self.events.integers("status") != _SUCCESS, np.int64)
        if column == "tokens":
            return self.integers("prompt_tokens") + self.integers("completion_tokens")
        return self.events.integers(column)

    def _plain(self, metric: str) -> Float64s:
        values = self.integers(metric)
        floats = values.astype(np.float64)
        floats[values == NONE] = np.nan
        return floats

    def _listed(self, kind: str, name: str) -> Float64s:
        """The value of the named entry of a list of records; the highest if there are several."""
        label, number = _LISTS[kind]
        floats = np.full(len(self.events), np.nan)
        lists = self.events.frame.select(pl.col(_LIST_COLUMNS[kind]).alias("list")).with_row_index(
            "row"
        )
        lists = lists.filter(pl.col("list").list.len() > 0)
        if len(lists):
            entries = lists.explode("list").unnest("list").filter(pl.col(label) == name)
            best = entries.group_by("row").agg(pl.col(number).max())
            floats[best["row"].to_numpy()] = best[number].to_numpy()
        return floats


@dataclass
class Segment:
    """Events of one block between two closes: those at `at`, all good and not late, in offset order
    (contract: `Events`).
    """

    columns: Columns
    at: slice | Int64s
    """A slice if no event between is left out: it copies nothing."""
    names: Names
    offsets: Int64s
    times: Int64s
    buckets: Int64s
    series: Int64s
    bucket_us: int

    def integers(self, column: str) -> Int64s:
        """An integer column of the segment's events; see `Columns.integers`."""
        return self.columns.integers(column)[self.at]

    def numbers(self, metric: str) -> Float64s:
        """A metric of the segment's events; see `Columns.numbers`."""
        return self.columns.numbers(metric)[self.at]

    def text(self, column: str, position: int) -> str:
        """A text column of one of the segment's events, which must have it."""
        index = self.at.start + position if isinstance(self.at, slice) else int(self.at[position])
        ((text,),) = self.columns.events.names((column,), np.array([index]))
        return text


def closes(buckets: Int64s, closed_to: int) -> list[tuple[int, int]]:
    """Where the first bucket that is still open moves on: (index of the event that moves it, where
    to); `buckets` has shape (n,) and never falls.

    >>> closes(np.array([7, 7, 8, 8, 10]), 7)
    [(2, 8), (4, 10)]
    """
    if not len(buckets) or int(buckets[-1]) <= closed_to:
        return []
    steps = (np.flatnonzero(buckets[1:] > buckets[:-1]) + 1).tolist()
    first = [0] if int(buckets[0]) > closed_to else []
    return [(index, int(buckets[index])) for index in first + steps]
