"""The comparison with other engines: wrong values fail it, its options say what they take, and it
runs where nothing else is installed.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import catalogue
from benchmarks.peers.__main__ import main
from benchmarks.peers.checking import UNTOLD, checked
from benchmarks.peers.marks import Mark, speed
from benchmarks.peers.work import COLUMNS, EVENT_RATE, WINDOW_S, Int64s, Work, reference, work_of
from schemas.records.telemetry import Status, TelemetryEvent
from tests.harness.processes import Usage
from tests.harness.showing import BenchmarkFailed
from topology.demo.traces.ordinary import ordinary_events
from topology.demo.traces.templates import Templates

ROOT = Path(__file__).parents[2]
KEYS = 10
PER_WINDOW = EVENT_RATE * WINDOW_S


@pytest.fixture(scope="module")
def work() -> Work:
    """Two and a half windows of ten keys."""
    return work_of(KEYS, PER_WINDOW * 5 // 2, now_s=1_790_000_000.0)


@pytest.fixture(scope="module")
def right(work: Work) -> Int64s:
    """What the windows hold."""
    return reference(work)


def closed(work: Work, right: Int64s, windows: int) -> Int64s:
    """Rows that a correct engine would write for this number of windows."""
    rows = [
        [place, work.start + window * WINDOW_S * 1_000_000, *right[window, place]]
        for window in range(windows)
        for place in range(work.keys)
    ]
    return np.array(rows, np.int64)


def test_the_reference_is_what_a_loop_over_the_records_counts() -> None:
    """Record by record, decoded as any reader would: count, sum, sum of squares, maximum, errors
    and cost.
    """
    work = Work(KEYS, 3000, 1_790_000_000_000_000)
    _, values = Templates(ordinary_events(work.population, 1)).records(
        "r" * 20, 0, work.times(0, work.events)
    )
    counted = np.zeros((work.windows, work.keys, len(COLUMNS)), np.int64)
    for event in map(TelemetryEvent.from_bytes, values):
        window = (event.event_time - work.start) // (WINDOW_S * 1_000_000)
        place = int(event.application[4:]) * work.population.models + int(event.model[6:])
        of_window, latency = counted[window, place], event.latency_us
        of_window += (1, latency, latency**2, 0, event.status != Status.SUCCESS, event.cost_nano)
        of_window[3] = max(of_window[3], latency)
    assert np.array_equal(reference(work), counted)


def test_no_event_is_ahead_of_its_arrival_and_the_first_opens_a_window() -> None:
    """An event ahead of now would be refused by some engines and not by others."""
    work = work_of(100, 1_000_000, now_s=1_790_000_003.7)
    assert work.start % (WINDOW_S * 1_000_000) == 0
    assert work.times(work.events - 1, 1)[0] < 1_790_000_003_700_000


def test_right_windows_are_counted(work: Work, right: Int64s) -> None:
    """A window that comes twice counts once, and a number that an engine does not write is not
    compared.
    """
    rows = closed(work, right, 2)
    rows[:, 2 + COLUMNS.index("sum of squares")] = UNTOLD
    assert checked(work, right, np.concatenate((rows, rows[:3])), due=2, least=KEYS) == 2 * KEYS


@pytest.mark.parametrize("column", range(len(COLUMNS)), ids=COLUMNS)
def test_one_changed_number_fails_the_engine_and_is_named(
    work: Work, right: Int64s, column: int
) -> None:
    """By one, in one window of one key, in any column."""
    rows = closed(work, right, 2)
    rows[KEYS + 3, 2 + column] += 1
    with pytest.raises(BenchmarkFailed, match=f"^{COLUMNS[column]} of key 3 in window 1 is"):
        checked(work, right, rows, due=2, least=KEYS)


def test_a_missing_window_fails_the_engine(work: Work, right: Int64s) -> None:
    """One key's, of those that must have closed."""
    with pytest.raises(BenchmarkFailed, match="1 closed windows are missing"):
        checked(work, right, np.delete(closed(work, right, 2), 5, axis=0), due=2, least=1)


def test_a_window_of_no_event_fails_the_engine(work: Work, right: Int64s) -> None:
    """Of a time before the first event."""
    rows = closed(work, right, 1)
    rows[4, 1] -= WINDOW_S * 1_000_000
    with pytest.raises(BenchmarkFailed, match="no event belongs to"):
        checked(work, right, rows, due=0, least=1)


@pytest.mark.parametrize(
    ("windows", "why"), [(0, "no closed window"), (1, "only 10 closed windows")]
)
def test_an_engine_that_writes_too_little_fails(
    work: Work, right: Int64s, windows: int, why: str
) -> None:
    """Nothing at all, or less than must have closed somewhere."""
    with pytest.raises(BenchmarkFailed, match=why):
        checked(work, right, closed(work, right, windows), due=0, least=KEYS + 1)


def test_speed_leaves_out_the_warm_up_and_what_came_after_the_last_event() -> None:
    """From the first mark at a tenth of the events to the first that has all."""
    marks = [
        Mark(count, Usage(cpu, wall), 10.0)
        for count, cpu, wall in ((1, 9, 9), (100, 10, 10), (1000, 12, 13), (1100, 50, 50))
    ]
    assert (speed(marks, 1000).events_per_cpu_s, speed(marks, 1000).wall_s) == (450, 3.0)
    with pytest.raises(BenchmarkFailed, match="more --events"):
        speed(marks[-1:], 1000)
    with pytest.raises(BenchmarkFailed, match="took 100 of 1,000"):
        speed(marks[:2], 1000)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (
            ("--engines", "flink"),
            "client, sentinel, kafka_streams, quix, bytewax, faust, not flink",
        ),
        (("--engines", ""), "--engines takes some of"),
        (("--keys", "100,none"), "none is not a number"),
        (("--runs", "0"), "0 is not a number from 1"),
        (("--events", "1000"), "no window closes in fewer than 400,000 events"),
    ],
)
def test_a_wrong_option_is_told_in_one_line(
    arguments: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is started."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert why in str(ended.value) + capsys.readouterr().err


def test_a_peer_that_is_not_installed_is_named_with_the_command_that_helps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before anything is started."""
    monkeypatch.setattr(catalogue, "INSTALLED", tmp_path)
    with pytest.raises(SystemExit, match="quix is not installed: run `make peers`"):
        main(("--engines", "sentinel,quix"))


@pytest.mark.nightly
@pytest.mark.usefixtures("kafka_jars")
def test_sentinel_and_the_bare_client_are_measured_on_one_broker() -> None:
    """Neither needs `make peers`; Sentinel's closed windows are right."""
    command = (sys.executable, "-m", "benchmarks.peers", "--json")
    options = ("--keys", "20", "--runs", "1", "--events", "1500000", "--engines", "client,sentinel")
    done = subprocess.run(
        (*command, *options), cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert min(result["client"], result["sentinel"]) > 1000
    assert (result["by_keys"], result["runs"]["20"]["client"]) == ({}, [result["client"]])
    assert result["checked"]["20"]["sentinel"] >= 6 * 20
    assert "cores" in result["machine"]
