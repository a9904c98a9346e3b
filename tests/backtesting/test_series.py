"""`sentinel backtest --csv`: a row out for each row in, and a line for what cannot be read."""

import csv
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from schemas.errors import UserError
from topology.backtesting.series_file import COLUMNS, MAX_LINE, score_file, seconds


def scored(
    folder: Path, text: str | bytes, columns: tuple[str, str] = ("timestamp", "value")
) -> tuple[list[dict[str, str]], list[str]]:
    """The rows written, and the notes."""
    source, target = folder / "in.csv", folder / "out.csv"
    source.write_bytes(text if isinstance(text, bytes) else text.encode())
    notes: list[str] = []
    score_file(source, target, columns, notes.append, lambda _: None)
    with target.open(newline="") as readable:
        return list(csv.DictReader(readable)), [note.removeprefix(f"{source}, ") for note in notes]


def lines(values: Sequence[object]) -> str:
    return "timestamp,value\n" + "".join(
        f"2026-01-{1 + row // 24:02d} {row % 24:02d}:00:00,{value}\n"
        for row, value in enumerate(values)
    )


def test_each_row_comes_out_with_its_text_and_a_score(tmp_path: Path) -> None:
    """Time and value are as they were written, not as they were understood."""
    text = lines(["1.50", "2", "1e3", " 7"] * 60 + ["99999"])
    rows, notes = scored(tmp_path, text)
    assert list(rows[0]) == list(COLUMNS)
    assert [f"{row['timestamp']},{row['value']}\n" for row in rows] == text.splitlines(True)[1:]
    assert float(rows[-1]["anomaly_score"]) > 0.8
    assert {row["label"] for row in rows} == {""}
    assert notes == []


def test_a_label_is_passed_through_and_never_used(tmp_path: Path) -> None:
    """And further columns are left out."""
    text = "label,other,value,when\n" + "".join(
        f"{row % 7 == 0:d},x,{row},{row}\n" for row in range(300)
    )
    rows, _ = scored(tmp_path, text, ("when", "value"))
    assert [row["label"] for row in rows[:8]] == ["1", "0", "0", "0", "0", "0", "0", "1"]
    flipped, _ = scored(tmp_path, text.replace("\n1,", "\n0,"), ("when", "value"))
    assert [row["anomaly_score"] for row in rows] == [row["anomaly_score"] for row in flipped]


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("2026-01-02 00:00:00,nan", "column 'value': 'nan' is not a finite number, scored 0"),
        ("2026-01-02 00:00:00,-inf", "column 'value': '-inf' is not a finite number, scored 0"),
        ("2026-01-02 00:00:00,1e999", "column 'value': '1e999' is not a finite number, scored 0"),
        ("2026-01-02 00:00:00,", "column 'value': '' is not a finite number, scored 0"),
        ("2026-01-02 00:00:00", "column 'value': '' is not a finite number, scored 0"),
        ("2026-01-02 00:00:00,3\xff", "column 'value': '3�' is not a finite number, scored 0"),
        ("yesterday,5", "column 'timestamp': 'yesterday' is not a time"),
        ("2025-01-02 00:00:00,5", "column 'timestamp': '2025-01-02 00:00:00' goes back in time"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_and_the_rest_is_scored(
    tmp_path: Path, line: str, note: str
) -> None:
    """By its line and column; it has a row in the output too."""
    text = lines([1, 2]).encode() + line.encode("latin-1") + b"\n" + b"2026-01-03,4\n"
    rows, notes = scored(tmp_path, text)
    assert notes == [f"line 4, {note}"]
    assert len(rows) == 4
    assert all(row["anomaly_score"] == "0.000000" for row in rows)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "in.csv: empty file; its first line has to name the columns"),
        ("time,value\n1,2\n", "in.csv, line 1: no column 'timestamp'; there is 'time', 'value'"),
        (
            "timestamp,amount\n1,2\n",
            "in.csv, line 1: no column 'value'; there is 'timestamp', 'amo",
        ),
        (f"timestamp,value\n1,{'9' * 200_000}\n", "in.csv, line 2: field larger than field limit"),
        (f"timestamp,value\n1,{'9' * MAX_LINE}\n", "in.csv, line 2: longer than 1,048,576 char"),
    ],
    ids=["empty", "no time", "no value", "huge cell", "huge line"],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, text: str, why: str) -> None:
    """In one line with the place, and without an output file."""
    with pytest.raises(UserError) as refused:
        scored(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path}/{why}")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_a_refused_file_leaves_the_old_scores_alone(tmp_path: Path) -> None:
    """They are replaced when all is written."""
    scored(tmp_path, lines([1, 2, 3]))
    with pytest.raises(UserError):
        scored(tmp_path, lines([1, 2, 3]) + "5," + "9" * 200_000)
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 4


def test_the_file_to_score_is_not_overwritten(tmp_path: Path) -> None:
    """Whatever it is called."""
    source = tmp_path / "in.csv"
    source.write_text(lines([1]))
    with pytest.raises(UserError, match="is the file to score"):
        score_file(source, source, ("timestamp", "value"), print, lambda _: None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1700000000", 1.7e9),
        ("1612123101010", 1612123101010.0),
        ("2026-01-01T06:30:00Z", 1767249000.0),
        ("2026-01-01 06:30:00+05:00", 1767249000.0),
        ("2026-01-01 06:30:00.000000", 1767249000.0),
        ("nan", None),
        ("", None),
        ("06:30", None),
    ],
)
def test_times_are_read_on_their_own_clock(text: str, expected: float | None) -> None:
    """So that half past six is half past six wherever the series was written."""
    assert seconds(text) == expected


def test_the_command_scores_and_warns(tmp_path: Path) -> None:
    """Warnings are bounded, and the exit status is that of success."""
    (tmp_path / "in.csv").write_text(lines(["x"] * 30))
    out = tmp_path / "out.csv"
    done = _sentinel("--csv", str(tmp_path / "in.csv"), "--out", str(out))
    assert (done.returncode, done.stdout) == (
        0,
        f"30 rows scored, 0 of them 0.67 or higher: {out}\n",
    )
    warnings = done.stderr.splitlines()
    assert len(warnings) == 21
    assert warnings[-1] == "sentinel: 10 more warnings like these"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--csv", "missing.csv", "--out", "o.csv"), "missing.csv: No such file or directory"),
        (("--csv", "missing.csv"), "--out FILE: name the file for the scores"),
    ],
)
def test_a_mistake_is_one_plain_line(words: Sequence[str], why: str) -> None:
    """With status 1."""
    done = _sentinel(*words)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"sentinel: {why}\n")


def _sentinel(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "topology", "backtest", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
