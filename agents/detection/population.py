"""One kind of subject in a lane: its names, its open buckets, when each was last seen, and the
application that each belongs to.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

import numpy as np
import numpy.typing as npt

from agents.detectors.contract import Closed, Kind
from schemas.telemetry.events import Events
from streams.state.subjects import Subjects
from streams.state.tables import Table, TableSpec
from streams.state.windows import Columns, Windows, WindowSpec

Int64s = npt.NDArray[np.int64]
Pages = Mapping[str, Mapping[int, bytes]]
"""Pages read from the state topic, by table and number."""

_FORMER_SERIES_WINDOW: Final = WindowSpec(
    "series-window",
    sums=(
        "requests",
        "errors",
        "latency_us",
        "first_tokens",
        "time_to_first_token_us",
        "prompt_tokens",
        "completion_tokens",
        "cost_nano",
    ),
    maxima=("latency_max_us",),
    sketches=("latency_us", "time_to_first_token_us"),
)

SERIES_WINDOW: Final = WindowSpec(
    "series-buckets",
    sums=_FORMER_SERIES_WINDOW.sums,
    maxima=_FORMER_SERIES_WINDOW.maxima,
    logs=(
        "success_latency_us",
        "success_first_token_us",
        "success_tokens",
        "success_cost_nano",
        "success_pace",
        "success_price",
    ),
    sketches=_FORMER_SERIES_WINDOW.sketches,
    former=_FORMER_SERIES_WINDOW,
)
"""What a bucket keeps of a series; the names are the contract's (`Closed.numbers`)."""

USER_WINDOW: Final = WindowSpec("user-window", sums=("requests", "tokens", "cost_nano"))
"""What a bucket keeps of a user."""

_NOBODY: Final = np.zeros(0, np.int64)

_SEEN: Final = np.dtype([("bucket", "<i8")])


class Population:
    """All subjects of one kind in one lane. `attached` are the tables of detectors whose rows are
    this kind's.
    """

    def __init__(
        self,
        kind: Kind,
        columns: Sequence[str],
        window: WindowSpec,
        budget: int,
        seed: int,
        applications: Subjects,
    ) -> None:
        self.kind = kind
        self.subjects = Subjects(f"{kind}-names", columns, budget, seed)
        self.windows = Windows(window)
        self.seen = Table(TableSpec(f"{kind}-seen", _SEEN))
        self.attached: list[Table] = []
        self.fresh: list[int] = []
        """Rows that the last `rows_of` gave to new subjects, in the order of their first events."""
        self._applications = applications
        self._application_of = np.zeros(64, np.int64)
        self._unplaced: list[int] = []
        """Rows that have no application yet."""

    def rows_of(self, events: Events) -> Int64s:
        """The row of each event's subject; new ones get all that belongs to a row."""
        rows = self.subjects.rows_of(events)
        self.fresh = self.subjects.take_fresh()
        if self.fresh:
            self._unplaced += self.fresh
            self._reserve()
        return rows

    def add(self, rows: Int64s, buckets: Int64s, columns: Columns) -> None:
        """Counts events into their buckets."""
        self.windows.add(rows, buckets, columns, self.subjects.capacity)

    def close(
        self, bucket: int, bucket_us: int, *, everyone: bool, watched: Int64s = _NOBODY
    ) -> Closed:
        """Takes a bucket out: all live subjects (`everyone`), or only those that had an event and
        the watched ones, in the order of their names.
        """
        self._place()
        spec, rows = self.windows.spec, self.subjects.sorted_rows()
        is_active = self.windows.has(bucket, rows)
        if not everyone:
            chosen = is_active | np.isin(rows, watched) if len(watched) else is_active
            rows, is_active = rows[chosen], is_active[chosen]
        seen_before = self.seen.rows["bucket"][rows]
        active = rows[is_active]
        self.seen.rows["bucket"][active] = bucket + 1
        self.seen.touch(active)
        taken = self.windows.close(bucket, rows)
        return Closed(
            kind=self.kind,
            bucket=bucket,
            start=bucket * bucket_us,
            end=(bucket + 1) * bucket_us,
            rows=rows,
            numbers={name: taken.numbers[:, index] for index, name in enumerate(spec.numbers)},
            sketches=taken.sketches,
            applications=self._application_of[rows],
            application_count=self._applications.capacity,
            seen_before=seen_before,
        )

    def expired(self, before: int) -> Int64s:
        """Rows of the subjects whose last event lay in a bucket before this one, ascending."""
        live = self.subjects.sorted_rows()
        seen = self.seen.rows["bucket"][live]
        idle = np.sort(live[(seen > 0) & (seen <= before)])
        # Who came back has events in a bucket that is still open.
        return np.setdiff1d(idle, self.windows.subjects()) if len(idle) else idle

    def forget(self, gone: Int64s) -> None:
        """Forgets these subjects, and all that was learnt of them."""
        if len(gone):
            for table in (self.seen, *self.attached):
                table.clear(gone)
            self.subjects.forget(gone)

    def last_seen(self, applications: int) -> Int64s:
        """By row of application, one more than the last closed bucket in which a subject of it had
        an event, 0 for none; shape (applications,).
        """
        last = np.zeros(applications, np.int64)
        live = np.setdiff1d(self.subjects.sorted_rows(), self._unplaced)
        np.maximum.at(last, self._application_of[live], self.seen.rows["bucket"][live])
        return last

    def live_applications(self) -> Int64s:
        """Rows of the applications that live subjects belong to."""
        return np.unique(self._application_of[self.subjects.sorted_rows()])

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Changed pages of all tables but the detectors'."""
        windows = chain.from_iterable(table.changes() for table in self.windows.tables)
        return chain(self.subjects.changes(), windows, self.seen.changes())

    def restore(self, pages: Pages) -> None:
        """Takes what `changes` gave, once; the applications must have been restored before."""
        self.subjects.restore(pages.get(self.subjects.table, {}))
        spec = self.windows.spec
        former = None if spec.former is None else pages.get(spec.former.table)
        self.windows.restore(pages.get(spec.table, {}), former)
        self.seen.restore(pages.get(self.seen.spec.name, {}))
        self._reserve()
        for row in self.subjects.sorted_rows().tolist():
            application = self._applications.find(self.subjects.name(row)[:2])
            if application is None:
                self._unplaced.append(row)
            else:
                self._application_of[row] = application

    def _place(self) -> None:
        """Gives new subjects their application, in the order of names: they come in another order
        when users and series of a batch are counted one kind after the other.
        """
        for row in sorted(self._unplaced, key=self.subjects.name):
            self._application_of[row] = self._applications.row_of(self.subjects.name(row)[:2])
        self._unplaced.clear()

    def _reserve(self) -> None:
        count = self.subjects.capacity
        for table in (self.seen, *self.attached):
            table.reserve(count)
        if count > len(self._application_of):
            grown = np.zeros(2 * count, np.int64)
            grown[: len(self._application_of)] = self._application_of
            self._application_of = grown
