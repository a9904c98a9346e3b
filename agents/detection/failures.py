"""Which errors the failed calls of a bucket had: counted for each series while the bucket is open,
for the anomaly that may come of it.

Only failed calls are looked at, the first `MOST_LOOKED` of a series in a bucket, in the first
`MOST_SERIES` series of a bucket that have any: what everything costs when everything fails stays
bounded, and so does the memory.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import orjson

from agents.detection.segment import Segment
from schemas.records.anomalies import Breakdown
from schemas.records.telemetry import Status
from schemas.telemetry.events import NONE, Events
from streams.state.chunks import page_key, seal, unseal

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TABLE: Final = "failures"
"""In the lane's state: a row for each open bucket."""
_VERSION: Final = 1

MOST_LOOKED: Final = 20
"""Failed calls of a series in a bucket that are looked at, the first ones."""
MOST_SERIES: Final = 64
"""Series of a bucket whose failed calls are looked at, the first ones."""
MOST_VALUES: Final = 16
"""Different values of a field that are counted, the first ones."""
MOST_SAMPLES: Final = 5
"""Failed calls that an anomaly names, the first ones."""
MOST_TOLD: Final = 5
"""Values of a field that an anomaly tells, the most frequent."""

COLUMNS: Final = ("event_id", "trace_id", "status", "error_type", "http_status")
"""What is read of a failed call."""

FIELDS: Final = ("error_type", "http_class", "http_status", "status")
"""What is counted, in the order in which it is told."""

_STRETCH: Final = 512
"""Failed calls of a bucket that are gone through before those of full series are left out; nothing
else depends on it.
"""

_STATUSES: Final = tuple(status.value for status in Status)

_MOST_WAITING_BYTES: Final = 1_048_576
"""Of the records of a bucket that nobody has asked for; nothing else depends on it."""

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
            for value, count in Counter(self.counts.get(name, {})).most_common(MOST_TOLD)
        )

    def count(self, name: str, value: str, calls: int) -> None:
        """More calls that had this value."""
        known = self.counts.setdefault(name, {})
        if value in known or len(known) < MOST_VALUES:
            known[value] = known.get(value, 0) + calls


class FailedCalls:
    """The failed calls of one bucket. Their records wait until somebody asks what they say: in a
    backlog, most buckets are closed before anybody does.
    """

    def __init__(self, read: Read, series: dict[int, Failed] | None = None) -> None:
        self._read, self._series = read, {} if series is None else series
        self._full = np.zeros(0, bool)
        """By row, of which series no more is looked at."""
        self._waiting: list[tuple[Int64s, Int64s, Records]] = []
        self._size = 0

    def chosen(self, rows: Int64s) -> Int64s:
        """Which of these calls, each of the series in its row, are to be looked at: their records
        are given to `add`.
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
        """The records of chosen calls, which are to be copies: others hold much else in memory."""
        self._waiting.append((rows, offsets, records))
        self._size += sum(len(record or b"") for record in records)
        if self._size > _MOST_WAITING_BYTES:
            self._look()

    def of(self, row: int) -> Failed | None:
        """Those of a series."""
        self._look()
        return self._series.get(row)

    def rows(self) -> list[tuple[object, ...]]:
        """Those of all series, for the lane's state."""
        self._look()
        return [(row, one.looked, one.counts, one.samples) for row, one in self._series.items()]

    def _first(self, rows: Sequence[int]) -> list[int]:
        chosen = []
        for index, row in enumerate(rows):
            failed = self._series.get(row)
            if failed is None:
                if len(self._series) >= MOST_SERIES:
                    continue
                failed = self._series[row] = Failed()
            if failed.looked < MOST_LOOKED:
                failed.looked += 1
                chosen.append(index)
        return chosen

    def _reserve(self, rows: int) -> None:
        if len(self._full) < rows:
            # Restored series may have rows beyond those of this segment.
            self._full = np.zeros(2 * max(rows, max(self._series, default=0) + 1), bool)
            self._mark()

    def _mark(self) -> None:
        if len(self._series) >= MOST_SERIES:
            self._full[:] = True
        for row, failed in self._series.items():
            self._full[row] = failed.looked >= MOST_LOOKED

    def _look(self) -> None:
        """Counts what waits, in order. Most calls are alike: equal ones are counted together."""
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
        room = {row: MOST_SAMPLES - len(self._series[row].samples) for row in set(rows)}
        places = []
        for place, row in enumerate(rows):
            if room[row] > 0:
                room[row] -= 1
                places.append(place)
        at = np.array(places, np.int64)
        for place, *sample in zip(
            places, _texts(events, "event_id", at), _texts(events, "trace_id", at), strict=True
        ):
            self._series[rows[place]].samples.append((sample[0], sample[1]))


class Failures:
    """The failed calls of a lane's open buckets: a function of its records in offset order."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._open: dict[int, FailedCalls] = {}
        self._changed: set[int] = set()
        self._written: set[int] = set()

    def count(self, segment: Segment, records: Callable[[Int64s], Records]) -> None:
        """Takes the failed calls of a segment; `records` gives copies of the records at some of its
        offsets.
        """
        failed = np.flatnonzero(segment.integers("failed"))
        if not len(failed):
            return
        buckets = segment.buckets[failed]
        for bucket in (
            [int(buckets[0])] if (buckets == buckets[0]).all() else np.unique(buckets).tolist()
        ):
            calls = self._open.setdefault(bucket, FailedCalls(self._read))
            own = failed[buckets == bucket]
            places = own[calls.chosen(segment.series[own])]
            if len(places):
                offsets = segment.offsets[places]
                calls.add(segment.series[places], offsets, records(offsets))
                self._changed.add(bucket)

    def close(self, bucket: int) -> FailedCalls:
        """Takes a bucket out."""
        closed = self._open.pop(bucket, None)
        if closed is None:
            return FailedCalls(self._read)
        self._changed.add(bucket)
        return closed

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Rows of the buckets that changed since the last call."""
        for bucket in sorted(self._changed):
            calls = self._open.get(bucket)
            if calls is not None:
                yield page_key(TABLE, bucket), seal(_VERSION, orjson.dumps(calls.rows()))
                self._written.add(bucket)
            elif bucket in self._written:
                yield page_key(TABLE, bucket), None
                self._written.discard(bucket)
        self._changed.clear()

    def restore(self, pages: Mapping[int, bytes]) -> None:
        """Takes what `changes` gave. Raises NewerState."""
        self._written.update(pages)
        for bucket, value in pages.items():
            rows = orjson.loads(unseal(value, _VERSION, TABLE)[1])
            series = {
                row: Failed(looked, counts, [(event, trace) for event, trace in samples])
                for row, looked, counts, samples in rows
            }
            self._open[bucket] = FailedCalls(self._read, series)


def _texts(events: Events, column: str, at: Int64s) -> list[str]:
    """The texts in a column of these events; empty where one has none."""
    there = events.has(column)[at]
    if there.all():
        return [text for (text,) in events.names((column,), at)]
    texts = [""] * len(at)
    held = np.flatnonzero(there)
    for place, (text,) in zip(held.tolist(), events.names((column,), at[held]), strict=True):
        texts[place] = text
    return texts
