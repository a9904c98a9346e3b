"""Open buckets: what is in them does not depend on how events were batched or on where a lane was
stopped.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.state.chunks import split_key
from streams.state.logarithms import PER_OCTAVE, logarithms_of
from streams.state.sketch import BINS, bins_of
from streams.state.windows import ClosedBucket, Windows, WindowSpec
from tests.harness.compacted_topic import CompactedTopic

pytestmark = pytest.mark.usefixtures("with_and_without_native_code")

SPEC = WindowSpec(
    "window",
    sums=("requests", "latency_us"),
    maxima=("cost",),
    logs=("cost",),
    sketches=("latency_us",),
)
SUBJECTS = 150

Event = tuple[int, int, int, int]
"""Subject, bucket, latency (-1: none), cost."""

EVENTS = st.lists(
    st.tuples(
        st.integers(0, SUBJECTS - 1) | st.sampled_from(range(0, SUBJECTS, 7)),
        st.sampled_from((100, 101, 102, 130)),
        st.integers(-1, 5_000_000),
        st.integers(0, 1000),
    ),
    min_size=1,
    max_size=120,
)


def counted(windows: Windows, events: Sequence[Event]) -> None:
    """Counts events in, in one call."""
    subjects, buckets, latencies, costs = np.array(events, np.int64).T.copy()
    columns = {"requests": np.int64(1), "latency_us": latencies, "cost": costs}
    windows.add(subjects, buckets, columns, SUBJECTS)


def cut(events: Sequence[Event], data: st.DataObject) -> list[Sequence[Event]]:
    """The events in pieces of any size."""
    pieces, start = [], 0
    while start < len(events):
        end = data.draw(st.integers(start + 1, len(events)))
        pieces.append(events[start:end])
        start = end
    return pieces


def by_subject(closed: ClosedBucket) -> dict[int, tuple[list[int], bytes]]:
    """Numbers and bins of each subject."""
    return {
        subject: (closed.numbers[row].tolist(), closed.sketches["latency_us"][row].tobytes())
        for row, subject in enumerate(closed.subjects.tolist())
    }


def reference(events: Sequence[Event], bucket: int) -> dict[int, tuple[list[int], bytes]]:
    """The same, counted one by one in plain Python."""
    numbers: dict[int, list[int]] = {}
    sketches: dict[int, npt.NDArray[np.uint32]] = {}
    for subject, at, latency, cost in events:
        if at == bucket:
            row = numbers.setdefault(subject, [0] * 6)
            bins = sketches.setdefault(subject, np.zeros(BINS, np.uint32))
            row[0] += 1
            row[2] = max(row[2], cost)
            if cost > 0:
                log = int(logarithms_of(np.array([cost]))[0])
                row[3:] = [row[3] + 1, row[4] + log, row[5] + log * log]
            if latency >= 0:
                row[1] += latency
                bins[bins_of(np.array([latency]))] += 1
    return {subject: (numbers[subject], sketches[subject].tobytes()) for subject in numbers}


@given(EVENTS)
def test_a_closed_bucket_holds_exactly_its_events(events: list[Event]) -> None:
    """Sums, extremes and bins are those of a loop in Python; an event without a latency adds
    nothing to it.
    """
    windows = Windows(SPEC)
    counted(windows, events)
    for bucket in windows.open_buckets:
        assert by_subject(windows.close(bucket)) == reference(events, bucket)
    assert windows.open_buckets == []


@given(EVENTS, st.data())
def test_a_batch_equals_its_events_one_by_one_to_the_byte(
    events: list[Event], data: st.DataObject
) -> None:
    """However events are spread over calls, the rows stand in the same places, and close to the
    same.
    """
    whole, pieces, single = Windows(SPEC), Windows(SPEC), Windows(SPEC)
    for windows in (whole, pieces, single):
        windows.table.reserve(10 * SUBJECTS)
    counted(whole, events)
    for piece in cut(events, data):
        counted(pieces, piece)
    for event in events:
        counted(single, [event])
    assert whole.table.rows.tobytes() == pieces.table.rows.tobytes() == single.table.rows.tobytes()
    assert whole.open_buckets == pieces.open_buckets == single.open_buckets
    for bucket in whole.open_buckets:
        assert (
            by_subject(whole.close(bucket))
            == by_subject(pieces.close(bucket))
            == by_subject(single.close(bucket))
        )


@given(EVENTS, EVENTS, EVENTS, st.data())
def test_a_lane_stopped_in_the_middle_of_a_bucket_goes_on_with_the_same_bytes(
    before: list[Event], between: list[Event], after: list[Event], data: st.DataObject
) -> None:
    """Flushed and restored between any two calls, buckets closed in between or not: page for page
    what it would have been.
    """
    topic, other = CompactedTopic(), CompactedTopic()
    stopped, never_stopped = Windows(SPEC), Windows(SPEC)
    for windows in (stopped, never_stopped):
        counted(windows, before)
    if data.draw(st.booleans()):
        for windows in (stopped, never_stopped):
            windows.close(windows.open_buckets[0])
    for windows in (stopped, never_stopped):
        counted(windows, between)
    topic.take(stopped.table.changes())
    other.take(never_stopped.table.changes())
    stopped = Windows(SPEC)
    stopped.restore(topic.pages("window"))
    assert stopped.open_buckets == never_stopped.open_buckets
    for piece in cut(after, data):
        counted(stopped, piece)
        counted(never_stopped, piece)
    topic.take(stopped.table.changes())
    other.take(never_stopped.table.changes())
    assert topic.rows == other.rows
    for bucket in never_stopped.open_buckets:
        assert by_subject(stopped.close(bucket)) == by_subject(never_stopped.close(bucket))
    topic.take(stopped.table.changes())
    assert topic.rows == {}


def filled(windows: Windows, bucket: int, subjects: range) -> None:
    """One event of each subject."""
    counted(windows, [(subject, bucket, 5000, 1) for subject in subjects])


def test_pages_are_used_in_the_same_order_after_a_restart() -> None:
    """Full pages, a last one that stands before them, pages free between others: the next rows go
    where they would have gone.
    """
    page = Windows(SPEC).table.per_page
    topic, other = CompactedTopic(), CompactedTopic()
    stopped, never_stopped = Windows(SPEC), Windows(SPEC)
    for windows, flushed in ((stopped, topic), (never_stopped, other)):
        for bucket, subjects in (
            (100, range(1)),
            (101, range(page)),
            (102, range(1)),
            (103, range(1)),
        ):
            filled(windows, bucket, subjects)
        windows.close(100)
        filled(windows, 101, range(page, page + 1))
        filled(windows, 104, range(1))
        windows.close(102)
        windows.close(104)
        flushed.take(windows.table.changes())
    stopped = Windows(SPEC)
    stopped.restore(topic.pages("window"))
    for windows, flushed in ((stopped, topic), (never_stopped, other)):
        filled(windows, 101, range(page + 1, 3 * page))
        filled(windows, 105, range(1))
        flushed.take(windows.table.changes())
    assert topic.rows == other.rows


def test_a_bucket_that_opens_and_closes_between_two_flushes_is_never_written() -> None:
    """Its pages cost nothing."""
    windows, topic = Windows(SPEC), CompactedTopic()
    counted(windows, [(1, 100, 5000, 0)])
    windows.close(100)
    topic.take(windows.table.changes())
    assert topic.written == 0


def test_pages_of_closed_buckets_are_used_again() -> None:
    """A lane that runs for ever does not grow: a thousand buckets of as many subjects take the room
    of those open at once.
    """
    windows = Windows(SPEC)
    events = [(subject, 0, 5000, 1) for subject in range(SUBJECTS)]
    for bucket in range(100, 1100):
        counted(windows, [(subject, bucket, latency, cost) for subject, _, latency, cost in events])
        if bucket > 100:
            windows.close(bucket - 1)
    assert len(windows.table) <= 8 * SUBJECTS


def test_closing_a_bucket_that_holds_nothing_gives_nothing() -> None:
    """Silence is a bucket too."""
    closed = Windows(SPEC).close(100)
    assert (len(closed.subjects), closed.numbers.shape, closed.sketches["latency_us"].shape) == (
        0,
        (0, 6),
        (0, BINS),
    )


@given(st.lists(st.integers(1, 2**53), min_size=1, max_size=50))
def test_logarithms_are_whole_and_close(values: list[int]) -> None:
    """Within a unit of the logarithm, and never falling as values rise."""
    made = logarithms_of(np.array(sorted(values), np.int64))
    exact = PER_OCTAVE * np.log2(np.array(sorted(values), np.float64))
    assert np.abs(made - exact).max() <= 1.3
    assert (np.diff(made) >= 0).all()


def test_open_buckets_of_a_former_layout_are_read_and_its_pages_left_as_tombstones() -> None:
    """Sums and sketches are kept, what was not counted then is zero, and counting goes on."""
    former = WindowSpec("old", sums=("requests", "latency_us"), sketches=("latency_us",))
    layout = WindowSpec(
        "new",
        sums=("requests", "latency_us"),
        logs=("latency_us",),
        sketches=("latency_us",),
        former=former,
    )
    subjects, buckets = np.array([3, 5, 3, 3]), np.array([7, 7, 8, 7])
    columns = {"requests": np.int64(1), "latency_us": np.array([1000, 2000, 3000, 4000])}
    old = Windows(former)
    old.add(subjects, buckets, columns, 6)
    pages = {page(key): value for key, value in old.table.changes() if value is not None}
    windows = Windows(layout)
    windows.restore({}, pages)
    windows.add(np.array([5]), np.array([7]), {**columns, "latency_us": np.array([8000])}, 6)
    closed = windows.close(7, np.array([3, 5]))
    log = int(logarithms_of(np.array([8000]))[0])
    assert closed.numbers.tolist() == [
        [2, 5000, 0, 0, 0],
        [2, 10_000, 1, log, log * log],
    ]
    assert closed.sketches["latency_us"].sum(axis=1).tolist() == [2, 2]
    assert windows.open_buckets == [8]
    changes = [list(table.changes()) for table in windows.tables]
    assert [value for _, value in changes[1]] == [None] * len(pages)


def page(key: bytes) -> int:
    """The number of the page with this key."""
    return split_key(key)[1]
