"""What ends the signal of a rule: events that have the rule's metric and keep it, over long enough;
and nothing else.
"""

import random
from dataclasses import replace

import pytest

from agents.detectors.settings import Comparison, DetectionSettings, Deviation, Profile, Rule
from schemas.records.anomalies import SignalChange, SignalStatus
from schemas.records.telemetry import Status
from streams.control.records import SIGNAL, Publication, settings_control
from tests.detection.lanes import KEY, LIMITS, NAMES, RunLane, run
from tests.harness.reference.reading import Stored
from tests.harness.reference.slow_lane import SlowLane, Times
from tests.harness.telemetry_log import LANE, Rec, good, raw

NORMAL, NO_DATA, RETIRED = SignalStatus.NORMAL, SignalStatus.NO_DATA, SignalStatus.RETIRED
SLOW_START = Rule("slow-start", "time_to_first_token_us", Comparison.ABOVE, 5e6)


def of(*rules: Rule) -> DetectionSettings:
    """Rules alone."""
    return DetectionSettings(
        rules=rules, deviation=Deviation(enabled=False), profile=Profile(enabled=False)
    )


def said(lane: RunLane) -> list[SignalChange]:
    """What became of signals, in order."""
    headers = [dict(sent.headers) for sent in lane.sent[NAMES.anomalies]]
    return [SignalChange.from_bytes(each[SIGNAL]) for each in headers if SIGNAL in each]


def outage(until: int, **after: object) -> list[Rec]:
    """An event a second: half a minute of slow first tokens, then what is told."""
    slow = [good(at, at, time_to_first_token_us=9_000_000) for at in range(30)]
    return slow + [good(at, at, **after) for at in range(30, until)]


def test_events_without_the_metric_do_not_keep_a_rule() -> None:
    """Every call fails before its first token: no word of normal, and that there is no data is told
    once, from when on.
    """
    (change,) = said(run(outage(600, status=Status.ERROR), {"0": of(SLOW_START)}))
    assert change.status is NO_DATA
    assert change.since == good(0, 0).append_ms * 1000 + 30_000_000


@pytest.mark.parametrize("metric", ["cost_nano", "tokens", "completion_tokens"])
def test_nothing_where_much_was_too_much_may_be_unknown(metric: str) -> None:
    """A producer that does not know the cost says 0, and so do calls that fail: that keeps no rule
    on too much of it.
    """
    much: dict[str, object] = {"cost_nano": 9_000, "completion_tokens": 9_000}
    records = [good(at, at, **much) for at in range(30)] + [good(at, at) for at in range(30, 300)]
    assert [
        one.status
        for one in said(run(records, {"0": of(Rule("much", metric, Comparison.ABOVE, 5e3))}))
    ] == [NO_DATA]
    assert [
        one.status
        for one in said(run(records, {"0": of(Rule("any", metric, Comparison.ABOVE, 0.0))}))
    ] == [NORMAL]
    none = [good(at, at) for at in range(100)] + [good(at, at, **much) for at in range(100, 400)]
    assert [
        one.status
        for one in said(run(none, {"0": of(Rule("none", metric, Comparison.EQUAL, 0.0))}))
    ] == [NORMAL]


def test_the_metric_that_comes_again_ends_it() -> None:
    """Only once it has come."""
    records = outage(400, status=Status.ERROR)
    records += [good(at, at, time_to_first_token_us=400_000) for at in range(400, 700)]
    no_data, normal = said(run(records, {"0": of(SLOW_START)}))
    assert (no_data.status, normal.status) == (NO_DATA, NORMAL)
    assert normal.event_time >= (records[400].append_ms + 170_000) * 1000


def test_another_rule_on_a_metric_that_still_comes_ends_meanwhile() -> None:
    """Each rule has its own metric."""
    slow = Rule("slow", "latency_us", Comparison.ABOVE, 5e6)
    records = [
        good(at, at, latency_us=10_000_000, time_to_first_token_us=9_000_000) for at in range(30)
    ]
    records += [good(at, at) for at in range(30, 300)]
    ended = {
        (change.rule, change.status) for change in said(run(records, {"0": of(SLOW_START, slow)}))
    }
    assert ended == {("slow", NORMAL), ("slow-start", NO_DATA)}


def test_a_rule_that_is_for_others_now_is_retired() -> None:
    """The same name and metric, another tenant: of what is still as slow as before nobody says that
    it is normal.
    """
    slow = Rule("slow", "latency_us", Comparison.ABOVE, 5e6)
    records = [good(at, at, latency_us=12_000_000) for at in range(30)]
    records += [
        _published(30, 30),
        *(good(at + 1, at, latency_us=12_000_000) for at in range(30, 400)),
    ]
    lane = run(records, {"0": of(slow), "v1": of(replace(slow, tenant="globex"))})
    assert [change.status for change in said(lane)] == [RETIRED]
    lane = run(records, {"0": of(slow), "v1": of(replace(slow, tenant="acme"))})
    assert said(lane) == []


def test_a_series_whose_signal_is_open_is_remembered_for_longer_than_others_and_then_given_up() -> (
    None
):
    """Half an hour is enough to forget a series of which nothing is wrong; the lane goes on by
    another one.
    """
    slow = replace(of(Rule("slow", "latency_us", Comparison.ABOVE, 5e6)), give_up_buckets=540)
    lane = RunLane({"0": slow}, limits=replace(LIMITS, subject_expiry_s=1_800))
    lane.takes([good(at, at, latency_us=12_000_000) for at in range(30)])
    for at in range(30, 7_800, 10):
        lane.takes([good(at, at, application="other")])
    no_data, given_up = said(lane)
    assert (no_data.status, given_up.status) == (NO_DATA, SignalStatus.GIVEN_UP)
    # Looked at each ten minutes, and forgotten at the first look after an hour and a half.
    assert 5_400_000_000 <= given_up.event_time - no_data.since <= 6_000_000_000 + 20_000_000


@pytest.mark.parametrize("seed", range(6))
def test_the_slow_lane_ends_rules_at_the_same_records(seed: int) -> None:
    """Metrics that come and go, out of order, cut anywhere and gone on with elsewhere, with other
    settings on the way.
    """
    rng = random.Random(seed)
    versions = {
        "0": of(
            SLOW_START,
            Rule("asked", "http_status", Comparison.AT_LEAST, 500),
            Rule("dear", "cost_nano", Comparison.ABOVE, 5e3),
            Rule("free", "cost_nano", Comparison.AT_MOST, 0),
        ),
        "v1": of(
            Rule("slow-start", "time_to_first_token_us", Comparison.ABOVE, 6e6),
            Rule("failed", "failed", Comparison.EQUAL, 1),
            Rule("asked", "http_status", Comparison.AT_LEAST, 500, model="a"),
        ),
    }
    records = list(_mixed(rng))
    cuts = sorted(rng.sample(range(1, len(records)), 60))
    lane = run(records, versions, cuts, restarts=set(cuts[::9]))
    rules = {name: settings.rules for name, settings in versions.items()}
    times = Times(
        LIMITS.bucket_s * 1_000_000, int(LIMITS.lateness_s * 1e6), int(LIMITS.max_ahead_s * 1e6)
    )
    slow = SlowLane(NAMES.telemetry, LANE, times, KEY.reveal(), rules)
    for record in records:
        slow.take(
            Stored(LANE, record.offset, record.append_ms, record.key, record.value, record.headers)
        )
    ends = [
        (each.offset, (each.tenant, each.application, each.model), each.rule, each.status.value)
        for each in said(lane)
        if each.status.is_end
    ]
    assert sorted(ends, key=str) == sorted(slow.told.ends, key=str)
    assert {end[3] for end in ends} >= {"normal"}


def _mixed(rng: random.Random) -> list[Rec]:
    """Twenty-five minutes of three series, each of which changes its ways now and then."""
    records: list[Rec] = []
    ways = dict.fromkeys("abc", (0.0, 0.0))
    for second in range(0, 3000, 2):
        model = rng.choice("abc")
        if rng.random() < 0.02:
            ways[model] = rng.choice([(0.0, 1.0), (0.1, 0.5), (0.0, 0.0), (0.0, 0.1), (0.5, 0.9)])
        broken, has = ways[model]
        token = None if rng.random() >= has else 9_000_000 if rng.random() < broken else 400_000
        status = None if rng.random() >= has else 503 if rng.random() < broken else 200
        offset, at = len(records), second - rng.choice([0, 0, 0, 4, 9])
        cost = 0 if rng.random() >= has else 9_000 if rng.random() < broken else 4_000
        fields: dict[str, object] = {
            "time_to_first_token_us": token,
            "http_status": status,
            "model": model,
            "cost_nano": cost,
        }
        records.append(good(offset, max(at, 0), second, **fields))
        if second == 1400:
            records.append(_published(offset + 1, second))
    return records


def _published(offset: int, at_s: float) -> Rec:
    """Version v1 takes effect."""
    control = settings_control(NAMES.telemetry, LANE, Publication(1, "v1"), KEY)
    return raw(offset, at_s, control.value, *control.headers, key=None)
