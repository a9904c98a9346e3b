"""Which errors the failed calls of one bucket had: counted for each series, for the anomaly that
may come of it.

Only failed calls are read, the first `MAX_LOOKED` of a series in a bucket, in the first
`MAX_SERIES` series of a bucket that have any: so the cost is bounded when everything fails, and so
is the memory.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.records.anomalies import Breakdown
from schemas.records.telemetry import Status
from schemas.telemetry.events import NONE, Events

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MAX_LOOKED: Final = 20
"""Failed calls of a series in a bucket that are read, the first ones."""
MAX_SERIES: Final = 64
"""Series of a bucket whose failed calls are read, the first ones."""
MAX_VALUES: Final = 16
"""Different values of a field that are counted, the first ones."""
MAX_SAMPLES: Final = 5
"""Failed calls that an anomaly names, the first ones."""
MAX_LISTED: Final = 5
"""Values of a field that an anomaly has, the most frequent."""

COLUMNS: Final = ("event_id", "trace_id", "status", "error_type", "http_status")
"""What is read of a failed call."""

FIELDS: Final = ("error_type", "http_class", "http_status", "status")
"""What is counted, in the order in which an anomaly has it."""

_STRETCH: Final = 512
"""Failed calls of a bucket that are gone through before those of full series are left out; nothing
else depends on it.
"""

_STATUSES: Final = tuple(status.value for status in Status)

_MAX_WAITING_BYTES: Final = 1_048_576
"""Of the records of a bucket that wait to be read; nothing else depends on it."""

Records = Sequence[bytes | None]
Read = Callable[[Records, int, int], tuple[Events, Int64s]]
"""Reads the `COLUMNS` of records at offsets from one to before another: the events, and of each the
index of its record.
"""


@dataclass(slots=True)
class Failed:
    """Failed calls of one series in one bucket."""

    looked: int = 0
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """By field and value."""
    samples: list[tuple[str, str]] = field(default_factory=list)
    """Event id and trace id, which may be empty."""

    def breakdown(self) -> tuple[Breakdown, ...]:
        """Fields in the order of `FIELDS`, the most frequent values first."""
        return tuple(
            Breakdown(name, value, count)
            for name in FIELDS
            for value, count in Counter(self.counts.get(name, {})).most_common(MAX_LISTED)
        )

    def count(self, name: str, value: str, calls: int) -> None:
        """Count more calls that had this value."""
        known = self.counts.setdefault(name, {})
        if value in known or len(known) < MAX_VALUES:
            known[value] = known.get(value, 0) + calls


class FailedCalls:
    """The failed calls of one bucket. Their records wait until `of` or `rows` needs them read: in a
    backlog, most buckets are closed before that.
    """

    def __init__(self, read: Read, series: dict[int, Failed] | None = None) -> None:
        self._read, self._series = read, {} if series is None else series
        self._full = np.zeros(0, bool)
        """By row, of which series no more calls are read."""
        self._waiting: list[tuple[Int64s, Int64s, Records]] = []
        self._size = 0

    def chosen(self, rows: Int64s) -> Int64s:
        """Indices of the calls to read, given the row of each call's series; pass their records to
        `add`.
        """
        self._reserve(int(rows.max()) + 1)
        left, found = np.flatnonzero(~self._full[rows]), [np.zeros(0, np.int64)]
        while len(left):
            # After some calls most series are full when everything fails, and the others need not
            # be gone through.
            some, left = left[:_STRETCH], left[_STRETCH:]
            found.append(some[self._first(rows[some].tolist())])
            self._mark()
            left = left[~self._full[rows[left]]]
        return np.concatenate(found)

    def add(self, rows: Int64s, offsets: Int64s, records: Records) -> None:
        """Add the records of chosen calls, as copies: a view would keep its whole fetch alive."""
        self._waiting.append((rows, offsets, records))
        self._size += sum(len(record or b"") for record in records)
        if self._size > _MAX_WAITING_BYTES:
            self._look()

    def of(self, row: int) -> Failed | None:
        """The failed calls of a series; None without any."""
        self._look()
        return self._series.get(row)

    def rows(self) -> list[tuple[object, ...]]:
        """The failed calls of all series, for the lane's state."""
        self._look()
        return [(row, one.looked, one.counts, one.samples) for row, one in self._series.items()]

    def _first(self, rows: Sequence[int]) -> list[int]:
        chosen = []
        for index, row in enumerate(rows):
            failed = self._series.get(row)
            if failed is None:
                if len(self._series) >= MAX_SERIES:
                    continue
                failed = self._series[row] = Failed()
            if failed.looked < MAX_LOOKED:
                failed.looked += 1
                chosen.append(index)
        return chosen

    def _reserve(self, rows: int) -> None:
        if len(self._full) < rows:
            # Restored series may have rows beyond those of this segment.
            self._full = np.zeros(2 * max(rows, max(self._series, default=0) + 1), bool)
            self._mark()

    def _mark(self) -> None:
        if len(self._series) >= MAX_SERIES:
            self._full[:] = True
        for row, failed in self._series.items():
            self._full[row] = failed.looked >= MAX_LOOKED

    def _look(self) -> None:
        """Count what waits, in order."""
        if not self._waiting:
            return
        start, end = int(self._waiting[0][1][0]), int(self._waiting[-1][1][-1]) + 1
        events, index = self._read(
            [record for _, _, records in self._waiting for record in records], start, end
        )
        rows = np.concatenate([rows for rows, _, _ in self._waiting])[index].tolist()
        self._waiting, self._size = [], 0
        self._sample(rows, events)
        errors = _texts(events, "error_type", np.arange(len(rows)))
        statuses, codes = (
            events.integers("status").tolist(),
            events.integers("http_status").tolist(),
        )
        # Most calls are alike: equal ones are counted together.
        for (row, status, error_type, code), calls in Counter(
            zip(rows, statuses, errors, codes, strict=True)
        ).items():
            failed = self._series[row]
            failed.count("status", _STATUSES[status], calls)
            if error_type:
                failed.count("error_type", error_type, calls)
            if code not in (NONE, 0):
                failed.count("http_class", f"{code // 100}xx", calls)
                failed.count("http_status", str(code), calls)

    def _sample(self, rows: Sequence[int], events: Events) -> None:
        room = {row: MAX_SAMPLES - len(self._series[row].samples) for row in set(rows)}
        indices = []
        for index, row in enumerate(rows):
            if room[row] > 0:
                room[row] -= 1
                indices.append(index)
        at = np.array(indices, np.int64)
        for index, *sample in zip(
            indices, _texts(events, "event_id", at), _texts(events, "trace_id", at), strict=True
        ):
            self._series[rows[index]].samples.append((sample[0], sample[1]))


def _texts(events: Events, column: str, at: Int64s) -> list[str]:
    """The texts of a column of these events; empty where an event has none."""
    there = events.has(column)[at]
    if there.all():
        return [text for (text,) in events.names((column,), at)]
    texts = [""] * len(at)
    held = np.flatnonzero(there)
    for index, (text,) in zip(held.tolist(), events.names((column,), at[held]), strict=True):
        texts[index] = text
    return texts
