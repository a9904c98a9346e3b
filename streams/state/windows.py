"""Open buckets of a lane: integer sums, extremes, sums of logarithms and sketches per subject,
filled a batch at a time, read once when the bucket closes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from schemas.native.library import NATIVE, Layout
from streams.state.logarithms import MANTISSAS, logarithms_of
from streams.state.sketch import BINS, OFFSET, SHIFT, bins_of
from streams.state.tables import Table, TableSpec

Int64s = npt.NDArray[np.int64]
Columns = Mapping[str, Int64s | np.int64]
"""Columns by name, of shape (n,), or one number for all events."""

_NONE: Final = -1


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """What a bucket's row holds: int64 `sums` and `maxima` by name, `logs` by name, and sketches by
    name. Names are those of the columns they are made of.
    """

    table: str
    sums: tuple[str, ...]
    maxima: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    """Columns whose positive values are counted, and their logarithms (`logarithms_of`) and the
    squares of these summed: three numbers each.
    """
    sketches: tuple[str, ...] = ()
    former: "WindowSpec | None" = None
    """What the table held before, under another name: it is read, and written as this one."""

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of a row's numbers, in order."""
        logs = [f"{name}.{part}" for name in self.logs for part in ("n", "log", "log2")]
        return (*self.sums, *self.maxima, *logs)

    def table_spec(self) -> TableSpec:
        """A row: its bucket plus one (zero means free), its subject, the numbers, the bins."""
        fields: list[tuple[str, str] | tuple[str, str, tuple[int]]] = [
            ("bucket", "<i8"),
            ("subject", "<i8"),
            ("numbers", "<i8", (len(self.numbers),)),
        ]
        fields += [(name, "<u4", (BINS,)) for name in self.sketches]
        return TableSpec(self.table, np.dtype(fields))


@dataclass(frozen=True, slots=True)
class ClosedBucket:
    """What one bucket held: a row for each of `subjects`."""

    bucket: int
    subjects: Int64s
    numbers: Int64s
    """Shape (n, numbers), in the order of `WindowSpec.numbers`."""
    sketches: Mapping[str, npt.NDArray[np.uint32]]
    """Name to bins of shape (n, BINS)."""


class Windows:
    """The open buckets of one lane over one kind of subject.

    A bucket owns whole pages of the table. So closing it frees whole pages, each with one tombstone
    on the topic, and pages that open and close between two flushes are never written.
    """

    def __init__(self, spec: WindowSpec) -> None:
        self.spec = spec
        self.table = Table(spec.table_spec())
        self.tables = [self.table]
        """With that of the former spec, once it was read."""
        self._words = self.table.spec.dtype.itemsize // 8
        self._halves = self._words * 2
        clamped = np.array([name in spec.sketches for name in spec.sums], np.int64)
        self._layout = Layout(
            len(spec.sums),
            len(spec.maxima),
            len(spec.logs),
            len(spec.sketches),
            clamped,
            MANTISSAS,
            BINS,
            shift=SHIFT,
            offset=OFFSET,
        )
        self._row_of: dict[int, Int64s] = {}
        self._pages_of: dict[int, list[int]] = {}
        self._used: dict[int, int] = {}
        self._free_pages: list[int] = []
        self._next_page = 0

    @property
    def open_buckets(self) -> list[int]:
        """Buckets that hold something, ascending."""
        return sorted(self._row_of)

    def subjects(self) -> Int64s:
        """Subjects that have an event in an open bucket; ascending."""
        rows = self.table.rows
        return np.unique(rows["subject"][rows["bucket"] != 0])

    def add(self, subjects: Int64s, buckets: Int64s, columns: Columns, capacity: int) -> Int64s:
        """Adds events; all arrays have shape (n,). Returns each event's row in the table.

        `capacity` is one more than the highest subject row. A negative value means that the event
        has none: it adds nothing. Nothing depends on how events are spread over calls.
        """
        rows = self._rows(subjects, buckets, capacity)
        if NATIVE is not None:
            spec = self.spec
            names = (*spec.sums, *spec.maxima, *spec.logs, *spec.sketches)
            each = [columns[name] for name in names]
            NATIVE.count(rows, self.table.rows.view(np.int64), self._words, each, self._layout)
        else:
            self._count(rows, columns)
        self.table.touch(rows)
        return rows

    def _count(self, rows: Int64s, columns: Columns) -> None:
        numbers = self.table.rows.view(np.int64)
        base = rows * self._words + 2
        for number, name in enumerate(self.spec.sums):
            column = columns[name]
            if name in self.spec.sketches:
                column = np.maximum(column, 0)
            np.add.at(numbers, base + number, column)
        for number, name in enumerate(self.spec.maxima, len(self.spec.sums)):
            np.maximum.at(numbers, base + number, columns[name])
        first = len(self.spec.sums) + len(self.spec.maxima)
        for number, name in enumerate(self.spec.logs):
            values = np.broadcast_to(columns[name], rows.shape)
            some = values > 0
            logs, at = logarithms_of(values[some]), base[some] + first + 3 * number
            for part, added in enumerate((np.ones_like(logs), logs, logs * logs)):
                np.add.at(numbers, at + part, added)
        counts = self.table.rows.view(np.uint32)
        offset = 2 * (2 + len(self.spec.numbers))
        one = np.uint32(1)
        for number, name in enumerate(self.spec.sketches):
            values = np.asarray(columns[name])
            at = rows * self._halves + (offset + number * BINS) + bins_of(values)
            if int(values.min()) < 0:
                at = at[values >= 0]
            np.add.at(counts, at, one)

    def has(self, bucket: int, subjects: Int64s) -> npt.NDArray[np.bool_]:
        """Which of these had an event in the bucket."""
        return np.asarray(self._rows_for(bucket, subjects) != _NONE)

    def close(self, bucket: int, subjects: Int64s | None = None) -> ClosedBucket:
        """Removes the bucket, and returns its rows for these subjects in this order, with zeros for
        one that had no event in it. By default for all that had one, in no particular order.
        """
        pages, used = self._pages_of.pop(bucket, []), self._used.pop(bucket, 0)
        if subjects is None:
            subjects = self.table.rows["subject"][self._rows_in(pages, used)]
        places = self._rows_for(bucket, subjects)
        absent = places == _NONE
        some = bool(absent.any())

        def values_of(column: str) -> npt.NDArray[Any]:
            taken = self.table.rows[column][places]
            if some:
                taken[absent] = 0
            return taken

        closed = ClosedBucket(
            bucket,
            subjects,
            values_of("numbers"),
            {name: values_of(name) for name in self.spec.sketches},
        )
        self._row_of.pop(bucket, None)
        self.table.clear_pages(pages)
        self._free_pages.extend(pages)
        # The lowest page is assigned next, in each run and after each restore: pages are part of
        # the durable state, which a replay has to reproduce.
        self._free_pages.sort(reverse=True)
        return closed

    def restore(
        self, pages: Mapping[int, bytes], former: Mapping[int, bytes] | None = None
    ) -> None:
        """Restores the pages that were read from the state topic: the table's, and those of the
        former spec's.
        """
        self._restore(pages)
        if former and self.spec.former is not None:
            self._convert(self.spec.former, former)

    def _convert(self, spec: "WindowSpec", pages: Mapping[int, bytes]) -> None:
        """Reads open buckets that were written under a former spec; it leaves
        tombstones."""
        table = Table(spec.table_spec())
        table.restore(pages)
        used = np.flatnonzero(table.rows["bucket"])
        old, known = table.rows[used], {name: at for at, name in enumerate(self.spec.numbers)}
        if len(used):
            subjects = np.asarray(old["subject"], np.int64)
            rows = self._rows(subjects, old["bucket"] - 1, int(subjects.max()) + 1)
            for at, name in enumerate(spec.numbers):
                self.table.rows["numbers"][rows, known[name]] = old["numbers"][:, at]
            for name in spec.sketches:
                self.table.rows[name][rows] = old[name]
            self.table.touch(rows)
            table.clear(used)
        self.tables.append(table)

    def _restore(self, pages: Mapping[int, bytes]) -> None:
        self.table.restore(pages)
        size = self.table.per_page
        used = self.table.rows["bucket"].reshape(-1, size)
        for page in np.flatnonzero(used[:, 0]).tolist():
            bucket = int(used[page, 0]) - 1
            self._pages_of.setdefault(bucket, []).append(page)
        for bucket, owned in self._pages_of.items():
            # Only the page filled last has free rows; it goes to the end, where the next row comes
            # from.
            owned.sort(key=lambda page: (int(np.count_nonzero(used[page])) != size, page))
            self._used[bucket] = sum(int(np.count_nonzero(used[page])) for page in owned)
            rows = self._rows_in(owned, self._used[bucket])
            subjects = self.table.rows["subject"][rows]
            self._row_of[bucket] = _grown(np.empty(0, np.int64), int(subjects.max()) + 1)
            self._row_of[bucket][subjects] = rows
        self._next_page = (
            max((page for owned in self._pages_of.values() for page in owned), default=-1) + 1
        )
        taken = {page for owned in self._pages_of.values() for page in owned}
        self._free_pages = sorted(
            (page for page in range(self._next_page) if page not in taken), reverse=True
        )

    def _rows_for(self, bucket: int, subjects: Int64s) -> Int64s:
        """The row of each subject in the table; _NONE where it has none in this bucket."""
        row_of = self._row_of.get(bucket, _EMPTY)
        places = np.full(len(subjects), _NONE, np.int64)
        known = subjects < len(row_of)
        places[known] = row_of[subjects[known]]
        return places

    def _rows(self, subjects: Int64s, buckets: Int64s, capacity: int) -> Int64s:
        lowest = int(buckets.min())
        if lowest == int(buckets.max()):
            return self._rows_of_bucket(lowest, subjects, capacity)
        here = {bucket: np.flatnonzero(buckets == bucket) for bucket in np.unique(buckets).tolist()}
        fresh = {
            bucket: events[self._new(bucket, subjects[events], capacity)]
            for bucket, events in here.items()
        }
        self._assign_pages(fresh)
        rows = np.empty(len(subjects), np.int64)
        for bucket, events in here.items():
            if len(fresh[bucket]):
                self._allocate(bucket, subjects[fresh[bucket]])
            rows[events] = self._row_of[bucket][subjects[events]]
        return rows

    def _rows_of_bucket(self, bucket: int, subjects: Int64s, capacity: int) -> Int64s:
        new = self._new(bucket, subjects, capacity)
        if len(new):
            self._assign_pages({bucket: new})
            self._allocate(bucket, subjects[new])
        return self._row_of[bucket][subjects]

    def _new(self, bucket: int, subjects: Int64s, capacity: int) -> Int64s:
        """Indices, ascending, of the first event of each subject without a row in the bucket."""
        row_of = self._row_of.get(bucket)
        if row_of is None or len(row_of) < capacity:
            row_of = self._row_of[bucket] = _grown(_EMPTY if row_of is None else row_of, capacity)
        missing = np.flatnonzero(row_of[subjects] == _NONE)
        # Written in reverse, so that of several events of one new subject the first one's index
        # remains: the result is the same as with one event at a time.
        row_of[subjects[missing[::-1]]] = missing[::-1]
        return np.asarray(missing[row_of[subjects[missing]] == missing])

    def _assign_pages(self, fresh: Mapping[int, Int64s]) -> None:
        """Assigns buckets the pages for their new subjects, in the order of the events that fill
        the pages before: it must not depend on how events are cut into batches.
        """
        size = self.table.per_page
        full = [
            (event, bucket)
            for bucket, events in fresh.items()
            for event in events[-self._used.get(bucket, 0) % size :: size].tolist()
        ]
        for _, bucket in sorted(full):
            if self._free_pages:
                page = self._free_pages.pop()
            else:
                page = self._next_page
                self._next_page += 1
            self._pages_of.setdefault(bucket, []).append(page)
        self.table.reserve(self._next_page * size)

    def _allocate(self, bucket: int, subjects: Int64s) -> None:
        size = self.table.per_page
        used = self._used.get(bucket, 0)
        first = used // size
        rows = self._rows_in(self._pages_of[bucket][first:], used - first * size + len(subjects))[
            used - first * size :
        ]
        self._used[bucket] = used + len(subjects)
        self._row_of[bucket][subjects] = rows
        self.table.rows["bucket"][rows] = bucket + 1
        self.table.rows["subject"][rows] = subjects

    def _rows_in(self, pages: Sequence[int], count: int) -> Int64s:
        """The first `count` rows of these pages."""
        size = self.table.per_page
        starts = np.asarray(pages, np.int64) * size
        return np.asarray((starts[:, None] + np.arange(size)).reshape(-1)[:count])


_EMPTY: Final = np.empty(0, np.int64)


def _grown(row_of: Int64s, capacity: int) -> Int64s:
    grown = np.full(max(capacity, 2 * len(row_of), 64), _NONE, np.int64)
    grown[: len(row_of)] = row_of
    return grown
