"""Whatever stands in a lane's log: its good neighbours count, each bad record is in dead-letters
with its reason, nothing raises.
"""

import math
import struct

import pytest

from agents.detection.intake.bad_records import AHEAD, BEHIND, SKIPPED
from agents.detection.intake.sorting import UNSIGNED
from agents.detectors.settings import Comparison, DetectionSettings, Rule
from schemas.avro.framing import GUID_HEADER, prefix
from schemas.errors import Reason
from schemas.records.control import Settings
from schemas.records.telemetry import Feature, QualityScore, SecurityFinding
from schemas.secrets import Secret
from streams.control.records import (
    NUMBER,
    PASSED,
    SETTINGS,
    SIGNATURE,
    TICK,
    Publication,
    settings_control,
    sign,
    tick,
)
from streams.control.settings_log import skip_record, version_record
from streams.lane.facts import Fact, FactKind
from streams.lane.outgoing import REASON
from streams.settings import Lanes
from tests.detection.lanes import KEY, NAMES, RunLane
from tests.harness.telemetry_log import LANE, TOPIC, Rec, event, fetched, good, raw

GOOD = good(0, 0).value or b""

AT_S = 30.0


def altered(**changes: object) -> bytes:
    """A well-formed record with values that no event can have."""
    return event(5, AT_S, **changes).to_bytes()


def forged(
    version: bytes,
    key: str = "not our key",
    topic: str = TOPIC,
    lane: int = LANE,
    number: bytes = b"",
    said: bytes = b"",
) -> tuple[tuple[str, bytes], ...]:
    """Headers of a control record that is not ours, or not for this lane. `number` is signed,
    `said` is what stands in its header.
    """
    signature = sign(
        Secret(key), SETTINGS, topic.encode(), b"%d" % lane, version, *([number] if number else [])
    )
    return (SETTINGS, b"1"), *([(NUMBER, said)] if said else []), (SIGNATURE, signature)


A_VERSION = version_record(
    NAMES.settings, Settings(version="v1", tenant=None, author="a", created_at=1, body="{}"), KEY
)
A_SKIP = skip_record(NAMES.settings, TOPIC, LANE, 4, "kills the decoder", KEY)

BAD: dict[str, tuple[bytes | None, tuple[tuple[str, bytes], ...], str]] = {
    "garbage": (b"\xde\xad\xbe\xef" * 9, (), Reason.NO_MAGIC),
    "text": (b'{"event_id": "e5"}', (), Reason.NO_MAGIC),
    "an empty record": (b"", (), Reason.EMPTY),
    "no value": (None, (), Reason.MISSING),
    "truncated Avro": (GOOD[:-9], (), Reason.UNDECODABLE),
    "cut in the framing": (GOOD[:3], (), Reason.UNDECODABLE),
    "nothing but framing": (GOOD[:5], (), Reason.UNDECODABLE),
    "trailing bytes": (GOOD + b"\0", (), Reason.TRAILING),
    "two records in one": (GOOD + GOOD, (), Reason.TRAILING),
    "wrong magic byte": (b"\1" + GOOD[1:], (), Reason.NO_MAGIC),
    "unknown schema id": (prefix(99) + GOOD[5:], (), Reason.UNKNOWN_SCHEMA),
    "schema of another topic": (prefix(2) + GOOD[5:], (), Reason.UNKNOWN_SCHEMA),
    "unknown schema by header": (
        GOOD[5:],
        ((GUID_HEADER, b"\1" + b"x" * 16),),
        Reason.UNKNOWN_SCHEMA,
    ),
    "too large": (GOOD + b"x" * 300_000, (), Reason.TOO_LARGE),
    "NaN in a feature": (altered(features=(Feature("f", math.nan),)), (), Reason.NOT_FINITE),
    "an infinite score": (altered(quality=(QualityScore("q", math.inf),)), (), Reason.NOT_FINITE),
    "a negative infinite finding": (
        altered(security=(SecurityFinding("s", -math.inf),)),
        (),
        Reason.NOT_FINITE,
    ),
    "a negative latency": (altered(latency_us=-1), (), Reason.OUT_OF_RANGE),
    "a negative first token": (altered(time_to_first_token_us=-1), (), Reason.OUT_OF_RANGE),
    "2^62 tokens": (altered(prompt_tokens=2**62), (), Reason.OUT_OF_RANGE),
    "a time in milliseconds": (altered(event_time=1_760_000_000_000), (), Reason.OUT_OF_RANGE),
    "the largest time": (altered(event_time=2**63 - 1), (), Reason.OUT_OF_RANGE),
    "no tenant": (altered(tenant=""), (), Reason.BLANK),
    "a tenant of a megabyte": (altered(tenant="x" * 200_000), (), Reason.TOO_LONG),
    "an hour ahead": (event(5, AT_S + 3600).to_bytes(), (), AHEAD),
    "a little over five minutes ahead": (event(5, AT_S + 300.001).to_bytes(), (), AHEAD),
    "an unsigned control record": (b"v1", ((SETTINGS, b"1"),), UNSIGNED),
    "a control record without a value": (None, ((SETTINGS, b"1"),), UNSIGNED),
    "a control record with another key": (b"v1", forged(b"v1"), UNSIGNED),
    "a control record of another lane": (
        b"v1",
        forged(b"v1", KEY.reveal(), lane=LANE + 1),
        UNSIGNED,
    ),
    "a control record of another topic": (
        b"v1",
        forged(b"v1", KEY.reveal(), topic="t.other"),
        UNSIGNED,
    ),
    "a control record for another version": (b"v2", forged(b"v1", KEY.reveal()), UNSIGNED),
    "a control record with another number": (
        b"v1",
        forged(b"v1", KEY.reveal(), number=b"5", said=b"6"),
        UNSIGNED,
    ),
    "a control record without its number": (
        b"v1",
        forged(b"v1", KEY.reveal(), number=b"5"),
        UNSIGNED,
    ),
    "an old control record with a number": (
        b"v1",
        forged(b"v1", KEY.reveal(), said=b"5"),
        UNSIGNED,
    ),
    "a control record that is no text": (b"\xff\xfe", forged(b"v1"), UNSIGNED),
    "a settings version in a lane": (A_VERSION.value, A_VERSION.headers, UNSIGNED),
    "a signed skip in a lane": (A_SKIP.value, A_SKIP.headers, Reason.NO_MAGIC),
    "a tick with garbage in it": (b"garbage", ((TICK, b"1"),), Reason.NO_MAGIC),
    "an unknown control record": (None, (("sentinel-else", b"1"),), Reason.MISSING),
}


@pytest.mark.parametrize("size", [3, 200])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_record_is_a_dead_letter_and_its_neighbours_count(name: str, size: int) -> None:
    """Alone among a few and among many: one dead letter with its reason and its bytes; all others
    are counted; nothing else comes of it.
    """
    value, headers, reason = BAD[name]
    records = [good(number, AT_S) for number in range(size)]
    records[size // 2] = raw(size // 2, AT_S, value, *headers, key=b"its key")
    lane = RunLane()
    lane.takes(records)
    assert lane.dead == [(size // 2, reason)]
    (letter,) = lane.sent[NAMES.dead_letters]
    assert (letter.key, letter.value) == (b"its key", value)
    assert dict(letter.headers)["sentinel-topic"] == TOPIC.encode()
    assert dict(letter.headers)["sentinel-partition"] == b"%d" % LANE
    assert (lane.events, lane.bad, lane.late) == (size - 1, 1, 0)
    assert set(lane.sent) == {NAMES.dead_letters}


def test_all_kinds_at_once_each_with_its_reason() -> None:
    """Side by side in one batch, as an attacker would send them; again and again."""
    records = [
        raw(100 * turn + 2 * number, AT_S, value, *headers)
        for turn in range(3)
        for number, (value, headers, _) in enumerate(BAD.values())
    ]
    between = [good(record.offset + 1, AT_S) for record in records]
    lane = RunLane()
    lane.takes(sorted(records + between, key=lambda record: record.offset))
    assert [reason for _, reason in lane.dead] == [reason for _, _, reason in BAD.values()] * 3
    assert [offset for offset, _ in lane.dead] == [record.offset for record in records]
    assert lane.events == len(between)


def test_five_hundred_bad_records_in_a_row() -> None:
    """Nothing stops, and the good ones before and behind them count."""
    records = [
        good(0, 0),
        *(raw(number, 1, b"garbage %d" % number) for number in range(1, 501)),
        good(501, 2),
    ]
    lane = RunLane()
    lane.takes(records)
    assert [offset for offset, _ in lane.dead] == list(range(1, 501))
    assert lane.events == 2


def test_a_short_and_a_long_record_that_read_as_two_valid_ones_are_both_bad() -> None:
    """Without record boundaries the pair would shift the values of its neighbours; here it is
    found, and nobody else is hurt.
    """
    neighbour = good(0, AT_S, latency_us=3_000_000).value or b""
    short, long = neighbour[:-1], neighbour + neighbour[-1:]
    lane = RunLane(
        {"0": DetectionSettings(rules=(Rule("slow", "latency_us", Comparison.ABOVE, 2_000_000),))}
    )
    lane.takes([good(0, AT_S), raw(1, AT_S, short), raw(2, AT_S, long), good(3, AT_S)])
    assert [offset for offset, _ in lane.dead] == [1, 2]
    assert (lane.events, lane.anomalies) == (2, [])


def test_text_that_is_no_utf8_and_that_nobody_reads_harms_nobody() -> None:
    """An event that breaks a rule is told by its id, whatever bytes its other texts are made of."""
    value = event(1, 0, latency_us=3_000_000, finish_reason="MARK", currency="MARK").to_bytes()
    rules = DetectionSettings(rules=(Rule("slow", "latency_us", Comparison.ABOVE, 2_000_000),))
    lane = RunLane({"0": rules})
    lane.takes([good(0, 0), raw(1, 0, value.replace(b"MARK", b"\xff\xfe\xfd\xfc")), good(2, 0)])
    assert lane.dead == []
    assert [anomaly.sample_event_ids for anomaly in lane.anomalies] == [("e1",)]


def test_a_skipped_offset_is_a_dead_letter_and_is_never_decoded() -> None:
    """The verdict that a record kills the decoder holds for its own offset only, on every
    replay.
    """
    lane = RunLane(skips={11, 40})
    lane.takes([good(number, 0) for number in range(10, 13)])
    assert lane.dead == [(11, SKIPPED)]
    assert lane.events == 2


@pytest.mark.parametrize(("ahead_s", "counted"), [(299.0, 1), (300.0, 1), (300.001, 0)])
def test_an_event_may_be_five_minutes_ahead_and_not_more(ahead_s: float, counted: int) -> None:
    """Up to there it counts, and closes nobody's bucket: the watermark follows the append time."""
    lane = RunLane()
    lane.takes([good(0, 0), good(1, ahead_s, 0.0), good(2, 0.5)])
    assert lane.events == 2 + counted
    assert lane.sent[NAMES.anomalies] == []


def test_a_late_event_is_counted_as_late_and_stays_out_of_windows() -> None:
    """Not bad, not told, and not in any aggregate: its bucket is closed."""
    lane = RunLane()
    lane.takes([good(0, 0), good(1, 100), good(2, 101.0 - 86_400, 101.0), good(3, 9, 102)])
    assert (lane.events, lane.late, lane.bad) == (2, 2, 0)
    lane.takes([good(4, 200)])
    requests = [
        struct.unpack_from("<d", value, len(value) - 37 * 8)[0] for _, value in lane.aggregates
    ]
    assert requests == [1.0, 1.0]


def test_out_of_order_within_the_lateness_is_not_late() -> None:
    """Five seconds are waited for."""
    lane = RunLane(limits=Lanes(partitions=2, lateness_s=5))
    lane.takes([good(0, 14.9), good(1, 9.9, 14.9), good(2, 15.0), good(3, 9.99, 15.0)])
    assert (lane.events, lane.late) == (3, 1)


FORGED = ((TICK, b"99999999999999"), (PASSED, b"99999999999999"))


def test_a_forged_tick_moves_time_by_no_more_than_what_passed() -> None:
    """Whoever may write to the topic may tick; it says no more than that time passes, and that the
    broker's clock says.
    """
    forged_tick = Rec(1, good(1, 14.9).append_ms, None, FORGED)
    lane = RunLane()
    lane.takes([good(0, 0), forged_tick, good(2, 9.9, 14.9)])
    assert (lane.events, lane.late, lane.aggregates) == (2, 0, [])
    lane.takes([Rec(3, good(1, 15.0).append_ms, None, FORGED), good(4, 9.9, 15.0)])
    assert (lane.events, lane.late, len(lane.aggregates)) == (2, 1, 1)


def test_a_batch_of_control_records_alone_changes_nothing() -> None:
    """A transaction's marker has no records; a lane takes the empty block."""
    lane = RunLane()
    (made,) = fetched([[good(0, 0)]])
    lane.takes(made.from_offset(1))
    assert (lane.events, lane.bad, lane.sent) == (0, 0, {})


def test_a_control_record_takes_effect_where_it_stands() -> None:
    """Events before it are judged by the old version, those behind it by the new one, also where
    that needs other columns and in one batch.
    """
    versions = {
        "0": DetectionSettings(rules=(Rule("slow", "latency_us", Comparison.ABOVE, 2_000_000),)),
        "1": DetectionSettings(rules=(Rule("queued", "queue_time_us", Comparison.ABOVE, 1),)),
    }
    made = settings_control(TOPIC, LANE, Publication(7, "1"), KEY)
    both = {"latency_us": 3_000_000, "queue_time_us": 5}
    lane = RunLane(versions)
    lane.takes([good(0, 0, **both), raw(1, 0, made.value, *made.headers), good(2, 0, **both)])
    assert [(told.rule, told.settings_version, told.offset) for told in lane.anomalies] == [
        ("slow", "0", 0),
        ("queued", "1", 2),
    ]
    lane.stops_and_goes_on()
    lane.takes([good(3, 20, **both)])
    assert [(told.rule, told.settings_version) for told in lane.anomalies[2:]] == [("queued", "1")]


def test_a_broker_whose_clock_is_ahead_for_a_while_makes_no_good_event_late() -> None:
    """It stamps a tick half an hour ahead; the events that follow, and those after a restart, are
    counted.
    """
    lane = RunLane()
    lane.takes([good(0, 0)])
    wrong = tick(TOPIC, LANE, 1_000_000)
    lane.takes([raw(1, 1801, wrong.value, *wrong.headers, key=b"")])
    lane.takes([good(number, float(number)) for number in range(2, 60)])
    lane.stops_and_goes_on()
    lane.takes([good(number, float(number)) for number in range(60, 120)])
    assert (lane.events, lane.late, lane.bad) == (119, 0, 0)


def test_a_broker_whose_clock_is_behind_is_named_and_not_its_producers() -> None:
    """Good events become dead letters, since their append time bounds what they may move; the
    reason names the append time.
    """
    lane = RunLane()
    lane.takes([good(0, 3600), good(1, 3601, 1.0), good(2, 7300, 3601)])
    assert [dict(letter.headers)[REASON] for letter in lane.sent[NAMES.dead_letters]] == [
        BEHIND.encode(),
        AHEAD.encode(),
    ]


def test_a_step_returns_each_bad_record_as_a_fact_with_its_reason() -> None:
    """The metric of bad records is made of these facts; the step itself counts nothing."""
    lane = RunLane()
    lane.takes([good(0, 0), raw(1, 0, b""), raw(2, 0, b""), raw(3, 0, GOOD + b"\0"), good(4, 0)])
    assert lane.facts == {
        Fact(FactKind.BAD_RECORD, Reason.EMPTY): 2,
        Fact(FactKind.BAD_RECORD, Reason.TRAILING): 1,
    }
