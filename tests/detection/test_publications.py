"""Published settings go forward only: a copy of a signed control record, appended again by whoever
may write telemetry, brings none back.
"""

import struct

import pytest

from agents.detection.intake.sorting import SUPERSEDED
from agents.detectors.settings import Comparison, DetectionSettings, Rule
from schemas.secrets import Secret
from streams.control.records import NUMBER, SETTINGS, SIGNATURE, Publication, settings_control, sign
from streams.state.chunks import seal, unseal
from tests.detection.lanes import KEY, NAMES, RunLane
from tests.harness.telemetry_log import LANE, TOPIC, Rec, block, good, raw

VERSIONS = {
    name: DetectionSettings(
        rules=(Rule(f"rule-{name}", "latency_us", Comparison.ABOVE, 2_000_000),)
    )
    for name in ("0", "a", "b", "c")
}
FIELD = "sentinel-field"


def control(offset: int, number: int, version: str, at_s: float = 0) -> Rec:
    """A control record as it stands in the lane."""
    made = settings_control(TOPIC, LANE, Publication(number, version), KEY)
    return raw(offset, at_s, made.value, *made.headers)


def old_control(offset: int, version: str) -> Rec:
    """One of a program that gave no numbers."""
    signature = sign(KEY, SETTINGS, TOPIC.encode(), b"%d" % LANE, version.encode())
    return raw(offset, 0, version.encode(), (SETTINGS, b"1"), (SIGNATURE, signature))


def slow(offset: int) -> Rec:
    """A call that breaks the rule of every version."""
    return good(offset, 0, latency_us=3_000_000, model=f"m{offset}")


def judged_by(lane: RunLane) -> list[str]:
    """The settings version behind each anomaly, in order."""
    return [told.settings_version for told in lane.anomalies]


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_copy_of_an_old_control_record_changes_nothing(is_cut: bool) -> None:
    """It is a dead letter with a reason of its own, in one block with what it copies as well as
    days later; its neighbours count.
    """
    records = [
        control(1, 5, "a"),
        slow(2),
        control(3, 6, "b"),
        slow(4),
        control(5, 5, "a"),
        slow(6),
    ]
    lane = RunLane(VERSIONS)
    for some in [[one] for one in records] if is_cut else [records]:
        lane.takes(some)
    assert judged_by(lane) == ["a", "b", "b"]
    assert lane.lane.settings_version == "b"
    assert (lane.dead, lane.bad, lane.events) == ([(5, SUPERSEDED)], 1, 3)
    (letter,) = lane.sent[NAMES.dead_letters]
    assert (letter.value, dict(letter.headers)[FIELD]) == (b"a", NUMBER.encode())


def test_a_copy_of_what_is_in_effect_is_told_too() -> None:
    """Nobody publishes the same number twice."""
    lane = RunLane(VERSIONS)
    lane.takes([control(1, 5, "a"), control(2, 5, "a"), slow(3)])
    assert lane.dead == [(2, SUPERSEDED)]
    assert judged_by(lane) == ["a"]


def test_publishing_again_what_is_in_effect_changes_nothing() -> None:
    """Nor does it count as a bad record: it has a number of its own."""
    lane, once = RunLane(VERSIONS), RunLane(VERSIONS)
    once.takes([control(1, 5, "a"), slow(2), slow(4)])
    lane.takes([control(1, 5, "a"), slow(2), control(3, 6, "a"), slow(4)])
    assert (lane.dead, once.dead) == ([], [])
    assert lane.sent == once.sent


def test_an_earlier_version_may_be_published_again() -> None:
    """By somebody with the key: under a new number."""
    lane = RunLane(VERSIONS)
    lane.takes([control(1, 5, "a"), control(2, 6, "b"), control(3, 7, "a"), slow(4)])
    assert (lane.dead, judged_by(lane)) == ([], ["a"])


@pytest.mark.parametrize("one", [Publication(7, "a"), Publication(8, "a")])
@pytest.mark.parametrize("other", [Publication(8, "b"), Publication(7, "c")])
def test_of_two_who_publish_at_once_the_same_one_wins_in_every_lane(
    one: Publication, other: Publication
) -> None:
    """In whatever order their records came, and also if both took the same number."""
    ends = set()
    for first, second in ((one, other), (other, one)):
        lane = RunLane(VERSIONS)
        lane.takes(
            [
                control(1, first.number, first.version),
                control(2, second.number, second.version),
                slow(3),
            ]
        )
        ends.add(lane.lane.settings_version)
    assert ends == {max(one, other).version}


def test_records_without_a_number_count_until_the_first_with_one() -> None:
    """What an older program published stays as it was, also back and forth; a copy of it later
    takes nothing back.
    """
    lane = RunLane(VERSIONS)
    lane.takes([old_control(1, "b"), slow(2), old_control(3, "a"), slow(4)])
    lane.stops_and_goes_on()
    lane.takes(
        [old_control(5, "b"), slow(6), control(7, 1, "c"), slow(8), old_control(9, "b"), slow(10)]
    )
    assert judged_by(lane) == ["b", "a", "b", "c", "c"]
    assert lane.dead == [(9, SUPERSEDED)]


def test_the_number_outlives_the_process() -> None:
    """The lane that goes on elsewhere refuses the copy as the first would have."""
    lane = RunLane(VERSIONS)
    lane.takes([control(1, 5, "a"), control(2, 6, "b")])
    lane.stops_and_goes_on()
    lane.takes([control(3, 5, "a"), control(4, 6, "b"), slow(5)])
    assert lane.dead == [(3, SUPERSEDED), (4, SUPERSEDED)]
    assert judged_by(lane) == ["b"]


def test_state_of_before_numbers_is_read() -> None:
    """The version in effect is kept, and the first publication with a number takes over."""
    lane = RunLane(VERSIONS)
    lane.takes([old_control(1, "b"), slow(2)])
    lane.flushes()
    version, body = unseal(lane.state.rows[b"meta"], 6, "meta")
    numbers = struct.calcsize("<7q")
    assert (version, struct.unpack_from("<q", body, numbers)) == (6, (0,))
    end = numbers + 8 + 1 + body[numbers + 8]
    listeners = 4 + int.from_bytes(body[end : end + 4], "little")
    lane.state.rows[b"meta"] = seal(
        3, bytes(body[:numbers]) + bytes(body[numbers + 8 : end]) + bytes(body[end + listeners :])
    )
    lane.lane = lane._new()
    lane.lane.restore(lane.state.rows)
    lane.takes([slow(3), old_control(4, "a"), slow(5), control(6, 9, "c"), slow(7)])
    assert judged_by(lane) == ["b", "b", "a", "c"]
    assert lane.dead == []


def test_a_lane_waits_for_no_version_that_would_not_take_effect() -> None:
    """A copy that names settings which are on no topic any more would hold the lane for ever."""
    lane = RunLane(VERSIONS)
    gone = control(2, 5, "gone")
    assert lane.lane.settings_named(block([control(1, 4, "a"), gone])) == {"a", "gone"}
    assert lane.lane.settings_named(block([control(1, 6, "a"), gone])) == {"a"}
    lane.takes([control(1, 6, "a")])
    assert lane.lane.settings_named(block([gone])) == set()
    lane.takes([gone, slow(3)])
    assert (lane.dead, judged_by(lane)) == ([(2, SUPERSEDED)], ["a"])


class CountedKey(Secret):
    """A key that counts how often a signature is made or verified with it."""

    __slots__ = ("uses",)

    def __init__(self, key: Secret) -> None:
        super().__init__(key.reveal())
        self.uses = 0

    def reveal(self) -> str:
        """The key's text."""
        self.uses += 1
        return super().reveal()


def test_a_signature_is_verified_once_though_the_lane_is_asked_for_its_settings_first() -> None:
    """One pass sorts a block for the question which settings it needs, and for the step."""
    lane = RunLane(VERSIONS)
    lane.lane._intake._key = key = CountedKey(KEY)
    records = block([control(1, 4, "a"), slow(2), control(3, 5, "b"), slow(4)])
    assert lane.lane.settings_named(records) == {"a", "b"}
    lane.takes(records)
    assert (key.uses, judged_by(lane)) == (2, ["a", "b"])
