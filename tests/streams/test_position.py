"""Where a lane goes on: every case of what is stored, committed, and in the log."""

import pytest

from streams.state.chunks import NewerState
from streams.state.position import OURS, Committed, Log, Position, Refused, start_of

LOG = Log("id-1", begin=100, end=200)


@pytest.mark.parametrize(
    ("committed", "offset"),
    [(None, 100), (150, 150), (100, 100), (200, 200), (50, 100), (900, 200)],
    ids=["nothing", "inside", "begin", "end", "before the log", "after the log"],
)
def test_without_a_stored_position_a_lane_begins_at_the_committed_offset_or_the_begin(
    committed: int | None, offset: int
) -> None:
    """The committed offset counts only as far as the log goes; it is a first start, so nothing
    jumped.
    """
    by_hand = None if committed is None else Committed(committed, "")
    start = start_of("detect/0", None, by_hand, LOG)
    assert start.position == Position(offset, "id-1")
    assert (start.first, start.jumped) == (True, 0)


@pytest.mark.parametrize("offset", [100, 150, 200])
def test_a_stored_position_is_the_truth(offset: int) -> None:
    """It stands above whatever is committed."""
    start = start_of("detect/0", Position(offset, "id-1"), Committed(199, OURS), LOG)
    assert (start.position, start.first, start.jumped) == (Position(offset, "id-1"), False, 0)


def test_a_lane_whose_state_is_gone_is_refused() -> None:
    """A worker has committed, and there is nothing that it knew: going on would forget open
    buckets, and say nothing.
    """
    with pytest.raises(
        Refused,
        match=r"detect/3: its state is gone.*committed offset 150.*lanes reset detect --lane 3",
    ):
        start_of("detect/3", None, Committed(150, OURS), LOG)


def test_where_the_broker_keeps_nothing_a_lane_without_state_begins_at_the_committed_offset() -> (
    None
):
    """The embedded broker drops state by itself; it gives topics no ids."""
    assert (
        start_of("detect/3", None, Committed(150, OURS), Log(None, 100, 200)).position.offset == 150
    )


def test_a_log_that_begins_later_is_a_jump() -> None:
    """Retention took records away: it goes on at the begin, and says how many offsets are gone."""
    start = start_of("detect/0", Position(40, "id-1"), None, LOG)
    assert (start.position.offset, start.jumped, start.first) == (100, 60, False)


def test_another_topic_under_the_name_is_refused() -> None:
    """The line names the command that resets the lane."""
    with pytest.raises(
        Refused, match=r"made again.*run: sentinel lanes reset detect --lane 3 --yes$"
    ):
        start_of("detect/3", Position(150, "id-0"), None, LOG)


def test_a_position_past_the_end_is_refused() -> None:
    """Records that were counted are gone; only a person can say whether that was meant."""
    with pytest.raises(
        Refused,
        match=r"at offset 201, but the log ends at 200; .*lanes reset detect --lane 3 --yes$",
    ):
        start_of("detect/3", Position(201, "id-1"), None, LOG)


@pytest.mark.parametrize(("stored", "log"), [(None, "id-1"), ("id-1", None), (None, None)])
def test_topics_without_ids_are_not_compared(stored: str | None, log: str | None) -> None:
    """A broker that gives no ids (the embedded one) refuses nobody."""
    assert (
        start_of("detect/0", Position(150, stored), None, Log(log, 100, 200)).position.offset == 150
    )


def test_a_position_reads_back_as_it_was_written() -> None:
    """Both fields, also without an id."""
    for position in (Position(7, "id-1"), Position(0, None)):
        assert Position.from_bytes(position.to_bytes()) == position


def test_a_position_of_a_newer_program_is_refused() -> None:
    """What a newer version means by its fields is not known here."""
    newer = Position(7, "id-1").to_bytes().replace(b'"version":1', b'"version":2')
    with pytest.raises(NewerState, match="version 2"):
        Position.from_bytes(newer)
