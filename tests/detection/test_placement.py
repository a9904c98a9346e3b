"""An application whose events come to a lane that is not its own is told once, with what its
producers do, and ended.
"""

import struct
from dataclasses import replace

import pytest

from agents.detection.intake.placement import MAX_APPLICATIONS, QUIET_BUCKETS
from agents.detection.verdicts import anomaly
from agents.detectors.contract import Finding, Kind
from agents.detectors.settings import DetectionSettings, Profile
from schemas.records.anomalies import INTAKE, Anomaly, Direction, Severity
from streams.lane.facts import Fact, FactKind
from streams.records.partitioners import Partitioner, murmur2_partitions, partitioners_of
from streams.settings import Lanes
from tests.detection.lanes import RunLane
from tests.detection.test_cutting import ticked
from tests.detection.test_intake_watch import ended
from tests.harness.telemetry_log import LANE, Rec, good

pytestmark = pytest.mark.usefixtures("with_and_without_native_code")

TWELVE = Lanes(partitions=12)
QUIET = {"0": DetectionSettings(profile=Profile(enabled=False))}
NAMES = [f"app{number}" for number in range(400)]


def key_of(application: str) -> bytes:
    """As producers should send it."""
    return f"acme/{application}".encode()


def placed(by: Partitioner, *, count: int, elsewhere: bool = True) -> list[str]:
    """Applications that the partitioner puts on this lane, and murmur2 does not (or does)."""
    own = murmur2_partitions([key_of(name) for name in NAMES], 12).tolist()
    fitting = [
        name
        for name, lane in zip(NAMES, own, strict=True)
        if by in partitioners_of(key_of(name), LANE, 12) and (lane != LANE) is elsewhere
    ]
    assert len(fitting) >= count
    return fitting[:count]


def one(offset: int, at_s: float, application: str, key: bytes | None) -> Rec:
    """An event of an application of acme."""
    return replace(good(offset, at_s, application=application), key=key)


def misplaced(lane: RunLane) -> list[Anomaly]:
    """What was told of placement."""
    return [
        each
        for each in lane.anomalies
        if (each.detector, each.metric) == (INTAKE, "misplaced_events")
    ]


def test_events_on_their_own_lane_are_not_told() -> None:
    """Of as many applications as there may be."""
    lane = RunLane(QUIET, TWELVE)
    names = placed(Partitioner.MURMUR2, count=20, elsewhere=False)
    lane.takes([one(offset, offset, name, key_of(name)) for offset, name in enumerate(names)])
    lane.takes([one(100, 100, names[0], key_of(names[0]))])
    assert misplaced(lane) == []


@pytest.mark.parametrize(
    ("by", "words", "severity"),
    [
        (Partitioner.CRC32, "librdkafka's default", Severity.LOW),
        (Partitioner.FNV1A, "Sarama's default", Severity.LOW),
    ],
)
def test_the_partitioner_of_the_producers_is_named(
    by: Partitioner, words: str, severity: Severity
) -> None:
    """By all applications that are seen with the right key."""
    lane = RunLane(QUIET, TWELVE)
    names = placed(by, count=6)
    lane.takes([one(offset, offset, name, key_of(name)) for offset, name in enumerate(names)])
    lane.takes([one(100, 100, names[0], key_of(names[0]))])
    found = misplaced(lane)
    assert sorted(each.application for each in found) == sorted(names)
    assert all(words in each.reason and each.severity is severity for each in found)


@pytest.mark.parametrize(
    ("key", "words"), [(None, "sends no key"), (b"session-17", "is not tenant/application")]
)
def test_a_key_that_is_none_or_another_is_told_so(key: bytes | None, words: str) -> None:
    """Once, whatever number of events and models follow; a worker that takes over does not tell it
    again.
    """
    (name,) = placed(Partitioner.CRC32, count=1)
    lane = RunLane(QUIET, TWELVE)
    lane.takes([one(offset, offset, name, key) for offset in range(30)])
    lane.stops_and_goes_on()
    lane.takes([one(100 + offset, 30 + offset, name, key) for offset in range(300)])
    (found,) = misplaced(lane)
    assert words in found.reason
    assert (found.severity, found.lane, found.application) == (Severity.MEDIUM, LANE, name)
    assert {(each.name, each.value) for each in found.breakdown} >= {
        ("key", "none" if key is None else "another")
    }


@pytest.mark.parametrize("others_go_on", [True, False])
def test_it_is_over_when_none_come_for_ten_minutes_and_told_again_when_they_come_again(
    others_go_on: bool,
) -> None:
    """While others go on, or in a night in which nobody sends anything; a worker that takes over
    knows it.
    """
    stranger, *_ = placed(Partitioner.CRC32, count=1)
    own, *_ = placed(Partitioner.MURMUR2, count=1, elsewhere=False)
    lane = RunLane(QUIET, TWELVE)
    lane.takes([one(0, 0, stranger, None), one(1, 20, own, key_of(own))])
    if others_go_on:
        lane.takes([one(10 + turn, 30 + 10 * turn, own, key_of(own)) for turn in range(90)])
    else:
        at, offset = 21, 10
        while lane.lane.wants_ticks:
            lane.takes([ticked(offset, at)])
            at, offset = at + 1, offset + 1
    lane.stops_and_goes_on()
    assert len(misplaced(lane)) == 1
    (over,) = ended(lane)
    assert "if more come, they are reported again" in over.reason
    lane.takes([one(10_000 + turn, 9_000 + turn, stranger, None) for turn in range(60)])
    _, again = misplaced(lane)
    assert (again.application, again.first) == (stranger, True)
    assert "sends no key; send tenant/application" in again.reason


def test_events_of_those_beyond_the_first_are_counted_and_one_that_is_over_makes_room() -> None:
    """Of a hundred, sixty-four are told; when they send no more, others that still do are told."""
    own = murmur2_partitions([key_of(name) for name in NAMES], 12).tolist()
    strangers = [name for name, lane in zip(NAMES, own, strict=True) if lane != LANE][:100]
    lane = RunLane(QUIET, TWELVE)
    lane.takes([one(turn, turn, strangers[turn % 100], None) for turn in range(1_000)])
    lane.takes([one(2_000, 1_020, strangers[0], None)])
    assert lane.facts == {Fact(FactKind.MISPLACED_EVENT): 1_000}
    assert {each.application for each in misplaced(lane)} == set(strangers[:MAX_APPLICATIONS])
    lane.stops_and_goes_on()
    lane.takes(
        [one(3_000 + turn, 1_030 + turn, strangers[90 + turn % 10], None) for turn in range(900)]
    )
    assert {each.application for each in misplaced(lane)[MAX_APPLICATIONS:]} == set(strangers[90:])
    assert len(lane.lane._watch._placement) <= MAX_APPLICATIONS


def test_an_application_that_was_forgotten_and_is_over_is_looked_at_anew() -> None:
    """With the key that its records have then."""
    stranger, *_ = placed(Partitioner.CRC32, count=1)
    own, *_ = placed(Partitioner.MURMUR2, count=1, elsewhere=False)
    lane = RunLane(QUIET, replace(TWELVE, subject_expiry_s=600))
    lane.takes([one(0, 0, stranger, None), one(1, 20, own, key_of(own))])
    lane.takes(
        [one(10 + turn, 30 + 10 * turn, own, key_of(own)) for turn in range(3 * QUIET_BUCKETS)]
    )
    assert len(lane.lane._watch._placement) == 0
    lane.takes([one(1_000 + turn, 2_000 + turn, stranger, b"session-17") for turn in range(60)])
    assert "is not tenant/application" in misplaced(lane)[-1].reason


def test_a_lane_beyond_the_partitions_that_are_configured_checks_nothing() -> None:
    """Where it would only be wrong."""
    lane = RunLane(QUIET, Lanes(partitions=2))
    lane.takes([one(0, 0, "shop", None), one(1, 100, "shop", None)])
    assert misplaced(lane) == []


def test_two_lanes_give_their_anomalies_ids_of_their_own() -> None:
    """The same verdict about the same subject and window on another lane is another anomaly."""
    finding = Finding(
        Kind.SERIES,
        0,
        "latency",
        0,
        10,
        10,
        2.0,
        1.0,
        3.0,
        Severity.HIGH,
        1.0,
        Direction.ABOVE,
        "",
        (),
    )
    made = {
        anomaly(finding, ("acme", "shop", "m"), ("deviation", 1), "0", (lane, 5, 0), str).id
        for lane in range(4)
    }
    assert len(made) == 4


def test_partitions_are_those_of_the_clients() -> None:
    """Known answers: of Java's client (UtilsTest.testMurmur2), and of FNV-1a's reference."""
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    many = [*known] * 10
    assert (
        murmur2_partitions(many, 1 << 31).tolist()
        == [value & 0x7FFFFFFF for value in known.values()] * 10
    )
    assert Partitioner.FNV1A_UNSIGNED in partitioners_of(
        b"foobar", 0xBF9CF968 & 0x7FFFFFFF, 1 << 31
    )
    (signed,) = struct.unpack(">i", struct.pack(">I", 0xBF9CF968))
    assert Partitioner.FNV1A in partitioners_of(b"foobar", abs(signed) % 12, 12)
