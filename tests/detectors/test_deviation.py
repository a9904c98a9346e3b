"""The deviation detector's anomalies: when they begin, are told again, end, and are taken for
normal.
"""

from dataclasses import replace

import numpy as np
import pytest

from agents.detectors.contract import Bands, Change, Closed, Finding
from agents.detectors.deviation.detector import DeviationDetector
from agents.detectors.deviation.state import METRICS
from agents.detectors.settings import Deviation, LeastChange
from schemas.records.anomalies import Direction, Severity, SignalStatus
from streams.state.tables import Table
from tests.detectors.traffic import START, Fault, World, closes

STEADY = World(rate=5, latency_sigma=0.3, tokens_sigma=0.3, latency_wander=0.0)
STEP = Fault(at=100, until=180, latency=3)


class Run:
    """One detector over the closed buckets of some series."""

    def __init__(self, settings: Deviation | None = None) -> None:
        self.detector = DeviationDetector(settings or Deviation())
        self.table = Table(self.detector.tables[0][1])
        self.found: list[tuple[int, Finding]] = []
        self.bands: list[Bands] = []
        self.changes: list[tuple[int, Change]] = []

    def over(self, *closed: Closed) -> "Run":
        """With these buckets taken."""
        for bucket in closed:
            verdicts = self.detector.at_close({"deviation": self.table}, bucket)
            self.found += [(bucket.bucket - START, finding) for finding in verdicts.findings]
            self.changes += [(bucket.bucket - START, change) for change in verdicts.changes]
            self.bands += [] if verdicts.bands is None else [verdicts.bands]
        return self

    def buckets(self, metric: str, row: int = 0) -> list[int]:
        """In which buckets the metric of one series was told."""
        return [
            bucket
            for bucket, finding in self.found
            if (finding.metric, finding.row) == (metric, row)
        ]

    def of(self, metric: str, row: int = 0) -> list[tuple[int, SignalStatus]]:
        """What became of the metric of one series, and in which buckets."""
        changes = [
            (at, one)
            for at, one in self.changes
            if (one.signal.metric, one.signal.row) == (metric, row)
        ]
        return [(at, one.status) for at, one in changes]


def run(
    fault: Fault,
    buckets: int,
    settings: Deviation | None = None,
    world: World = STEADY,
    series: int = 3,
) -> Run:
    """The run over a world with a fault."""
    return Run(settings).over(*closes(world, series, buckets, 2, fault))


def test_a_lasting_anomaly_is_told_at_its_start_and_then_every_repeat() -> None:
    """A limited number of findings: one every twelve buckets, and none once it is over and the
    charts have come back.
    """
    told = run(STEP, 300).buckets("latency")
    assert told[0] in (101, 102)
    assert np.diff(told).tolist() == [12] * (len(told) - 1)
    assert 180 - 12 <= told[-1] <= 185


def test_the_same_fault_is_found_again_after_it_ended() -> None:
    """The anomaly was not learnt: an hour later it is one again, found as fast."""
    first = list(closes(STEADY, 1, 300, 2, STEP))
    again = [replace(closed, bucket=closed.bucket + 300) for closed in first[90:]]
    told = Run().over(*first, *again).buckets("latency")
    assert any(400 <= bucket <= 404 for bucket in told)


def test_a_level_that_stays_is_taken_as_the_new_one_and_the_old_one_ends_it() -> None:
    """After `give_in_buckets` it is told once that the level is the new one; the return to the old
    level is the end of the signal, no finding.
    """
    settings = Deviation(give_in_buckets=100)
    told = run(Fault(at=100, until=400, latency=3), 460, settings)
    assert max(told.buckets("latency")) < 202
    for row in range(3):
        changes = told.of("latency", row)
        assert [status for _, status in changes] == [SignalStatus.NEW_LEVEL, SignalStatus.NORMAL]
        (taken, _), (back, _) = changes
        assert 199 <= taken <= 202
        assert 400 <= back < 410


def test_without_giving_in_an_anomaly_lasts() -> None:
    """`give_in_buckets` None: it is told for as long as it is there."""
    told = run(Fault(at=100, latency=3), 600, Deviation(give_in_buckets=None)).buckets("latency")
    assert told[-1] >= 588


def test_a_change_too_small_to_tell_is_not_told_however_sure_it_is() -> None:
    """A fifth more latency is beyond chance and under the least change."""
    assert run(Fault(at=100, latency=1.2), 200).buckets("latency") == []
    eager = Deviation(least_change=LeastChange(latency=1.05))
    assert run(Fault(at=100, latency=1.2), 200, eager).buckets("latency")


def test_a_metric_without_a_least_change_is_not_judged() -> None:
    """None switches it off; the others stay."""
    found = run(STEP, 130, Deviation(least_change=LeastChange(latency=None))).found
    assert {finding.metric for _, finding in found} == {"time_to_first_token"}


def test_switched_off_it_neither_says_nor_learns() -> None:
    """No findings, no bands, no state."""
    off = run(STEP, 130, Deviation(enabled=False))
    assert (off.found, off.bands, list(off.table.changes())) == ([], [], [])


def test_one_odd_bucket_alone_is_no_anomaly() -> None:
    """Whatever one bucket holds, it takes two."""
    assert run(Fault(at=100, until=101, latency=100, tokens=100, error_rate=1.0), 140).found == []


def test_silence_is_an_anomaly_of_the_request_rate_and_of_nothing_else() -> None:
    """Zero requests are a number; what nobody asked has no latency, and keeps what it had
    learnt.
    """
    silent = run(Fault(at=100, rate=0), 120)
    assert {finding.metric for _, finding in silent.found} == {"request_rate"}
    _, found = next(pair for pair in silent.found if pair[1].row == 0)
    assert (found.observed, found.direction) == (0.0, Direction.BELOW)
    assert found.expected == pytest.approx(5.0, rel=0.1)
    assert found.severity in (Severity.HIGH, Severity.CRITICAL)


def test_a_series_that_is_rarely_asked_is_not_missed() -> None:
    """Under `least_rate` expected requests in a bucket, silence says nothing."""
    assert run(Fault(at=200, rate=0), 260, world=World(rate=0.05)).buckets("request_rate") == []


def test_a_series_asleep_is_left_alone() -> None:
    """Once nothing is expected of a silent series, its row is not written any more."""
    closed = list(closes(World(rate=0.5), 1, 150, 3, Fault(at=20, rate=0)))
    done = Run(Deviation(give_in_buckets=10, memory_buckets=10)).over(*closed)
    list(done.table.changes())
    done.over(replace(closed[-1], bucket=closed[-1].bucket + 1))
    assert list(done.table.changes()) == []


def test_fewer_errors_are_no_anomaly() -> None:
    """The error rate is told upwards only."""
    world = replace(STEADY, error_rate=0.4)
    assert run(Fault(at=100, error_rate=0.0), 200, world=world).buckets("error_rate") == []


def test_a_drift_is_told_with_its_mean_as_observed() -> None:
    """The slow chart speaks of what the last buckets had on average, not of one of them."""
    found = run(Fault(at=120, first_token=2, ramp=60), 180, world=World(rate=1)).found
    drift = next(
        f for _, f in found if f.metric == "time_to_first_token" and dict(f.evidence)["drifting"]
    )
    evidence = dict(drift.evidence)
    assert drift.observed == pytest.approx(np.exp(evidence["centre"] + evidence["effect"]))
    assert "drift" in drift.reason


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
    assert bands[90].expected[0, METRICS.index("request_rate")] == pytest.approx(5.0, rel=0.15)


def test_there_is_no_band_before_there_is_enough_data() -> None:
    """Observed is told from the first bucket; what is expected is NaN until there is something to
    expect.
    """
    bands = run(Fault(at=999), 31).bands
    assert np.isnan(bands[29].expected).all()
    assert np.isfinite(bands[30].expected).all()
    assert np.isfinite(bands[0].observed).all()


def test_a_step_before_there_is_enough_data_is_not_told() -> None:
    """`least_buckets` is a promise of its own, however clear the step."""
    fault = Fault(at=20, until=28, latency=20)
    assert run(fault, 29, Deviation(least_buckets=30)).found == []
    assert run(fault, 29, Deviation(least_buckets=10)).buckets("latency")


def test_what_is_not_measured_is_not_zero() -> None:
    """A model without a price or without a first token has no cost and no time to first token, and
    is never judged by them.
    """
    closed = list(closes(STEADY, 2, 120, 5))
    nothing = np.zeros(2, np.int64)
    without = [
        replace(
            c,
            numbers={
                **c.numbers,
                "cost_nano": nothing,
                "first_tokens": nothing,
                "time_to_first_token_us": nothing,
            },
            sketches={
                **c.sketches,
                "time_to_first_token_us": np.zeros_like(c.sketches["latency_us"]),
            },
        )
        for c in closed[:60]
    ]
    done = Run().over(*without, *closed[60:80])
    assert done.found == []
    place = [METRICS.index("cost"), METRICS.index("time_to_first_token")]
    assert np.isnan(done.bands[59].observed[:, place]).all()
