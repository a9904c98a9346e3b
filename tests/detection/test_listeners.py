"""A lane tells its watermark where something waits for it, for as long as something does, and
nowhere else.
"""

import itertools
import struct
from collections.abc import Sequence
from dataclasses import replace

import pytest

from agents.correlation.settings import CorrelationSettings
from agents.detection.listeners import Listeners
from agents.detectors.settings import Comparison, DetectionSettings, Deviation, Profile, Rule
from agents.stages.correlate import CorrelateLane
from schemas.records.anomalies import SignalChange
from schemas.records.incidents import Incident, IncidentChange
from streams.control.records import SIGNAL, WATERMARK, header
from streams.lane.outgoing import Outgoing
from streams.records.partitioners import murmur2_partitions
from streams.settings import Lanes
from streams.state.chunks import seal, unseal
from tests.detection.lanes import NAMES, RunLane, run
from tests.detection.test_cutting import control, ticked
from tests.harness.reference.reading import Stored
from tests.harness.reference.undisturbed import block_of
from tests.harness.telemetry_log import START_MS, Rec, good, raw

MANY = Lanes(partitions=64)
SLOW = Rule("slow", "latency_us", Comparison.ABOVE, 2_000_000)
ALONE = {"deviation": Deviation(enabled=False), "profile": Profile(enabled=False)}
RULES = {"0": DetectionSettings(rules=(SLOW,), **ALONE), "none": DetectionSettings(**ALONE)}  # type: ignore[arg-type]
SECOND = 1_000_000
HOUR_S = 3600


HOME = {"acme": "app108", "other": "app3"}
"""Applications that belong to the lane of these logs, so that nothing is to be said of their
place.
"""


def place(tenant: str) -> int:
    """Where the tenant's anomalies go."""
    return int(murmur2_partitions([tenant.encode()], MANY.partitions)[0])


def calls(
    seconds: Sequence[int], *, slow_at: Sequence[int] = (), tenant: str = "acme", first: int = 0
) -> list[Rec]:
    """One call at each of these seconds."""
    took = dict.fromkeys(slow_at, 3_000_000)
    return [
        good(
            first + n,
            second,
            tenant=tenant,
            application=HOME[tenant],
            latency_us=took.get(second, 1000),
        )
        for n, second in enumerate(seconds)
    ]


def marks(sent: Sequence[Outgoing]) -> list[tuple[int | None, int]]:
    """Partition, and watermark in seconds since the log began, in order."""
    found = [(one.partition, header(one.headers, WATERMARK)) for one in sent]
    return [
        (to, int(mark.split()[2]) // SECOND - START_MS // 1000)
        for to, mark in found
        if mark is not None
    ]


def last_end(lane: RunLane) -> int:
    """Event time of the last change that ended a signal, seconds since the log began."""
    told = [header(one.headers, SIGNAL) for one in lane.sent[NAMES.anomalies]]
    changes = [SignalChange.from_bytes(one) for one in told if one is not None]
    return changes[-1].event_time // SECOND - START_MS // 1000


def test_a_lane_that_has_nothing_to_say_writes_nothing() -> None:
    """Hours of traffic, 64 partitions: not one record."""
    lane = run(calls(range(0, 10_000, 20)), RULES, limits=MANY)
    assert lane.sent[NAMES.anomalies] == []
    assert lane.aggregates


def test_an_anomaly_of_one_tenant_makes_one_partition_listen() -> None:
    """From the watermark before it on, at each close, though another tenant's events close buckets
    as well.
    """
    others = calls(range(0, 600, 10), tenant="other")
    one = calls([105], slow_at=[105])[0]
    records = [*others[:11], one, *others[11:]]
    lane = run([replace(each, offset=n) for n, each in enumerate(records)], RULES, limits=MANY)
    told = marks(lane.sent[NAMES.anomalies])
    assert {to for to, _ in told} == {place("acme")}
    assert [at for _, at in told] == [*range(100, 590, 10)]
    assert [each.value is not None for each in lane.sent[NAMES.anomalies][:3]] == [
        False,
        True,
        False,
    ]


def test_a_partition_listens_until_its_incident_can_be_over() -> None:
    """An hour past the end of its last signal, then no more; and what is written to it then begins
    with the watermark again.
    """
    lane = run(calls(range(0, 6000, 10), slow_at=[100]), RULES, limits=MANY)
    told = [at for _, at in marks(lane.sent[NAMES.anomalies])]
    end = last_end(lane)
    assert told[-1] == end + HOUR_S < 5000
    assert told == [90, *range(100, told[-1] + 10, 10)]
    lane.takes(calls([6000, 6010, 6026], slow_at=[6010], first=600))
    assert [at for _, at in marks(lane.sent[NAMES.anomalies])][len(told) :] == [6000, 6020]


def test_a_partition_listens_while_a_signal_is_open_however_long() -> None:
    """A rule that fired once and is not kept since: its series has no events, others of the lane
    have.
    """
    hours = calls(range(0, 20_000, 30), tenant="other", first=10)
    lane = run([*calls([0], slow_at=[0]), *hours[1:]], RULES, limits=MANY)
    told = [at for to, at in marks(lane.sent[NAMES.anomalies]) if to == place("acme")]
    assert told[-1] > 19_900
    assert max(after - before for before, after in itertools.pairwise(told)) == 30


def test_a_leap_of_time_is_told_to_a_partition_that_listens_no_more_after_it() -> None:
    """The incident waits for just that watermark."""
    lane = run(
        calls([*range(0, 600, 10), 90_000, 90_020, 90_040], slow_at=[100]), RULES, limits=MANY
    )
    assert last_end(lane) < 600
    assert [at for _, at in marks(lane.sent[NAMES.anomalies])][-2:] == [580, 89_990]


def test_an_idle_lane_ticks_on_until_its_incident_can_be_over() -> None:
    """Settings retire a rule long after the last event: without ticks the watermark would never
    pass the quiet time.
    """
    lane = RunLane(RULES, MANY)
    lane.takes(calls([0, 10], slow_at=[10]))
    number, now = 2, 10.0
    while lane.lane.wants_ticks:
        now += 1
        lane.takes([ticked(number, now)])
        number += 1
    assert now < 700
    lane.takes([control(number, now, "none")])
    assert lane.lane.wants_ticks
    lane.stops_and_goes_on()
    while lane.lane.wants_ticks:
        number, now = number + 1, now + 1
        lane.takes([ticked(number, now)])
    assert marks(lane.sent[NAMES.anomalies])[-1][1] >= last_end(lane) + HOUR_S


def test_reports_of_intake_make_a_partition_listen_while_they_last() -> None:
    """Bad records, before there was any event and so any watermark; then hours without news."""
    bad = [raw(n, n, b"garbage", key=b"acme/shop") for n in range(40)]
    lane = run([*bad, *calls(range(50, 20_000, 50), tenant="other", first=40)], RULES, limits=MANY)
    report, *_ = lane.anomalies
    told = marks(lane.sent[NAMES.anomalies])
    assert {to for to, _ in told} == {place(report.tenant)}
    assert told[-1][1] > 19_000


def test_a_lane_of_an_earlier_release_tells_all_partitions_for_an_hour() -> None:
    """It does not know where something waits; what it does know, the open signals, listens on."""
    lane = RunLane(RULES, MANY)
    lane.takes(calls([0, 5, 20], slow_at=[0]))
    lane.flushes()
    _, body = unseal(lane.state.rows[b"meta"], 6, "meta")
    at = 8 * 8 + 1 + len("0")
    (size,) = struct.unpack_from("<I", body, at)
    lane.state.rows[b"meta"] = seal(4, bytes(body[:at]) + bytes(body[at + 4 + size :]))
    lane.lane = lane._new()
    lane.lane.restore(lane.state.rows)
    before = len(lane.sent[NAMES.anomalies])
    lane.takes(calls(range(30, 9000, 30), tenant="other", first=3))
    told = marks(lane.sent[NAMES.anomalies][before:])
    assert {to for to, at in told if at < 3600} == set(range(64))
    assert {to for to, at in told if at > 3700} == {place("acme")}


@pytest.mark.parametrize("cut", [7, 50])
def test_what_is_told_depends_neither_on_blocks_nor_on_restarts(cut: int) -> None:
    """To the byte, over the begin, the end and a second begin of listening."""
    records = calls(range(0, 8_000, 20), slow_at=[100, 7000])
    whole = run(records, RULES, limits=MANY)
    cuts = set(range(0, len(records), cut))
    stopped = run(records, RULES, cuts, {one for one in cuts if one % 11 == 0}, limits=MANY)
    assert stopped.sent == whole.sent
    assert stopped.state.rows == whole.state.rows


def test_what_is_kept_is_bounded_by_the_partitions() -> None:
    """A million tenants or one."""
    listeners = Listeners(4, 10)
    for number in range(1000):
        listeners.add(f"tenant {number}", number)
    assert len(listeners.to_bytes()) == 16 + 4 * 12
    assert listeners.notified(HOUR_S * SECOND + 999, lambda: ()) == [0, 1, 2, 3]
    assert len(listeners.to_bytes()) < 16 + 4 * 12


def correlated(*lanes: RunLane) -> list[Incident]:
    """What correlate makes of all that these wrote, one after the other, to its partition for
    acme.
    """
    program = CorrelateLane(place("acme"), CorrelationSettings(), NAMES)
    sent = [one for lane in lanes for one in lane.sent[NAMES.anomalies]]
    stored = [
        Stored(place("acme"), n, START_MS + n, one.key, one.value, one.headers)
        for n, one in enumerate(sent)
    ]
    made = program.step(block_of(NAMES.anomalies, 0, stored)).now
    return [Incident.from_bytes(one.value) for one in made if one.value is not None]


def test_an_incident_opens_and_is_resolved_by_the_watermarks_that_are_left() -> None:
    """Both stages together."""
    lane = run(calls(range(0, 1500, 10), slow_at=[100]), RULES, limits=MANY)
    opened, resolved = correlated(lane)
    assert (opened.change, resolved.change) == (IncidentChange.OPENED, IncidentChange.RESOLVED)
    assert (resolved.resolved_at or 0) // SECOND - START_MS // 1000 == last_end(lane) + 180


def test_the_first_anomaly_of_a_log_that_begins_anew_is_not_lost() -> None:
    """Its offset is below those that correlate knows of the lane; the watermark before it says
    why.
    """
    before = run(calls(range(0, 1500, 10), slow_at=[100], first=1_000_000), RULES, limits=MANY)
    anew = run(calls(range(9000, 9100, 10), slow_at=[9040]), RULES, limits=MANY)
    told = correlated(before, anew)
    assert [one.change for one in told] == [
        IncidentChange.OPENED,
        IncidentChange.RESOLVED,
        IncidentChange.OPENED,
    ]
    assert told[-1].opened_at // SECOND - START_MS // 1000 == 9040
