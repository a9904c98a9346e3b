"""What ends a signal of a series: data that is normal again, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from agents.detectors.deviation.detector import DeviationDetector
from agents.detectors.deviation.measures import METRICS
from agents.detectors.deviation.state import FORMER
from agents.detectors.settings import Deviation, LeastChange
from schemas.records.anomalies import SignalStatus
from streams.state.tables import Table
from tests.detectors.deviating import Run, parts
from tests.detectors.test_deviation import without
from tests.detectors.traffic import START, Fault

NORMAL, NEW_LEVEL, NO_DATA, RETIRED, GIVEN_UP = SignalStatus
QUICK = Deviation(give_in_buckets=60)

ORDINARY, SLOW, SILENT = Fault(at=0), Fault(at=0, latency=3), Fault(at=0, rate=1e-9)
SLOW_TOKENS = Fault(at=0, first_token=6)


@pytest.mark.parametrize(
    ("metric", "fault"),
    [("error_rate", Fault(at=0, error_rate=0.9)), ("request_rate", SILENT)],
    ids=["errors", "silence"],
)
def test_errors_and_silence_never_become_usual(metric: str, fault: Fault) -> None:
    """However long they last: the signal ends within minutes of the return to what was normal, and
    not before.
    """
    run = Run(QUICK).over(*parts((900, fault), (1000, ORDINARY)))
    ends = [(at, status) for at, status in run.of(metric) if status is not NO_DATA]
    assert [status for _, status in ends] == [NORMAL]
    assert 900 <= ends[0][0] < 920
    assert len(run.begun(metric)) == 1


def test_a_level_that_lasts_becomes_usual_and_is_reported_no_more() -> None:
    """Latency x3 for good: one anomaly, which ends after `give_in_buckets`."""
    run = Run(QUICK).over(*parts((700, SLOW)))
    (begun,) = run.begun("latency")
    ((end, status),) = run.of("latency")
    assert (status, begun + 60 <= end <= begun + 62) == (RETIRED, True)
    reason = next(one.reason for _, one in run.changes if one.signal.metric == "latency")
    assert "new level" in reason


def test_without_giving_in_an_anomaly_lasts() -> None:
    """None: the level is never accepted."""
    run = Run(Deviation(give_in_buckets=None)).over(*parts((700, SLOW)))
    assert run.of("latency") == []
    assert len(run.begun("latency")) == 1


def test_silence_ends_nothing_that_was_wrong_before_it() -> None:
    """Latency x3, then nothing for longer than any setting says, then ordinary traffic: only that
    ends it, and no level is accepted unseen.
    """
    run = Run(QUICK).over(*parts((130, SLOW), (800, SILENT), (860, ORDINARY)))
    (lost, no_data), (end, normal) = run.of("latency")
    assert (no_data, normal) == (NO_DATA, NORMAL)
    assert lost == 130 + 17
    assert 800 <= end < 830
    since = next(change.since for _, change in run.changes if change.status is NO_DATA)
    assert since == parts((131, SLOW))[130].start


def test_a_gap_does_not_make_an_anomaly_older() -> None:
    """Half of `give_in_buckets` before a gap and a few buckets after it are not enough, also where
    the gap's buckets were never closed.
    """
    settings = replace(QUICK, least_change=LeastChange(request_rate=None))
    before, after = parts((130, SLOW)), parts((800, SLOW))[700:]
    seen = np.array([before[-1].bucket + 1])
    run = Run(settings).over(*before, replace(after[0], seen_before=seen), *after[1:20])
    assert run.of("latency") == []
    run.over(*after[20:60])
    assert [status for _, status in run.of("latency")] == [RETIRED]


def test_metric_that_comes_no_more_is_reported_once_to_be_without_data() -> None:
    """Streaming is switched off while the time to the first token is wrong: requests go on, and end
    nothing.
    """
    slow = 130
    world = parts((slow, SLOW_TOKENS), (slow + 200, ORDINARY), (slow + 300, ORDINARY))
    gone = ("success_first_token_us", "success_pace")
    run = Run().over(*world[:slow], *without(world[slow : slow + 200], *gone))
    assert [at for at, status in run.of("time_to_first_token") if status is NO_DATA] == [slow + 17]
    since = next(change.since for _, change in run.changes if change.status is NO_DATA)
    assert since == world[slow].start
    run.over(*world[slow + 200 :])
    assert [status for _, status in run.of("time_to_first_token")] == [NO_DATA, NORMAL]


def test_settings_that_do_not_judge_a_metric_retire_its_signal() -> None:
    """A metric without a least change is not said to be normal: it is judged no more."""
    run = Run().over(*parts((130, SLOW)))
    signals = run.detector.open_signals(run.tables)
    without_latency = DeviationDetector(Deviation(least_change=LeastChange(latency=None)))
    name = ("tenant", "application", "model")
    judged = {one.metric: without_latency.judges(one, name) for one in signals}
    assert judged["latency"] is False
    run.detector.forget(run.tables, signals)
    assert run.detector.open_signals(run.tables) == []


def test_signals_of_version_1_are_retired() -> None:
    """They are not said to be normal; its rows are emptied, so that tombstones are left."""
    run = Run()
    former = run.tables[FORMER.name]
    former.rows["reals"][:2] = 1.0
    former.rows["since"][0, METRICS.index("cost")] = START
    former.touch(np.arange(2))
    list(former.changes())
    run.over(*parts((130, ORDINARY)))
    assert run.of("cost") == [(0, RETIRED)]
    assert [value for _, value in former.changes()] == [None]


def test_state_that_was_written_is_read_and_goes_on_as_if_it_had_not_been() -> None:
    """Every table's pages, read into new ones, judge what follows alike."""
    world = parts((130, SLOW), (200, ORDINARY))
    whole, first = Run().over(*world), Run().over(*world[:120])
    second = Run()
    for name, table in first.tables.items():
        pages = {
            int(key.rsplit(b"/", 1)[1]): value
            for key, value in table.changes()
            if value is not None
        }
        second.tables[name] = Table(table.spec)
        second.tables[name].restore(pages)
    second.over(*world[120:])
    assert second.found == [one for one in whole.found if one[0] >= 120]
    assert second.changes == [one for one in whole.changes if one[0] >= 120]
