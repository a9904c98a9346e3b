"""A lane's event time: moved by records only, never back, and alike however the records were
cut.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.state.watermark import UNMEASURED_US, Clock, Stamps

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
def test_time_does_not_depend_on_where_a_batch_was_cut(
    pairs: list[tuple[int, int]], data: st.DataObject
) -> None:
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


def test_a_tick_moves_time_by_what_passed() -> None:
    """Events that lie an hour behind the wall clock are not overtaken by ticks."""
    _, clock = advanced(Clock(), [(1_000, 5_000)])
    assert clock.ticked(5_400, 400) == Clock(time=1_400, append=5_400)
    assert clock.ticked(5_400, 400).ticked(5_500, 100) == clock.ticked(5_500, 500)


A, T = 1_760_000_000_000_000, 1_759_999_999_000_000
HALF_AN_HOUR, SECOND = 1_800_000_000, 1_000_000


@pytest.mark.parametrize(("passed", "moved"), [(SECOND, SECOND), (0, 0), (None, UNMEASURED_US)])
def test_a_broker_whose_clock_is_ahead_moves_time_no_further_than_what_passed(
    passed: int | None, moved: int
) -> None:
    """As the tick's worker measured it; a tick of an older worker, which does not say, moves it a
    little. Then the clock is set right.
    """
    clock = Clock(T, A).ticked(A + HALF_AN_HOUR, passed)
    assert clock.time == T + moved
    clock = clock.ticked(A + 2 * SECOND, SECOND)
    assert clock.time == T + min(moved + SECOND, 2 * SECOND)
    assert clock.ticked(A + 3 * SECOND, SECOND).time == clock.time + SECOND


@pytest.mark.parametrize("said", [0, 1, 300_000])
def test_what_a_forged_tick_does_not_count_is_left_for_the_next(said: int) -> None:
    """A producer of ticks that pass no time would otherwise stop a lane's time."""
    clock = Clock(T, A).ticked(A + SECOND, said).ticked(A + 2 * SECOND, said)
    assert clock.ticked(A + 3 * SECOND, 3 * SECOND).time == T + 3 * SECOND


def test_an_event_that_moves_no_time_is_no_sign_that_none_passed() -> None:
    """A late one each second: the tick after them counts from the event that moved time."""
    _, clock = advanced(
        Clock(T, A), [(T - HALF_AN_HOUR, A + SECOND), (T - HALF_AN_HOUR, A + 2 * SECOND)]
    )
    assert clock == Clock(T, A)
    assert clock.ticked(A + 3 * SECOND, 3 * SECOND).time == T + 3 * SECOND
    _, clock = advanced(
        Clock(T, A), [(T + SECOND, A + SECOND), (T + SECOND, A + 2 * SECOND), (T, A + 3 * SECOND)]
    )
    assert clock == Clock(T + SECOND, A + SECOND)


@pytest.mark.parametrize("passed", [HALF_AN_HOUR, 10**17])
def test_a_forged_tick_moves_time_no_further_than_append_times(passed: int) -> None:
    """A producer of telemetry may write anything."""
    assert Clock(T, A).ticked(A + 300, passed).time == T + 300


def test_an_event_that_a_wrong_clock_stamped_spoils_no_tick_after_it() -> None:
    """Its broker was half an hour ahead, or behind; the ticks that follow go on from the right
    clock.
    """
    for wrong in (HALF_AN_HOUR, -HALF_AN_HOUR):
        _, clock = advanced(Clock(), [(T, A), (T + SECOND, A + wrong)])
        assert clock.time <= T + SECOND
        clock = clock.ticked(A + 2 * SECOND, SECOND)
        assert clock.ticked(A + 3 * SECOND, SECOND).time - clock.time == SECOND


def test_an_old_tick_moves_no_time() -> None:
    """Its append time lies before the last record's."""
    _, clock = advanced(Clock(), [(1_000, 5_000)])
    assert clock.ticked(4_000, 1_000) == Clock(time=1_000, append=4_000)


def test_a_tick_before_the_first_event_moves_nothing() -> None:
    """Without an event there is no event time."""
    assert Clock().ticked(5_000, 5_000) == Clock()


MOST_AHEAD = 300 * SECOND


def judged(stamps: Stamps, pairs: list[tuple[int, int]]) -> tuple[list[str], Stamps]:
    """What is said of each (event time, append time), and what is known afterwards."""
    events, appends = np.array(pairs, np.int64).T
    ahead, behind, after = stamps.judged(events, appends, MOST_AHEAD)
    if ahead is None or behind is None:
        return ["well"] * len(pairs), after
    return [
        "broker" if of_broker else "producer" if is_ahead else "well"
        for is_ahead, of_broker in zip(ahead.tolist(), behind.tolist(), strict=True)
    ], after


def test_the_clock_that_is_wrong_is_named() -> None:
    """A producer an hour ahead is; where a broker an hour behind takes over, that one is, for as
    long as it is.
    """
    hour = 3_600 * SECOND
    said, stamps = judged(Stamps(), [(A, A), (A + hour, A + 1), (A + 2, A + 2)])
    assert said == ["well", "producer", "well"]
    for minute in range(180):
        now = A + minute * 60 * SECOND
        said, stamps = judged(stamps, [(now, now - hour), (now + 2 * hour, now - hour)])
        assert said[0] == "broker"
    later = A + 180 * 60 * SECOND
    said, stamps = judged(stamps, [(later, later), (later + hour, later)])
    assert said == ["well", "producer"]


def test_a_broker_that_was_ahead_leaves_no_blame() -> None:
    """Together with a producer that was ahead too; the first event on which producer and broker
    agree sets it right.
    """
    hour = 3_600 * SECOND
    said, _ = judged(Stamps(), [(A, A), (A + hour, A + hour), (A + 1, A + 1), (A + hour, A + 2)])
    assert said == ["well", "well", "well", "producer"]


JUDGED = st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), min_size=1, max_size=30)


@given(JUDGED, st.data())
def test_blame_does_not_depend_on_where_a_batch_was_cut(
    seconds: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Dead letters are the same to the byte on every replay."""
    pairs = [(A + event * SECOND, A + append * SECOND) for event, append in seconds]
    whole, after = judged(Stamps(), pairs)
    stamps, said, start = Stamps(), list[str](), 0
    while start < len(pairs):
        end = data.draw(st.integers(start + 1, len(pairs)))
        piece, stamps = judged(stamps, pairs[start:end])
        said += piece
        start = end
    assert (said, stamps) == (whole, after)
