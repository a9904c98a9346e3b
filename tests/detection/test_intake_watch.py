"""A lane tells whose records are refused, late or ahead of the clock, with what is wrong and what
to do, and that it is over.
"""

from dataclasses import replace

import orjson
import pytest

from agents.detectors.settings import DetectionSettings, Profile
from schemas.records.anomalies import INTAKE, Anomaly, Severity, SignalChange, SignalStatus
from streams.control.records import PASSED, SIGNAL, TICK
from streams.lane.outgoing import Outgoing
from streams.state.chunks import seal, unseal
from tests.detection.lanes import NAMES, RunLane
from tests.harness.telemetry_log import LANE, START_MS, Rec, good, raw

pytestmark = pytest.mark.usefixtures("with_and_without_native_code")

QUIET = {"0": DetectionSettings(profile=Profile(enabled=False))}
HOUR_S = 3_600.0


def told(lane: RunLane) -> list[Anomaly]:
    """What the lane found about its input."""
    return [one for one in lane.anomalies if one.detector == INTAKE]


def ended(lane: RunLane) -> list[SignalChange]:
    """What is over of it."""
    signals = [
        dict(sent.headers)[SIGNAL] for sent in lane.sent[NAMES.anomalies] if _is_signal(sent)
    ]
    return [one for one in map(SignalChange.from_bytes, signals) if one.detector == INTAKE]


def _is_signal(sent: Outgoing) -> bool:
    return any(name == SIGNAL for name, _ in sent.headers)


def two_tenants(count: int, behind_s: float, first: int = 0, other: str = "small") -> list[Rec]:
    """A large tenant on time, and every tenth record of a small one whose clock is that much
    behind.
    """
    records = []
    for number in range(first, first + count):
        at = number * 0.1
        if number % 10:
            records.append(good(number, at, tenant="large"))
        else:
            records.append(good(number, at - behind_s, at, tenant=other, application="shop"))
    return records


def test_a_tenant_whose_clock_is_an_hour_off_is_told_with_what_to_do() -> None:
    """Though its neighbour sends nine times as much; once, over restarts too; and that it is over
    when on-time events come.
    """
    lane = RunLane(QUIET)
    for first in range(0, 3_000, 500):
        lane.takes(two_tenants(500, HOUR_S, first))
        lane.stops_and_goes_on()
    (found,) = told(lane)
    assert (found.tenant, found.application, found.metric, found.first) == (
        "small",
        "shop",
        "late_events",
        True,
    )
    assert found.severity is Severity.HIGH
    assert "20 of the last 20 records of small/shop arrived 60 min late" in found.reason
    assert "off by 1 h, which is a time zone" in found.reason
    assert f"telemetry/{LANE}@{found.offset}" in found.reason
    assert {each.name: each.value for each in found.evidence}["least_us"] == HOUR_S * 1e6
    assert ended(lane) == []
    lane.takes(two_tenants(400, 0.0, 3_000))
    (over,) = ended(lane)
    assert (over.tenant, over.application, over.metric, over.status) == (
        "small",
        "shop",
        "late_events",
        SignalStatus.NORMAL,
    )


def test_a_producer_that_buffers_is_told_apart_from_a_time_zone() -> None:
    """By how different the delays are."""
    lane = RunLane(QUIET)
    records = [good(number, number * 0.1, tenant="large") for number in range(1_000)]
    records += [
        good(1_000 + number, 100 - 12 - number, 100 + number * 0.1, application="batch")
        for number in range(60)
    ]
    lane.takes(records)
    (found,) = told(lane)
    assert "delays them for longer than lanes.lateness_s (5 s)" in found.reason


def test_events_ahead_of_the_clock_are_told_apart_from_other_refusals() -> None:
    """They are dead letters too, and the same advice holds."""
    lane = RunLane(QUIET)
    lane.takes(two_tenants(600, -2 * HOUR_S))
    (found,) = told(lane)
    assert (found.tenant, found.metric) == ("small", "ahead_events")
    assert "120 min ahead" in found.reason
    assert "time zone" in found.reason


def test_nine_hundred_refused_records_of_a_tenant_are_told_with_reason_field_and_application() -> (
    None
):
    """The names are those in the record where it can be read, whatever its key; a sample says where
    it is.
    """
    lane = RunLane(QUIET)
    refused = [
        replace(
            good(number, number * 0.1, tenant="small", application="shop", latency_us=-5), key=None
        )
        for number in range(900)
    ]
    lane.takes(refused)
    (found,) = told(lane)
    assert (found.tenant, found.application, found.metric) == ("small", "shop", "bad_records")
    assert [(each.value, each.count) for each in found.breakdown] == [
        ("latency_us is negative", 20)
    ]
    assert f"latency_us is negative (20); the last one is telemetry/{LANE}@19" in found.reason
    lane.takes(
        [
            good(900 + number, 100 + number, tenant="small", application="shop")
            for number in range(30)
        ]
    )
    assert [each.metric for each in ended(lane)] == ["bad_records"]


def test_records_that_cannot_be_read_count_for_their_key() -> None:
    """And for nobody known where there is none."""
    lane = RunLane(QUIET)
    lane.takes([raw(number, 0, b"garbage", key=b"acme/shop") for number in range(30)])
    lane.takes([raw(30 + number, 0, b"garbage", key=None) for number in range(30)])
    assert [(one.tenant, one.application) for one in told(lane)] == [
        ("acme", "shop"),
        ("(unknown)", "(intake)"),
    ]


def test_a_time_in_another_unit_is_told_so() -> None:
    """Seconds or milliseconds, where microseconds belong."""
    lane = RunLane(QUIET)
    event = good(0, 0)
    lane.takes([event])
    at = 1_760_000_000
    lane.takes(
        [
            good(1 + number, 0, tenant="small", event_time=at * unit)
            for number, unit in enumerate([1, 1_000] * 20)
        ]
    )
    (found,) = told(lane)
    assert "seconds or milliseconds where microseconds belong?" in found.reason


def since_start(time: int) -> float:
    """Seconds from the start of the log to a time, µs."""
    return time / 1e6 - START_MS / 1e3


def idle(lane: RunLane, offset: int, at_s: float) -> float:
    """Ticks until the lane wants no more: the second after the last."""
    while lane.lane.wants_ticks:
        lane.takes([raw(offset, at_s, None, (TICK, b"1"), (PASSED, b"1000000"), key=None)])
        offset, at_s = offset + 1, at_s + 1
    return at_s


def test_a_lane_without_a_good_event_tells_bad_records_with_the_time_at_which_they_came() -> None:
    """It has no other; 1970 would be too old for every receiver, and for the store."""
    lane = RunLane(QUIET)
    lane.takes([raw(number, number, b"x", key=b"small/shop") for number in range(10)])
    lane.stops_and_goes_on()
    lane.takes([raw(number, number, b"x", key=b"small/shop") for number in range(10, 40)])
    (found,) = told(lane)
    assert since_start(found.event_time) == 19
    assert (since_start(found.window_start), since_start(found.window_end)) == (10, 20)


@pytest.mark.parametrize("behind_s", [0.0, 2 * HOUR_S])
@pytest.mark.parametrize("kind", ["bad_records", "ahead_events", "late_events"])
def test_what_comes_after_a_quiet_night_is_told_with_the_time_of_the_morning(
    kind: str, behind_s: float
) -> None:
    """The lane's clock stands still since it was idle; a lane whose events lie behind the wall
    clock is not overtaken.
    """
    lane = RunLane(QUIET)
    lane.takes([good(number, number - behind_s, number) for number in range(60)])
    idle(lane, 60, 60)
    lane.stops_and_goes_on()
    first, morning = 10_000, 8 * HOUR_S

    def wrong(number: int) -> Rec:
        at = morning + number
        if kind == "bad_records":
            return raw(first + number, at, b"x", key=b"acme/shop")
        return good(first + number, at + {"ahead_events": 1, "late_events": -10}[kind] * HOUR_S, at)

    lane.takes([wrong(number) for number in range(30)])
    (found,) = told(lane)
    assert (found.metric, since_start(found.event_time)) == (kind, morning + 19 - behind_s)
    lane.takes(
        [
            good(first + 100 + number, morning + 100 + number - behind_s, morning + 100 + number)
            for number in range(60)
        ]
    )
    (over,) = ended(lane)
    assert (over.metric, over.status) == (kind, SignalStatus.NORMAL)
    assert morning + 100 <= since_start(over.event_time) + behind_s <= morning + 160


def test_a_broker_whose_clock_is_ahead_moves_no_report() -> None:
    """Good events beside the bad ones say the time."""
    lane, year = RunLane(QUIET), 365 * 24 * HOUR_S
    for number in range(0, 60, 2):
        lane.takes(
            [
                good(number, number, number + year),
                raw(number + 1, number + year, b"x", key=b"small/shop"),
            ]
        )
    (found,) = told(lane)
    assert 38 <= since_start(found.event_time) <= 40


def test_a_tenant_that_sends_nothing_more_is_without_data_and_then_given_up() -> None:
    """Its lane goes on by others; a worker that takes over knows it, and what comes again is told
    as the same and then as another.
    """
    lane = RunLane({"0": DetectionSettings(profile=Profile(enabled=False), give_up_buckets=60)})
    lane.takes(
        [good(0, 0), *(raw(1 + number, number, b"x", key=b"small/shop") for number in range(20))]
    )
    lane.takes([good(100 + number, 20 + 10 * number) for number in range(30)])
    lane.stops_and_goes_on()
    (silent,) = ended(lane)
    assert (silent.tenant, silent.metric, silent.status) == (
        "small",
        "bad_records",
        SignalStatus.NO_DATA,
    )
    assert silent.since is not None
    assert 10 <= since_start(silent.since) <= 30
    assert since_start(silent.event_time) - since_start(silent.since) == 180
    assert silent.reason.startswith("no record of small/shop since 2025-10-09 08:5")
    lane.takes([raw(200 + number, 330 + number, b"x", key=b"small/shop") for number in range(5)])
    first, again = told(lane)
    assert (first.first, again.first, again.reason[:34]) == (
        True,
        False,
        "after a time without records, 1 of",
    )
    lane.takes([good(300 + number, 340 + 10 * number) for number in range(80)])
    assert [each.status for each in ended(lane)[1:]] == [
        SignalStatus.NO_DATA,
        SignalStatus.GIVEN_UP,
    ]
    lane.takes([raw(400 + number, 1_200 + number, b"x", key=b"small/shop") for number in range(20)])
    assert [one.first for one in told(lane)] == [True, False, True]


def test_state_of_before_levels_knew_when_they_were_heard_of_is_read() -> None:
    """They count from there."""
    lane = RunLane(QUIET)
    lane.takes(
        [good(0, 0), *(raw(1 + number, number, b"x", key=b"small/shop") for number in range(20))]
    )
    lane.flushes()
    _, body = unseal(lane.state.rows[b"meta"], 6, "meta")
    row = bytes(body)
    start = row.index(b'{"faults"')
    kept = orjson.loads(row[start:])
    ((tenant, application, level),) = kept["faults"]["bad_records"][1]
    kept["faults"]["bad_records"][1] = [(tenant, application, level[:11])]
    lane.state.rows[b"meta"] = seal(5, row[:start] + orjson.dumps(kept))
    lane.lane = lane._new()
    lane.lane.restore(lane.state.rows)
    lane.takes([good(100 + number, 20 + 10 * number) for number in range(30)])
    assert [each.status for each in ended(lane)] == [SignalStatus.NO_DATA]
