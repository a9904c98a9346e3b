"""The deviation detector's anomalies: what is one, when it begins, is reported again, and ends."""

from dataclasses import replace

import numpy as np
import pytest

from agents.detectors.contract import Closed
from agents.detectors.deviation.measures import BELOW, METRICS, measures_of
from agents.detectors.settings import Deviation, LeastChange
from schemas.measures import MEASURES, Bad
from schemas.records.anomalies import Direction, Severity
from tests.detectors.deviating import STEADY, Run, run
from tests.detectors.traffic import BUCKET_US, START, Fault, World, closes

STEP = Fault(at=100, until=180, latency=3)


def test_a_lasting_anomaly_is_reported_at_its_start_and_then_every_repeat() -> None:
    """Its end is a change, and the next one has a start of its own."""
    done = run(STEP, 300)
    reported = done.buckets("latency")
    assert 100 <= reported[0] <= 101
    assert reported == list(range(reported[0], 180, 12))
    (end, _) = done.of("latency")[-1]
    assert 180 <= end <= 184


def test_the_end_of_a_fault_is_no_anomaly() -> None:
    """Faster and cheaper is better, and what a fault left in long windows does not ring on."""
    done = run(Fault(at=200, until=300, latency=4, tokens=3, error_rate=0.5), 700)
    assert {one.metric for _, one in done.found} >= {"latency", "tokens", "error_rate"}
    assert [at for at, _ in done.found if at >= 304] == []


def test_a_fall_is_judged_of_metrics_that_are_bad_in_both_directions() -> None:
    """And of no other."""
    judged = {one.name for one in MEASURES if BELOW in measures_of(one.name)}
    assert judged == {one.name for one in MEASURES if one.bad is Bad.BOTH}


@pytest.mark.parametrize(
    "better",
    [Fault(at=100, latency=0.3), Fault(at=100, tokens=0.2), Fault(at=100, cost=0.2)],
    ids=["faster", "fewer tokens", "cheaper"],
)
def test_better_is_no_anomaly(better: Fault) -> None:
    """Nobody is woken by an improvement."""
    assert run(better, 300).found == []


def test_fewer_errors_are_no_anomaly() -> None:
    """The error rate is judged upwards only."""
    world = replace(STEADY, error_rate=0.4)
    assert run(Fault(at=100, error_rate=0.0), 200, world=world).buckets("error_rate") == []


def test_failed_calls_are_not_in_latency_and_cost() -> None:
    """Half of the calls fail at once and cost nothing: an anomaly of errors alone."""
    closed = list(closes(STEADY, 1, 200, 2, Fault(at=120, error_rate=0.5)))
    assert {one.metric for _, one in Run().over(*closed).found} == {"error_rate"}


def test_a_small_change_of_price_is_found_though_cost_varies_by_call() -> None:
    """A fifth more per token, where the cost of a call varies by a factor: reported as cost."""
    world = World(rate=1, tokens_sigma=1.5)
    found = [one for at, one in run(Fault(at=300, cost=1.2), 400, world=world).found if at >= 300]
    assert {one.metric for one in found} == {"cost"}
    assert found[0].observed / (found[0].expected or 1) == pytest.approx(1.2, rel=0.02)
    assert "for the number of tokens" in found[0].reason


def test_one_call_a_minute_that_always_fails_is_found_within_five_minutes() -> None:
    """Windows grow until they hold enough."""
    world = World(rate=1 / 60, error_rate=0.0)
    closed = list(closes(world, 1, 4400, 2, Fault(at=4320, error_rate=1.0)))
    first = Run().over(*closed).begun("error_rate")[0]
    assert 4320 <= first < 4320 + 40


def test_a_change_too_small_to_report_is_not_reported_however_sure_it_is() -> None:
    """`least_change` is a promise of its own."""
    small = Fault(at=200, latency=1.5)
    assert run(small, 260).buckets("latency")
    change = LeastChange(latency=1.8, time_to_first_token=1.8)
    assert run(small, 260, Deviation(least_change=change)).buckets("latency") == []


def test_a_metric_without_a_least_change_is_not_judged() -> None:
    """None of latency switches its pace off too."""
    change = LeastChange(latency=None)
    reported = {one.metric for _, one in run(STEP, 140, Deviation(least_change=change)).found}
    assert reported == {"time_to_first_token"}


def test_switched_off_it_neither_says_nor_learns() -> None:
    """No findings, no bands, no state."""
    done = run(STEP, 140, Deviation(enabled=False))
    assert (done.found, done.bands) == ([], [])
    assert not any(table.dirty_bytes() for table in done.tables.values())


def test_fewer_false_alarms_ask_for_more() -> None:
    """The one number that a person turns: the threshold follows it."""
    found = {}
    for rate in (0.01, 1.0, 100.0):
        done = run(STEP, 110, Deviation(false_alarms_per_week=rate))
        found[rate] = dict(done.found[0][1].evidence)["threshold"]
    assert found[0.01] > found[1.0] > found[100.0]


def test_series_of_one_application_share_its_false_alarms() -> None:
    """Ten series have each a tenth of the allowance of one."""
    few, many = (run(STEP, 110, series=count).found[0][1] for count in (1, 10))
    gap = dict(many.evidence)["threshold"] - dict(few.evidence)["threshold"]
    assert gap == pytest.approx(np.log(10), rel=0.01)


def test_silence_is_an_anomaly_of_the_request_rate_and_of_nothing_else() -> None:
    """Zero requests are a number; what nobody asked has no latency, and keeps what it had
    learnt.
    """
    silent = run(Fault(at=100, rate=0), 130)
    assert {finding.metric for _, finding in silent.found} == {"request_rate"}
    at, found = next(pair for pair in silent.found if pair[1].row == 0)
    assert at <= 102
    assert (found.observed, found.direction) == (0.0, Direction.BELOW)
    assert found.expected == pytest.approx(5.0, rel=0.2)
    assert found.severity in (Severity.HIGH, Severity.CRITICAL)


def test_no_two_findings_of_a_metric_are_about_the_same_bucket() -> None:
    """An anomaly's id is made of its metric and the start of its window: one that a long window
    found must not have that of one which a short window found before.
    """
    drift = Fault(at=300, until=500, latency=1.5, ramp=150)
    found = run(drift, 520, Deviation(repeat_buckets=1)).found
    assert max(dict(one.evidence)["window"] for _, one in found) > 1
    for at, one in found:
        assert one.window_start == (START + at) * BUCKET_US
        assert one.window_end == one.window_start + BUCKET_US


def test_traffic_that_doubles_and_returns_is_one_anomaly() -> None:
    """The return is its end."""
    done = run(Fault(at=200, until=260, rate=2.5), 500)
    assert len(done.begun("request_rate")) == 1
    assert 260 <= done.of("request_rate")[0][0] < 275


def test_severity_grows_with_the_size_of_the_fault() -> None:
    """Of errors from three to ninety in a hundred."""
    order = list(Severity)
    grades = []
    for share in (0.04, 0.15, 0.4, 0.9):
        found = run(Fault(at=200, error_rate=share), 260, world=World(rate=20)).found
        grades.append(max(order.index(one.severity) for _, one in found))
    assert grades == sorted(grades)
    assert grades[0] < grades[-1]


def test_a_series_asleep_is_left_alone() -> None:
    """Once hardly anything is expected of a silent series, its row is not written any more, but
    every 64 buckets.
    """
    settings = Deviation(least_change=LeastChange(request_rate=None))
    closed = list(closes(World(rate=0.5), 1, 620, 3, Fault(at=20, rate=0)))
    done = Run(settings).over(*closed)
    for table in done.tables.values():
        list(table.changes())
    last = closed[-1]
    following = [replace(last, bucket=last.bucket + ahead) for ahead in range(1, 65)]
    written = []
    for bucket in following:
        done.over(bucket)
        if sum(len(list(table.changes())) for table in done.tables.values()):
            written.append(bucket.bucket)
    assert [bucket % 64 for bucket in written] == [63]


def test_buckets_passed_over_asleep_count_as_silence() -> None:
    """The same state, whether a series was looked at in each bucket or caught up with."""
    settings = Deviation(least_change=LeastChange(request_rate=None))
    world = World(rate=0.01)
    closed = list(closes(world, 1, 400, 3))
    closed = closed[next(i for i, c in enumerate(closed) if c.numbers["requests"][0]) :]
    whole = Run(settings).over(*closed)
    sparse = Run(settings).over(*[c for c in closed if c.numbers["requests"][0]], closed[-1])
    at_end = [
        run.tables["deviation-now"].rows["references"]["exposure"][0] for run in (whole, sparse)
    ]
    assert np.array_equal(*at_end)


def test_bands_hold_what_is_normal_and_not_what_is_not() -> None:
    """Observed lies within low and high before the fault, and outside in it; in the units of the
    aggregates.
    """
    bands = run(Fault(at=100, latency=4), 110).bands
    latency = METRICS.index("latency")
    for metric in range(len(METRICS)):
        normal = np.array(
            [(b.low[0, metric], b.observed[0, metric], b.high[0, metric]) for b in bands[40:100]]
        )
        assert np.isfinite(normal).all()
        assert np.mean((normal[:, 0] <= normal[:, 1]) & (normal[:, 1] <= normal[:, 2])) > 0.97
    assert bands[105].observed[0, latency] > bands[105].high[0, latency]
    assert bands[90].expected[0, latency] == pytest.approx(1e6, rel=0.15)
    assert bands[90].expected[0, METRICS.index("request_rate")] == pytest.approx(5.0, rel=0.2)


def test_there_is_no_band_before_there_is_enough_data() -> None:
    """Observed is there from the first bucket; what is expected is NaN until there is something to
    expect.
    """
    bands = run(Fault(at=999), 31).bands
    assert np.isnan(bands[2].expected).all()
    assert np.isfinite(bands[30].expected).all()
    assert np.isfinite(bands[0].observed).all()


def without(closed: list[Closed], *names: str) -> list[Closed]:
    """The same buckets, of whose calls none has these sizes."""
    nothing = np.zeros(len(closed[0].rows), np.int64)
    gone = {f"{name}.{part}": nothing for name in names for part in ("n", "log", "log2")}
    gone |= {"cost_nano": nothing} if "success_cost_nano" in names else {}
    return [replace(one, numbers={**one.numbers, **gone}) for one in closed]


def test_what_is_not_measured_is_not_zero() -> None:
    """A model without a price or without a first token has no cost and no time to first token, and
    is never judged by them.
    """
    closed = list(closes(STEADY, 2, 120, 5))
    names = ("success_cost_nano", "success_price", "success_first_token_us", "success_pace")
    done = Run().over(*without(closed[:60], *names), *closed[60:80])
    assert done.found == []
    place = [METRICS.index("cost"), METRICS.index("time_to_first_token")]
    assert np.isnan(done.bands[59].observed[:, place]).all()
