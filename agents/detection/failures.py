"""Which errors the failed calls of a bucket had: counted for each series while the bucket is open, for the anomaly that may come of it.

Only failed calls are looked at, the first `MOST_LOOKED` of a series in a bucket, in the first `MOST_SERIES` series of a bucket that have any: what
everything costs when everything fails stays bounded, and so does the memory.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import orjson

from agents.detection.segment import Segment
from schemas.events import NONE, Events
from schemas.records import Breakdown, Status
from streams.pages import page_key, seal, unseal

Int64s = npt.NDArray[np.int64]

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

Details = Callable[[Int64s], tuple[Events, Int64s]]
"""Reads the `COLUMNS` of the records at these offsets: the events, and of each the index of its offset."""


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

    def count(self, name: str, value: str) -> None:
        """One more call that had this value."""
        known = self.counts.setdefault(name, {})
        if value in known or len(known) < MOST_VALUES:
            known[value] = known.get(value, 0) + 1


NO_FAILURES: Final[Mapping[int, Failed]] = {}


class Failures:
    """The failed calls of a lane's open buckets: a function of its records in offset order."""

    def __init__(self) -> None:
        self._open: dict[int, dict[int, Failed]] = {}
        self._full: dict[int, npt.NDArray[np.bool_]] = {}
        """Of an open bucket, by row, of which series no more is looked at."""
        self._changed: set[int] = set()
        self._written: set[int] = set()

    def count(self, segment: Segment, details: Details) -> None:
        """Looks at the failed calls of a segment."""
        failed = np.flatnonzero(segment.integers("failed"))
        if len(failed):
            for bucket in np.unique(segment.buckets[failed]).tolist():
                self._count(bucket, failed[segment.buckets[failed] == bucket], segment, details)

    def _count(self, bucket: int, failed: Int64s, segment: Segment, details: Details) -> None:
        wanted = failed[~self._full_of(bucket, int(segment.series.max()) + 1)[segment.series[failed]]]
        if not len(wanted):
            return
        series = self._open.setdefault(bucket, {})
        chosen = self._chosen(bucket, series, segment.series[wanted].tolist())
        self._changed.add(bucket)
        if not chosen:
            return
        places = wanted[chosen]
        events, index = details(segment.offsets[places])
        for row, call in zip(segment.series[places[index]].tolist(), _calls(events), strict=True):
            _look(series[row], call)

    def _chosen(self, bucket: int, series: dict[int, Failed], rows: Sequence[int]) -> list[int]:
        """Which of these calls are looked at."""
        chosen = []
        full = self._full[bucket]
        for index, row in enumerate(rows):
            if full[row]:
                continue
            failed = series.get(row)
            if failed is None:
                if len(series) >= MOST_SERIES:
                    full[row] = True
                    continue
                failed = series[row] = Failed()
            failed.looked += 1
            full[row] = failed.looked >= MOST_LOOKED
            chosen.append(index)
        return chosen

    def _full_of(self, bucket: int, rows: int) -> npt.NDArray[np.bool_]:
        full = self._full.get(bucket)
        if full is None or len(full) < rows:
            grown = np.zeros(2 * rows, bool)
            if full is not None:
                grown[: len(full)] = full
            full = self._full[bucket] = grown
        return full

    def close(self, bucket: int) -> Mapping[int, Failed]:
        """Takes a bucket out: the failed calls of each series, by row."""
        self._full.pop(bucket, None)
        closed = self._open.pop(bucket, None)
        if closed is None:
            return NO_FAILURES
        self._changed.add(bucket)
        return closed

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Rows of the buckets that changed since the last call."""
        for bucket in sorted(self._changed):
            series = self._open.get(bucket)
            if series is not None:
                rows = [(row, one.looked, one.counts, one.samples) for row, one in series.items()]
                yield page_key(TABLE, bucket), seal(_VERSION, orjson.dumps(rows))
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
            self._open[bucket] = {
                row: Failed(looked, counts, [(event, trace) for event, trace in samples])
                for row, looked, counts, samples in rows
            }
            full = self._full_of(bucket, max(self._open[bucket], default=0) + 1)
            for row, failed in self._open[bucket].items():
                full[row] = failed.looked >= MOST_LOOKED


_Call = tuple[str, str, str, str, int]
"""Event id, trace id, status, error type (empty for none), HTTP status (NONE for none)."""


def _calls(events: Events) -> Iterator[_Call]:
    count = len(events)
    texts = {}
    for name in ("event_id", "trace_id", "error_type"):
        there = np.flatnonzero(events.has(name))
        texts[name] = dict(zip(there.tolist(), (text for (text,) in events.names((name,), there)), strict=True))
    statuses = [list(Status)[status].value for status in events.integers("status").tolist()]
    codes = events.integers("http_status").tolist()
    for place in range(count):
        event_id, trace_id, error_type = (texts[name].get(place, "") for name in ("event_id", "trace_id", "error_type"))
        yield event_id, trace_id, statuses[place], error_type, codes[place]


def _look(failed: Failed, call: _Call) -> None:
    event_id, trace_id, status, error_type, code = call
    failed.count("status", status)
    if error_type:
        failed.count("error_type", error_type)
    if code not in (NONE, 0):
        failed.count("http_class", f"{code // 100}xx")
        failed.count("http_status", str(code))
    if len(failed.samples) < MOST_SAMPLES:
        failed.samples.append((event_id, trace_id))
