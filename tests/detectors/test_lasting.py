"""What ends a signal of a series: data that is normal again, and nothing else."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from agents.detectors.contract import Closed
from agents.detectors.deviation.detector import DeviationDetector
from agents.detectors.deviation.state import _ROW_1, _ROW_2, METRICS, ROW, TABLE
from agents.detectors.settings import Deviation, LeastChange
from schemas.records.anomalies import SignalStatus
from streams.state.chunks import page_key, seal
from streams.state.tables import Table
from tests.detectors.test_deviation import STEADY, Run
from tests.detectors.traffic import Fault, closes

NORMAL, NEW_LEVEL, NO_DATA, RETIRED, GIVEN_UP = SignalStatus
QUICK = Deviation(give_in_buckets=60, level_memory_buckets=300)


def seen(buckets: Iterable[Closed]) -> Iterator[Closed]:
    """The buckets of one series, each with when it was last seen before."""
    last = 0
    for closed in buckets:
        yield replace(closed, seen_before=np.array([last]))
        if closed.numbers["requests"][0]:
            last = closed.bucket + 1


def parts(*faults: tuple[int, Fault]) -> list[Closed]:
    """A series whose traffic is ordinary for 100 buckets, and then as each fault says up to its
    bucket.
    """
    made: list[Closed] = list(closes(STEADY, 1, 100, 2))
    for until, fault in faults:
        made += list(closes(STEADY, 1, until, 2, replace(fault, at=0)))[len(made) :]
    return list(seen(made))


ORDINARY, SLOW, SILENT = Fault(at=0), Fault(at=0, latency=3), Fault(at=0, rate=1e-9)


@pytest.mark.parametrize(
    ("metric", "fault"),
    [
        ("error_rate", Fault(at=0, error_rate=0.9)),
        ("request_rate", SILENT),
        ("request_rate", Fault(at=0, rate=0.01)),
    ],
    ids=["errors", "silence", "next to silence"],
)
def test_errors_and_silence_are_never_taken_as_the_new_level(metric: str, fault: Fault) -> None:
    """However long they last: the signal ends within a minute of the return to what was normal, and
    not before.
    """
    run = Run(QUICK).over(*parts((900, fault), (960, ORDINARY)))
    ends = [(at, status) for at, status in run.of(metric) if status is not NO_DATA]
    assert [status for _, status in ends] == [NORMAL]
    assert 900 <= ends[0][0] < 908
    assert not [at for at in run.buckets(metric) if at > ends[0][0]]


def test_silence_ends_nothing_that_was_wrong_before_it() -> None:
    """Latency x3, then nothing for longer than any setting says, then ordinary traffic: only that
    ends it, and no level is taken unseen.
    """
    run = Run(QUICK).over(*parts((130, SLOW), (800, SILENT), (830, ORDINARY)))
    (lost, no_data), (end, normal) = run.of("latency")
    assert (no_data, normal) == (NO_DATA, NORMAL)
    assert lost == 130 + 17
    assert 800 <= end < 808
    since = next(change.since for _, change in run.changes if change.status is NO_DATA)
    assert since == parts((131, SLOW))[130].start


def test_a_gap_does_not_make_an_anomaly_older() -> None:
    """Half of `give_in_buckets` before a gap and a few buckets after it are not enough, also where
    the gap's buckets were never closed.
    """
    before, after = parts((130, SLOW)), parts((800, SLOW))[700:]
    run = Run(QUICK).over(
        *before, *(replace(one, seen_before=np.array([before[-1].bucket + 1])) for one in after[:1])
    )
    run.over(*after[1:20])
    assert run.of("latency") == []
    run.over(*after[20:60])
    assert [status for _, status in run.of("latency")] == [NEW_LEVEL]


def without_first_tokens(buckets: list[Closed]) -> list[Closed]:
    """The same, but that no request tells of a first token."""
    nothing = np.zeros(1, np.int64)
    return [
        replace(
            one,
            numbers={**one.numbers, "first_tokens": nothing, "time_to_first_token_us": nothing},
            sketches={
                **one.sketches,
                "time_to_first_token_us": np.zeros_like(one.sketches["latency_us"]),
            },
        )
        for one in buckets
    ]


SLOW_TOKENS = Fault(at=0, first_token=6)


@pytest.mark.parametrize("taken", [False, True], ids=["anomaly", "level"])
def test_metric_that_comes_no_more_is_told_once_to_be_without_data(taken: bool) -> None:
    """Streaming is switched off while the time to the first token is wrong, or at its new level:
    requests go on, and end nothing.
    """
    slow = 250 if taken else 130
    world = parts((slow, SLOW_TOKENS), (slow + 500, ORDINARY), (slow + 540, ORDINARY))
    run = Run(QUICK).over(*world[:slow], *without_first_tokens(world[slow : slow + 40]))
    assert [at for at, status in run.of("time_to_first_token") if status is NO_DATA] == [slow + 17]
    since = next(change.since for _, change in run.changes if change.status is NO_DATA)
    assert since == world[slow].start
    run.over(*without_first_tokens(world[slow + 40 : slow + 500]), *world[slow + 500 :])
    told = run.of("time_to_first_token")
    assert [status for _, status in told] == [*[NEW_LEVEL] * taken, NO_DATA, NORMAL]
    assert told[-1][0] >= slow + 500
    assert not [
        one
        for _, one in run.changes
        if one.status is NO_DATA and one.signal.metric != "time_to_first_token"
    ]


def test_metric_is_as_long_without_data_as_nothing_came_of_it() -> None:
    """Ten buckets of requests without it, and then none at all: it is told after eighteen, and not
    again for the silence alone.
    """
    world = parts((130, SLOW_TOKENS), (140, ORDINARY), (190, SILENT), (260, SLOW_TOKENS))
    run = Run(QUICK).over(*world[:130], *without_first_tokens(world[130:140]), *world[140:190])
    assert [at for at, status in run.of("time_to_first_token") if status is NO_DATA] == [130 + 17]
    run.over(*without_first_tokens(world[190:230]))
    assert [at for at, status in run.of("time_to_first_token") if status is NO_DATA] == [130 + 17]


def test_anomaly_does_not_grow_older_while_its_metric_does_not_come() -> None:
    """Half of `give_in_buckets` with it, a long time without, and a few with it again are no
    level.
    """
    world = parts((800, SLOW_TOKENS))
    run = Run(QUICK).over(*world[:130], *without_first_tokens(world[130:600]), *world[600:620])
    assert [status for _, status in run.of("time_to_first_token")] == [NO_DATA]
    run.over(*world[620:660])
    assert [status for _, status in run.of("time_to_first_token")] == [NO_DATA, NEW_LEVEL]


def test_partial_return_is_told_and_does_not_end_the_signal() -> None:
    """From x4 taken as the new level to x2: that is a finding of the same signal, and the old level
    is the end.
    """
    high, half = Fault(at=0, latency=4), Fault(at=0, latency=2)
    run = Run(QUICK).over(*parts((220, high), (260, half), (300, ORDINARY)))
    assert [status for _, status in run.of("latency")] == [NEW_LEVEL, NORMAL]
    assert [at for at in run.buckets("latency") if 220 <= at < 260]
    assert 300 > run.of("latency")[-1][0] >= 260
    assert not [finding for at, finding in run.found if finding.first and at >= 220]


def test_third_level_may_be_taken_too_and_the_first_is_still_the_old_one() -> None:
    """x3 taken, then x9 taken, then back: one signal, told anew at each level."""
    run = Run(QUICK).over(*parts((250, SLOW), (450, Fault(at=0, latency=9)), (500, ORDINARY)))
    assert [status for _, status in run.of("latency")] == [NEW_LEVEL, NEW_LEVEL, NORMAL]
    assert run.of("latency")[-1][0] >= 450


def test_return_to_the_level_that_was_taken_is_told_as_that() -> None:
    """x3 taken, a burst of x9, x3 again: the signal is where it was, not over."""
    run = Run(QUICK).over(
        *parts((250, SLOW), (270, Fault(at=0, latency=9)), (330, SLOW), (370, ORDINARY))
    )
    assert [status for _, status in run.of("latency")] == [NEW_LEVEL, NEW_LEVEL, NORMAL]
    assert run.of("latency")[-1][0] >= 330


def test_return_right_after_a_level_was_taken_ends_the_signal() -> None:
    """Before the new level is learnt."""
    run = Run(QUICK).over(*parts((165, SLOW), (300, ORDINARY)))
    assert [status for _, status in run.of("latency")] == [NEW_LEVEL, NORMAL]


def test_slow_return_ends_the_signal_too() -> None:
    """Creeping back, with nothing that a chart would speak of."""
    creeping = [
        (220 + 8 * step, Fault(at=0, latency=3 * 3 ** (-step / 100))) for step in range(1, 101)
    ]
    run = Run(replace(QUICK, level_memory_buckets=5000)).over(
        *parts((220, SLOW), *creeping, (1300, ORDINARY))
    )
    assert [status for _, status in run.of("latency")][-1] is NORMAL


def test_level_is_what_is_usual_after_the_memory() -> None:
    """`level_memory_buckets` later the signal ends at the new level; from then on the old one would
    be the anomaly.
    """
    run = Run(QUICK).over(*parts((600, SLOW), (640, ORDINARY)))
    changes = run.of("latency")
    assert [status for _, status in changes[:2]] == [NEW_LEVEL, NORMAL]
    assert changes[1][0] - changes[0][0] == 300
    assert [
        finding
        for at, finding in run.found
        if at >= 600 and finding.metric == "latency" and finding.first
    ]


def test_request_rate_up_is_taken_and_silence_after_it_is_an_anomaly() -> None:
    """A customer that grew, and one that left: the second is silence, whatever was taken before."""
    run = Run(QUICK).over(*parts((250, Fault(at=0, rate=4)), (300, SILENT), (330, ORDINARY)))
    assert [status for _, status in run.of("request_rate")] == [NEW_LEVEL, NO_DATA, NORMAL]
    assert [at for at in run.buckets("request_rate") if 250 <= at < 300]


def test_metric_that_is_judged_no_more_is_not_said_to_be_normal() -> None:
    """The lane asks which open signals the new settings do not judge, and forgets them."""
    run = Run(QUICK).over(*parts((130, SLOW)))
    tables = {"deviation": run.table}
    (signal,) = [one for one in run.detector.open_signals(tables) if one.metric == "latency"]
    assert run.detector.judges(signal, ())
    assert not DeviationDetector(Deviation(least_change=LeastChange(latency=None))).judges(
        signal, ()
    )
    run.detector.forget(tables, run.detector.open_signals(tables))
    assert run.detector.open_signals(tables) == []


@pytest.mark.parametrize(
    ("metric", "fault", "stricter"),
    [
        ("request_rate", SILENT, Deviation(least_rate=500.0)),
        ("latency", SLOW, Deviation(least_buckets=5000)),
        ("latency", Fault(at=0, latency=1.6), Deviation(least_buckets=5000)),
        ("error_rate", Fault(at=0, error_rate=0.9), Deviation(least_buckets=5000)),
    ],
)
def test_settings_that_ask_for_more_data_end_nothing_that_is_wrong(
    metric: str, fault: Fault, stricter: Deviation
) -> None:
    """Published meanwhile: they are for what begins. What was wrong before ends when it is
    normal.
    """
    world = parts((200, fault), (260, ORDINARY))
    run = Run(Deviation(least_buckets=20)).over(*world[:130])
    assert run.buckets(metric)
    run.detector = DeviationDetector(stricter)
    run.over(*world[130:])
    ends = [(at, status) for at, status in run.of(metric) if status is not NO_DATA]
    assert [status for _, status in ends] == [NORMAL]
    assert 200 <= ends[0][0] < 210


def test_rows_of_version_1_are_read() -> None:
    """What an older program wrote: the same numbers, and no level taken."""
    old = np.zeros(3, _ROW_1)
    old["centre"][1], old["since"][1, METRICS.index("latency")] = 7.5, 42
    table = Table(TABLE)
    table.restore({0: seal(1, old.tobytes())})
    assert table.rows["centre"][1].tolist() == [7.5] * 6
    assert table.rows["since"][1].tolist() == [42, 0, 0, 0, 0, 0]
    assert not table.rows["taken"].any()
    (written,) = [value for key, value in table.changes() if key == page_key("deviation", 0)]
    assert written is not None
    assert len(written) % ROW.itemsize == 4


def test_rows_of_version_2_are_read() -> None:
    """The same, with the levels that were taken."""
    old = np.zeros(3, _ROW_2)
    old["usual"][1], old["taken"][1, 0] = 7.5, 42
    table = Table(TABLE)
    table.restore({0: seal(2, old.tobytes())})
    assert table.rows["usual"][1].tolist() == [7.5] * 6
    assert table.rows["taken"][1].tolist() == [42, 0, 0, 0, 0, 0]
    assert not table.rows["unknown"].any()
