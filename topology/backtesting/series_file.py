"""A single series in a CSV file: read a row at a time, scored, written a row at a time."""

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO

from agents.detectors.single_series.detector import SingleSeries
from agents.detectors.single_series.policy import ALARM, Policy
from schemas.errors import UserError

COLUMNS: Final = ("timestamp", "value", "anomaly_score", "label")

MAX_LINE: Final = 1 << 20
"""Characters of a line at most; a cell is bounded by the csv module, at 128 KiB."""

_PROGRESS_EVERY: Final = 10_000
_SHOWN: Final = 40

Note = Callable[[str], None]
"""Gets a line for each row in which something cannot be read."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was read. `time_s` counts on the clock of the series, without its offset; `value`
    is NaN where it is not a finite number.
    """

    timestamp: str
    text: str
    label: str
    time_s: float
    value: float


@dataclass(slots=True)
class Scored:
    """What was scored: rows, and those at or above the alarm threshold."""

    rows: int = 0
    alarms: int = 0


def score_file(
    source: Path,
    target: Path,
    columns: tuple[str, str],
    note: Note,
    progress: Callable[[int], None],
) -> Scored:
    """Score each row of `source`, and write it to `target` in `COLUMNS`. `columns` are the names of
    those of time and value. Raises UserError where `source` is not a table with these columns, or
    `target` cannot be written; then `target` is as it was.
    """
    scored, detector = Scored(), SingleSeries(Policy())
    with _replacing(source, target) as writable:
        writer = csv.writer(writable, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in read_series(source, *columns, note):
            score = detector.update(row.time_s, row.value)
            writer.writerow((row.timestamp, row.text, f"{score:.6f}", row.label))
            scored.rows += 1
            scored.alarms += score >= ALARM
            if scored.rows % _PROGRESS_EVERY == 0:
                progress(scored.rows)
    return scored


def read_series(source: Path, time: str, value: str, note: Note) -> Iterator[Row]:
    """The rows of a CSV file, the first line of which names its columns; blank lines are left out.

    A time that cannot be read is that of the row before. Raises UserError.
    """
    try:
        with source.open(encoding="utf-8-sig", errors="replace", newline="") as readable:
            yield from _rows(source, readable, (time, value), note)
    except OSError as why:
        raise UserError(f"{source}: {why.strerror or why}") from why


def _rows(source: Path, readable: TextIO, columns: tuple[str, str], note: Note) -> Iterator[Row]:
    cells_of = _cells(source, readable)
    _, header = next(cells_of, (0, ()))
    if not header:
        raise UserError(f"{source}: empty file; its first line has to name the columns")
    places = [_place(source, header, name) for name in columns]
    places.append(header.index("label") if "label" in header else len(header))
    time_s = -math.inf
    for line, cells in cells_of:
        timestamp, text, label = (cells[at] if at < len(cells) else "" for at in places)
        problems = []
        moment = seconds(timestamp)
        if moment is None:
            problems.append(f"column {columns[0]!r}: {_shown(timestamp)} is not a time")
        else:
            if moment < time_s:
                problems.append(f"column {columns[0]!r}: {_shown(timestamp)} goes back in time")
            time_s = moment
        number = _number(text)
        if number is None:
            problems.append(
                f"column {columns[1]!r}: {_shown(text)} is not a finite number, scored 0"
            )
        for problem in problems:
            note(f"{source}, line {line}, {problem}")
        yield Row(
            timestamp,
            text,
            label,
            0.0 if time_s == -math.inf else time_s,
            math.nan if number is None else number,
        )


def _cells(source: Path, readable: TextIO) -> Iterator[tuple[int, Sequence[str]]]:
    """Rows that are not blank, with the line that each ends in."""
    reader = csv.reader(_lines(source, readable))
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as why:
        raise UserError(f"{source}, line {reader.line_num}: {why}") from why


def _lines(source: Path, readable: TextIO) -> Iterator[str]:
    number = 0
    while line := readable.readline(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE:
            raise UserError(f"{source}, line {number}: longer than {MAX_LINE:,} characters")
        yield line


def _place(source: Path, header: Sequence[str], name: str) -> int:
    if name not in header:
        known = ", ".join(_shown(each) for each in header[:20])
        raise UserError(f"{source}, line 1: no column {name!r}; there is {known}")
    return header.index(name)


def seconds(text: str) -> float | None:
    """Seconds of a time since 1970 on its own clock: a number of seconds, or ISO 8601, of which an
    offset is left out, so that a slot of the day is one of the place. None if it is neither.

    >>> seconds("1970-01-02 00:00:30+02:00"), seconds("90.5"), seconds("soon")
    (86430.0, 90.5, None)
    """
    if text[4:5] != "-" and (number := _number(text)) is not None:
        return number
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


@contextmanager
def _replacing(source: Path, target: Path) -> Iterator[TextIO]:
    """A file that takes the name `target` when all is written; a device or pipe is written to as it
    is. Raises UserError.
    """
    if target.exists() and source.exists() and target.samefile(source):
        raise UserError(f"{target}: is the file to score; give --out another name")
    is_file = target.is_file() or not target.exists()
    written = target.with_name(f".{target.name}.partial") if is_file else target
    try:
        with written.open("w", encoding="utf-8", newline="") as writable:
            yield writable
        if is_file:
            written.replace(target)
    except OSError as why:
        raise UserError(f"{target}: {why.strerror or why}") from why
    finally:
        if is_file:
            written.unlink(missing_ok=True)
