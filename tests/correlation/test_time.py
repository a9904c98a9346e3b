"""Time is event time: the least watermark of the lanes that move; it never goes back."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.correlation.source_lanes import SourceLanes
from schemas.records.anomalies import INTAKE
from schemas.records.incidents import IncidentChange
from streams.state.chunks import seal
from tests.correlation.timeline import (
    Lane,
    anomaly,
    arrives,
    changes,
    ends,
    micros,
    tick,
    watermark,
)


def test_slowest_lane_holds_the_time() -> None:
    """An incident is not over while a lane that moves may still be in its time."""
    lane = Lane()
    lane.at(0, watermark(0, lane=0, source_offset=1), watermark(0, lane=1, source_offset=1))
    lane.at(1, arrives(anomaly(0, source=(0, 2, 0))), ends(0, anomaly(0), source=(0, 2, 1)))
    assert lane.at(30, watermark(900, lane=0, source_offset=3)) == []
    [resolved] = lane.at(31, watermark(180, lane=1, source_offset=2))
    assert resolved.change is IncidentChange.RESOLVED


def test_lane_that_moves_no_more_is_left_behind_after_a_minute() -> None:
    """An idle or dead lane does not hold the others' incidents open for ever."""
    lane = Lane()
    lane.at(0, watermark(0, lane=0, source_offset=1), watermark(0, lane=1, source_offset=1))
    lane.at(1, arrives(anomaly(0, source=(0, 2, 0))), ends(0, anomaly(0), source=(0, 2, 1)))
    lane.idles(1, 60)
    assert lane.at(60, watermark(900, lane=0, source_offset=3)) == []
    [resolved] = lane.at(60.000001, watermark(901, lane=0, source_offset=4))
    assert resolved.change is IncidentChange.RESOLVED


def test_lane_that_speaks_late_is_heard_in_its_own_time() -> None:
    """Catching up, a lane behind the others keeps one incident open, though the time is far
    ahead.
    """
    lane = Lane()
    lane.at(0, watermark(5000, lane=0, source_offset=1), watermark(0, lane=1, source_offset=1))
    for i in range(10):
        lane.at(i, arrives(anomaly(i * 100, source=(1, 2 * i + 2, 0))))
        lane.at(i, watermark(i * 100, lane=1, source_offset=2 * i + 3))
    assert changes(lane.told) == [IncidentChange.OPENED]


@settings(deadline=None)
@given(
    moves=st.lists(
        st.tuples(st.integers(0, 4), st.integers(-50, 1000), st.integers(-20, 90)),
        min_size=1,
        max_size=60,
    )
)
def test_time_never_goes_back(moves: list[tuple[int, int, int]]) -> None:
    """Whatever lanes say, in whatever order, and wherever append times jump."""
    lanes = SourceLanes(active_us=micros(60) - micros(0))
    append, seen, appended = 0, lanes.time, lanes.append
    for lane, second, step in moves:
        append += step
        lanes.moved(lane, 0, micros(second), micros(append))
        lanes.passed(micros(append))
        assert lanes.time >= seen
        assert lanes.append >= appended
        seen, appended = lanes.time, lanes.append


def test_an_anomaly_beyond_the_logs_end_blinds_a_lane_no_longer_than_to_its_next_watermark() -> (
    None
):
    """Nothing before a new watermark can have named a later record than the one that made it. What
    came before is counted.
    """
    lanes = SourceLanes(active_us=60_000_000)
    assert lanes.is_new(0, 2**31 - 1, 0)
    assert not lanes.is_new(0, 12, 0)
    assert (lanes.came_before, lanes.taken_back) == (1, 0)
    lanes.moved(0, 12, micros(20), micros(30))
    assert lanes.taken_back == 1
    assert [lanes.is_new(0, 12, 1), lanes.is_new(0, 13, 0), lanes.is_new(0, 13, 0)] == [
        True,
        True,
        False,
    ]
    lanes.moved(0, 5, micros(20), micros(31))
    assert lanes.taken_back == 1


def test_a_broker_whose_clock_was_ahead_ends_no_incident() -> None:
    """One record half an hour ahead would leave every lane silent until the right clocks come up to
    it.
    """
    lane = Lane()
    lane.at(0, watermark(0, lane=0, source_offset=1), arrives(anomaly(0, source=(0, 2, 0))))
    lane.at(1801, tick(passed=1.0))
    for second in range(2, 120, 2):
        assert (
            lane.at(second, watermark(second, lane=0, source_offset=second), tick(passed=2.0)) == []
        )
    lane.flush()
    lane.restart()
    assert lane.at(130, tick(passed=10.0)) == []
    assert lane.core.open_incidents == 1


@pytest.mark.parametrize("said", ["watermark", "anomaly", "end"])
def test_no_record_of_a_broker_whose_clock_was_ahead_silences_another_lane(said: str) -> None:
    """Whatever it is that the broker stamped: ticks come each second, so that no half hour can have
    passed.
    """
    lane, beside = Lane(), anomaly(0, source=(0, 6, 0), application="beside")
    lane.at(0, watermark(0, lane=0, source_offset=1), watermark(0, lane=1, source_offset=1))
    lane.at(0, arrives(anomaly(0, source=(1, 5, 0))), arrives(beside))
    for second in range(10, 60, 10):
        lane.at(
            second,
            *(watermark(second, lane=source, source_offset=100 + second) for source in (0, 1)),
        )
    jumped = {
        "watermark": watermark(60, lane=0, source_offset=160),
        "anomaly": arrives(anomaly(60, source=(0, 160, 0), application="beside")),
        "end": ends(60, beside, source=(0, 160, 0)),
    }[said]
    assert lane.at(60 + 4 * 86_400, jumped) == []
    assert lane.at(61, watermark(60, lane=1, source_offset=160)) == []
    assert lane.core.open_incidents == 2


def test_silence_is_noticed_after_a_clock_went_back() -> None:
    """What passes is counted from there."""
    lane = Lane()
    lane.at(1800, watermark(0, lane=0, source_offset=1), arrives(anomaly(0, source=(0, 2, 0))))
    told = [
        change for second in range(1, 1000) for change in changes(lane.at(second, tick(passed=1.0)))
    ]
    assert told == [IncidentChange.NO_DATA]


def test_state_of_an_older_version_goes_on() -> None:
    """It had one append time for both."""
    lanes = SourceLanes(active_us=micros(60) - micros(0))
    lanes.restore([(b"time", seal(1, struct.pack("<qq", 5, 7)))])
    assert (lanes.time, lanes.append, lanes.stamped) == (5, 7, 7)


def test_an_anomaly_ahead_of_its_lane_waits_for_the_lane_to_come_there() -> None:
    """Records that are refused move no watermark: after a quiet night their anomaly lies hours
    ahead of it. Neither other lanes nor the lane's own word from the evening end the incident, and
    none of it is older than it was opened.
    """
    lane, morning = Lane(), 8 * 3600
    lane.at(0, watermark(0, lane=0, source_offset=1), watermark(0, lane=1, source_offset=1))
    refused = anomaly(morning, source=(0, 2, 0), metric="bad_records", model=None, detector=INTAKE)
    [opened] = lane.at(morning, watermark(600, lane=0, source_offset=2), arrives(refused))
    assert opened.opened_at == micros(morning)
    assert lane.at(morning + 1, watermark(morning, lane=1, source_offset=9)) == []
    assert lane.at(morning + 30, watermark(morning + 20, lane=0, source_offset=30)) == []
    assert lane.at(morning + 60, ends(morning + 60, refused, source=(0, 60, 0))) == []
    assert lane.at(morning + 90, watermark(morning + 80, lane=0, source_offset=90)) == []
    assert lane.at(morning + 249, watermark(morning + 240, lane=1, source_offset=99)) == []
    [resolved] = lane.at(morning + 250, watermark(morning + 240, lane=0, source_offset=250))
    assert (resolved.change, resolved.resolved_at) == (
        IncidentChange.RESOLVED,
        micros(morning + 240),
    )
