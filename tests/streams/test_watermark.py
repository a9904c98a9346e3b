"""A lane's event time: moved by records only, never back, and alike however the records were cut."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.watermark import Clock

PAIRS = st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), min_size=1, max_size=40)


def advanced(clock: Clock, pairs: list[tuple[int, int]]) -> tuple[list[int], Clock]:
    """The times that these (event time, append time) left, and the clock after them."""
    events, appends = np.array(pairs, np.int64).T
    times, clock = clock.advanced(events, appends)
    return times.tolist(), clock


@given(PAIRS)
def test_time_never_goes_back(pairs: list[tuple[int, int]]) -> None:
    """It is a running maximum."""
    times, clock = advanced(Clock(), pairs)
    assert times == sorted(times)
    assert clock.time == times[-1]


@given(PAIRS, st.data())
def test_time_does_not_depend_on_where_a_batch_was_cut(pairs: list[tuple[int, int]], data: st.DataObject) -> None:
    """All at once, or in pieces: the same time at every record."""
    whole, after = advanced(Clock(), pairs)
    clock, times, start = Clock(), list[int](), 0
    while start < len(pairs):
        end = data.draw(st.integers(start + 1, len(pairs)))
        piece, clock = advanced(clock, pairs[start:end])
        times += piece
        start = end
    assert (times, clock) == (whole, after)


@given(PAIRS)
def test_a_producer_whose_clock_is_ahead_moves_time_no_further_than_the_append_time(
    pairs: list[tuple[int, int]],
) -> None:
    """Nobody closes others' buckets by lying about the time."""
    _, clock = advanced(Clock(), pairs)
    assert clock.time <= max(append for _, append in pairs)


def test_a_tick_moves_time_by_the_append_time_that_passed() -> None:
    """Events that lie an hour behind the wall clock are not overtaken by ticks."""
    _, clock = advanced(Clock(), [(1_000, 5_000)])
    assert clock.ticked(5_400) == Clock(time=1_400, append=5_400)
    assert clock.ticked(5_400).ticked(5_500) == clock.ticked(5_500)


def test_an_old_tick_changes_nothing() -> None:
    """A tick whose append time lies before the last record's neither moves time nor takes it back."""
    _, clock = advanced(Clock(), [(1_000, 5_000)])
    assert clock.ticked(4_000) == clock


def test_a_tick_before_the_first_event_moves_nothing() -> None:
    """Without an event there is no event time."""
    assert Clock().ticked(5_000) == Clock()
