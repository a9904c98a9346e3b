"""`sentinel backtest --trace`: a recorded trace through detect and correlate."""

import gzip
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pytest

from tests.backtesting.traces import (
    MINUTE,
    START,
    as_json_lines,
    as_parquet,
    calls,
    slowed,
)
from topology.backtesting import trace_files
from topology.backtesting.labels import LabelsRefused, label_of, read_labels
from topology.backtesting.replay import Installation
from topology.backtesting.trace import Json, as_json, backtest
from topology.backtesting.trace_files import TraceRefused
from topology.cli import main

FAULT = (START + 40 * MINUTE, START + 55 * MINUTE)
LABEL: Json = {
    "application": "shop",
    "model": "small",
    "kind": "latency x4",
    "start": FAULT[0],
    "end": FAULT[1],
}


def played(path: Path, *labels: Json) -> dict[str, Json]:
    """What a backtest of the file with these labels says."""
    return as_json(backtest(path, [label_of(label) for label in labels], Installation()))


def bad_of(said: dict[str, Json]) -> list[tuple[Json, Json, Json]]:
    """Number, field and reason of the rows that were set apart."""
    rows = said["first_bad_rows"]
    assert isinstance(rows, list)
    return [(row["row"], row["field"], row["reason"]) for row in rows if isinstance(row, dict)]


@pytest.fixture(scope="module")
def slow_quarter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = slowed(calls(70), *FAULT, 4)
    return as_parquet(tmp_path_factory.mktemp("trace") / "slow.parquet", rows)


def test_a_labelled_fault_is_found_and_its_incident_matched(slow_quarter: Path) -> None:
    """With the delay from its start, the metric, and the severity of the incident."""
    said = played(slow_quarter, LABEL)
    (label,) = said["labels"]  # type: ignore[misc,union-attr]
    assert isinstance(label, dict)
    assert (label["found"], label["metric"], label["kind"]) == (True, "latency", "latency x4")
    assert 0 < label["delay_s"] <= 120  # type: ignore[operator]
    (incident,) = [one for one in said["incidents"] if one["matched"]]  # type: ignore
    assert incident["severity"] == label["severity"]
    assert incident["application"] == "shop"
    assert FAULT[0] < incident["opened"] <= FAULT[0] + 2 * MINUTE
    assert incident["resolved"] > FAULT[1]
    assert said["application_days"] == pytest.approx(70 / 1440, abs=1 / 1440)


def test_without_labels_the_same_incident_is_false(slow_quarter: Path) -> None:
    """And counts for each application and week."""
    said = played(slow_quarter)
    false = [one for one in said["incidents"] if not one["matched"]]  # type: ignore
    assert len(false) >= 1
    rate = len(false) / said["application_days"] * 7  # type: ignore[operator]
    assert said["false_incidents_per_application_week"] == pytest.approx(rate)


def test_labels_that_fit_nothing_are_missed_and_match_nothing(slow_quarter: Path) -> None:
    """Another application, another metric, another side, another time, a time of none."""
    misfits = [
        {**LABEL, "application": "other"},  # type: ignore[dict-item]
        {**LABEL, "model": "large"},  # type: ignore[dict-item]
        {**LABEL, "start": 0, "end": START - 1},  # type: ignore[dict-item]
        {**LABEL, "start": FAULT[1] + 60 * MINUTE, "end": 1 << 60},  # type: ignore[dict-item]
    ]
    said = played(slow_quarter, *misfits)
    assert [label["found"] for label in said["labels"]] == [False] * 4  # type: ignore
    assert not any(one["matched"] for one in said["incidents"])  # type: ignore
    elsewhere = [{**LABEL, "kind": kind} for kind in ("cost x2", "latency x0.5")]  # type: ignore
    said = played(slow_quarter, *elsewhere)
    assert [label["found"] for label in said["labels"]] == [False] * 2  # type: ignore


def test_what_was_said_before_a_fault_does_not_find_it(slow_quarter: Path) -> None:
    """A label that begins while the fault is being reported is found by nothing new."""
    late = {**LABEL, "start": FAULT[0] + 5 * MINUTE}  # type: ignore[dict-item]
    (label,) = played(slow_quarter, late)["labels"]  # type: ignore[misc,union-attr]
    assert (label["found"], label["delay_s"], label["metric"]) == (  # type: ignore
        False,
        None,
        None,
    )


def test_each_kind_of_file_gives_the_same_bytes(
    slow_quarter: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Parquet, JSON lines and packed JSON lines, whatever their names."""
    rows = pl.read_parquet(slow_quarter).to_dicts()
    labels = as_json_lines(tmp_path / "labels", [LABEL])  # type: ignore[list-item]
    files = [
        slow_quarter,
        as_json_lines(tmp_path / "trace", rows),
        as_json_lines(tmp_path / "trace.gz", rows),
    ]
    said = []
    for file in files:
        with pytest.raises(SystemExit) as ended:
            main(["backtest", "--trace", str(file), "--labels", str(labels), "--json"])
        assert ended.value.code in (0, None)
        said.append(capfdbinary.readouterr().out)
    assert said[0] == said[1] == said[2]
    assert orjson.loads(said[0])["labels"][0]["found"] is True


def test_the_cut_of_the_file_into_stretches_does_not_matter(
    slow_quarter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few rows are read at once."""
    path = as_json_lines(tmp_path / "trace", pl.read_parquet(slow_quarter).to_dicts())
    whole = played(path, LABEL)
    monkeypatch.setattr(trace_files, "_BYTES", 10_000)
    assert played(path, LABEL) == whole


def test_bad_rows_are_set_apart_with_number_field_and_reason(tmp_path: Path) -> None:
    """Each kind of nonsense; the good rows around them count. Parquet has columns of one type, so
    only JSON lines can hold them all.
    """
    good = calls(1)
    wrong: list[tuple[bytes, str | None, str]] = [
        (b'{"application": "shop"}', "event_time", "no value"),
        (b'{"event_time": %d}' % START, "application", "no value"),
        (b"no JSON", None, "not a JSON object"),
        (b"[1, 2]", None, "not a JSON object"),
        (b'{"event_time": %d, "application": ""}' % START, "application", "empty text"),
        (b'{"event_time": 1800000000, "application": "shop"}', "event_time", "number out of range"),
        (b'{"event_time": "now", "application": "shop"}', "event_time", "not a whole number"),
        (
            b'{"event_time": %d, "application": "shop", "latency_us": -1}' % START,
            "latency_us",
            "number out of range: negative",
        ),
        (
            b'{"event_time": %d, "application": "shop", "latency_us": 1e300}' % START,
            "latency_us",
            "number out of range",
        ),
        (
            b'{"event_time": %d, "application": "shop", "latency_us": NaN}' % START,
            None,
            "not a JSON object",
        ),
        (
            b'{"event_time": %d, "application": "shop", "status": "odd"}' % START,
            "status",
            "not one of its symbols",
        ),
        (
            b'{"event_time": %d, "application": "shop", "quality": [3]}' % START,
            "quality",
            "not a list of such items",
        ),
        (b'{"event_time": %d, "application": "\xff"}' % START, None, "not a JSON object"),
    ]
    path = tmp_path / "trace"
    lines = [orjson.dumps(row) for row in good]
    path.write_bytes(b"\n".join([lines[0], *(line for line, _, _ in wrong), b"", *lines[1:]]))
    said = played(path)
    assert said["bad_rows"] == len(wrong)
    for (row, field, reason), (place, (_, what, why)) in zip(
        bad_of(said), enumerate(wrong, 2), strict=True
    ):
        assert (row, field) == (place, what)
        assert str(reason).startswith(why)
    assert said["events"] == len(good)


def test_columns_of_other_types_are_read_or_set_apart(tmp_path: Path) -> None:
    """As data frames of other programs have them: moments, floats with NaN, categories; and what
    cannot be a number.
    """
    count = 200
    times = START + np.arange(count) * 1_000_000
    frame = pl.DataFrame(
        {
            "event_time": pl.Series(times).cast(pl.Datetime("us")),
            "application": pl.Series(["shop"] * count).cast(pl.Categorical),
            "user": [7] * count,
            "latency_us": [float("nan"), 1.4, float("inf"), 1e300] + [2e5] * (count - 4),
            "prompt_tokens": [None] * count,
            "cost_nano": ["much"] + [None] * (count - 1),
        }
    )
    path = tmp_path / "trace.parquet"
    frame.write_parquet(path)
    said = played(path)
    assert bad_of(said) == [
        (1, "cost_nano", "not a whole number"),
        (3, "latency_us", "number out of range"),
        (4, "latency_us", "number out of range"),
    ]
    assert said["events"] == count - 3


@pytest.mark.parametrize("name", ["trace", "trace.gz"])
def test_an_empty_trace_finds_nothing(tmp_path: Path, name: str) -> None:
    """And has no rate of false incidents, instead of a division by nothing."""
    said = played(as_json_lines(tmp_path / name, []), LABEL)
    assert (said["events"], said["incidents"], said["application_days"]) == (0, [], 0.0)
    assert said["false_incidents_per_application_week"] is None
    assert said["labels"] == [
        {**LABEL, "found": False, "delay_s": None, "metric": None, "severity": None}  # type: ignore
    ]


def test_events_later_than_the_lateness_are_counted_as_late(tmp_path: Path) -> None:
    """Those within it count like any other."""
    rows = calls(10)
    ordered = sorted(rows, key=lambda row: row["event_time"])  # type: ignore[arg-type,return-value]
    within = ordered[:500] + ordered[500:504][::-1] + ordered[504:]
    assert played(as_json_lines(tmp_path / "within", within))["late_events"] == 0
    moved = ordered[5:10]
    beyond = ordered[:5] + ordered[10:] + moved
    said = played(as_json_lines(tmp_path / "beyond", beyond))
    assert (said["late_events"], said["events"]) == (5, len(rows) - 5)


def test_one_clock_that_is_ahead_makes_nothing_late(tmp_path: Path) -> None:
    """The row is set apart, as a worker sets apart what is ahead of its append time."""
    rows = calls(10)
    rows[500] = {**rows[500], "event_time": START + 365 * 1440 * MINUTE}
    said = played(as_json_lines(tmp_path / "ahead", rows))
    assert bad_of(said) == [(501, "event_time", "event time ahead of the clock")]
    assert (said["events"], said["late_events"]) == (len(rows) - 1, 0)
    assert said["application_days"] < 1  # type: ignore[operator]


def test_a_gap_is_silence_and_the_end_of_the_trace_is_none(tmp_path: Path) -> None:
    """An application that falls silent for an hour is reported within minutes."""
    begin, end = START + 40 * MINUTE, START + 100 * MINUTE
    rows = [
        row
        for row in calls(130)
        if not begin <= row["event_time"] < end  # type: ignore[operator]
    ]
    silence: Json = {"application": "shop", "kind": "silence", "start": begin, "end": end}
    said = played(as_json_lines(tmp_path / "gap", rows), silence)
    (label,) = said["labels"]  # type: ignore[misc,union-attr]
    assert (label["found"], label["metric"]) == (True, "request_rate")  # type: ignore
    assert label["delay_s"] <= 120  # type: ignore
    assert not [one for one in said["incidents"] if one["opened"] > START + 120 * MINUTE]  # type: ignore


def test_time_passes_in_gaps_as_in_an_idle_lane(tmp_path: Path) -> None:
    """An incident of which no data comes is given up after three days, not resolved when data comes
    again after four.
    """
    days = 1440 * MINUTE
    before = slowed(calls(45), FAULT[0], FAULT[1], 4)
    after = [
        {**row, "event_time": row["event_time"] + 4 * days}  # type: ignore[operator]
        for row in calls(10)
    ]
    said = played(as_json_lines(tmp_path / "days", [*before, *after]))
    first = said["incidents"][0]  # type: ignore
    last_event = START + 45 * MINUTE
    assert 3 * days <= first["resolved"] - last_event < 3 * days + 30 * MINUTE  # type: ignore


def test_an_incident_that_is_open_at_the_end_has_no_end(tmp_path: Path) -> None:
    """A fault that lasts beyond the trace."""
    rows = slowed(calls(50), FAULT[0], START + 60 * MINUTE, 4)
    (incident,) = played(as_json_lines(tmp_path / "open", rows))["incidents"]  # type: ignore
    assert incident["resolved"] is None  # type: ignore


def test_files_that_are_no_traces_are_refused_with_what_to_do(tmp_path: Path) -> None:
    """Nothing there, a packed file that was cut, Parquet that was cut or has other columns."""
    with pytest.raises(TraceRefused, match="No such file"):
        played(tmp_path / "none")
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(b'{"event_time": 1}\n' * 1000)[:-20])
    with pytest.raises(TraceRefused, match=r"cut\.gz: .*end"):
        played(cut)
    parquet = as_parquet(tmp_path / "whole.parquet", calls(1))
    short = tmp_path / "short.parquet"
    short.write_bytes(parquet.read_bytes()[:-100])
    with pytest.raises(TraceRefused, match="not readable as Parquet"):
        played(short)
    other = as_parquet(tmp_path / "other.parquet", [{"speed": 3}])
    with pytest.raises(TraceRefused, match=r"but speed; name the columns"):
        played(other)


def test_a_label_that_is_wrong_is_refused_with_its_line(tmp_path: Path) -> None:
    """All of them at once."""
    path = tmp_path / "labels"
    path.write_text(
        '{"application": "shop", "kind": "latency", "start": 1, "end": 2}\n'
        '{"application": "shop", "start": 1, "end": 2}\n'
        "nonsense\n"
        '{"application": "shop", "kind": "latency", "start": 3, "end": 2}\n'
        '{"application": "shop", "kind": "latency", "start": "now", "end": 2}\n'
    )
    with pytest.raises(LabelsRefused) as refused:
        read_labels(path)
    lines = str(refused.value).splitlines()
    assert [line.split(":")[1] for line in lines] == ["2", "3", "4", "5"]
    assert lines[0].endswith("kind must be a text")
    assert lines[2].endswith("end is before start")
