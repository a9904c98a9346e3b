"""A lane's memory is bounded: subjects have a budget, idle ones expire, an idle lane stands
still.
"""

import numpy as np
import pytest

from agents.detectors.settings import DetectionSettings, Profile
from schemas.records.aggregates import Aggregate
from streams.settings import Lanes
from streams.state.position import Refused
from streams.state.subjects import OVERFLOW
from tests.detection.lanes import NAMES, RunLane
from tests.detection.test_cutting import ticked
from tests.harness.telemetry_log import good

SMALL = Lanes(partitions=1, subjects_per_tenant=20, users_per_tenant=10, subject_expiry_s=600)
USERS = {"0": DetectionSettings(profile=Profile())}


def told(lane: RunLane) -> list[Aggregate]:
    """The aggregates, read back."""
    return [Aggregate.from_bytes(value) for _, value in lane.aggregates]


def test_a_tenant_with_very_many_applications_costs_its_budget() -> None:
    """They count into one overflow subject, whose requests are all there; the neighbour tenant
    keeps a subject of its own.
    """
    lane = RunLane(USERS, SMALL)
    number = 0
    for turn in range(20):
        records = []
        for _ in range(500):
            records.append(good(number, turn, application=f"a{number}", user=f"u{number}"))
            number += 1
        records.append(good(number, turn, tenant="neighbour", user="ann"))
        number += 1
        lane.takes(records)
    lane.takes([good(number, 100, tenant="neighbour")])
    lane.flushes()
    by_tenant = {
        tenant: [one for one in told(lane) if one.tenant == tenant]
        for tenant in ("acme", "neighbour")
    }
    assert len({one.application for one in by_tenant["acme"]}) == 21
    assert sum(one.requests for one in by_tenant["acme"]) == 10_000
    assert (
        sum(one.requests for one in by_tenant["acme"] if one.application == OVERFLOW) == 10_000 - 20
    )
    assert sum(one.requests for one in by_tenant["neighbour"]) == 20
    assert sum(map(len, lane.state.rows.values())) < 200_000


def test_idle_subjects_expire_in_event_time_with_tombstones() -> None:
    """After their time nothing of them is left in the state topic, and their rows are given
    again.
    """
    lane = RunLane(USERS, SMALL)
    lane.takes(
        [good(number, 0, application=f"old{number}", user=f"u{number}") for number in range(19)]
    )
    for number in range(20, 200):
        lane.takes([good(number, 10.0 * number, application="busy", user="ann")])
    lane.flushes()
    text = b"".join(lane.state.rows.values())
    assert b"busy" in text
    assert b"old" not in text
    assert not any(b"u%d" % number in text for number in range(20))
    state = lane.lane._state
    series, users, applications = state.series, state.users, state.applications
    for names, tables in (
        (series.subjects, [series.seen, *series.attached]),
        (users.subjects, [users.seen, *users.attached]),
        (applications, state._of_applications),
    ):
        for table in tables:
            free = np.setdiff1d(np.arange(20), names.sorted_rows())
            assert not table.rows[free].tobytes().strip(b"\0"), table.spec.name
    lane.takes(
        [
            good(number, 2000.0 + number / 10, application=f"new{number}")
            for number in range(200, 215)
        ]
    )
    lane.takes([good(300, 2100, application="busy")])
    assert {one.application for one in told(lane) if one.application != "busy"} == {
        *(f"old{number}" for number in range(19)),
        *(f"new{number}" for number in range(200, 215)),
    }


def test_a_subject_that_comes_back_as_it_expires_keeps_its_name() -> None:
    """Its events stand in an open bucket when it would be forgotten: they are not counted as
    another's, nor lost.
    """
    lane = RunLane({"0": DetectionSettings(profile=Profile(enabled=False))}, SMALL)
    lane.takes([good(0, 0, application="back"), good(1, 0, application="busy")])
    number = 2
    for second in range(10, 3000, 10):
        lane.takes([good(number, second, application="busy")])
        number += 1
        if second == 1010:
            # The next record closes the bucket at whose close idle subjects are looked for; this
            # one stands in the bucket behind it.
            lane.takes(
                [good(number, 1012, application="back"), good(number + 1, 1012, application="back")]
            )
            number += 1
            number += 1
    lane.takes([good(number, 4000, application="busy")])
    counted = {
        name: sum(one.requests for one in told(lane) if one.application == name)
        for name in ("back", "busy")
    }
    assert counted == {"back": 3, "busy": 1 + len(range(10, 3000, 10))}


def test_an_idle_lane_closes_its_buckets_by_ticks_and_then_wants_no_more() -> None:
    """The last event is in an aggregate within its bucket and the lateness; silence can be noticed
    for ten minutes; then nothing moves.
    """
    lane = RunLane()
    assert not lane.lane.wants_ticks
    lane.takes([good(0, 0)])
    number = 1
    while lane.lane.wants_ticks:
        lane.takes([ticked(number, float(number))])
        number += 1
    assert [one.requests for one in told(lane)] == [1.0]
    assert 600 <= number <= 640
    lane.flushes()
    lane.stops_and_goes_on()
    assert not lane.lane.wants_ticks
    lane.takes([ticked(number, float(number))])
    assert not lane.lane.wants_ticks
    assert lane.sent[NAMES.anomalies] == []


def test_a_jump_of_fifty_years_closes_at_once_what_is_open() -> None:
    """A lane whose producers come back after a long time, or were off by years, is not busy with
    millions of empty buckets.
    """
    lane = RunLane()
    lane.takes([good(0, 0)])
    lane.takes([good(1, 50 * 365 * 86_400)])
    assert [one.requests for one in told(lane)] == [1.0]
    assert lane.sent[NAMES.anomalies] == []


@pytest.mark.parametrize(
    "limits", [Lanes(partitions=2, bucket_s=20), Lanes(partitions=2, lateness_s=60)]
)
def test_another_bucket_width_or_lateness_is_refused(limits: Lanes) -> None:
    """Bucket numbers would mean other times: the line says what the state was made with and how to
    let it learn anew.
    """
    lane = RunLane()
    lane.takes([good(0, 0)])
    lane.flushes()
    other = RunLane(limits=limits)
    with pytest.raises(
        Refused, match=r"bucket_s 10 and lanes.lateness_s 5; .* lanes reset detect --lane 3 --yes"
    ):
        other.lane.restore(lane.state.rows)
