"""A single series in a CSV file: read a row at a time, scored, written a row at a time."""

import csv
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from agents.detectors.single_series.detector import SingleSeries
from schemas.errors import UserError

COLUMNS = ("timestamp", "value", "anomaly_score", "label")
MAX_CELL = 1 << 20
"""Characters of a cell at most; a longer one means a quote that is never closed."""
MAX_NOTED = 20
"""Rows of which a warning is printed; further ones are counted."""
PROGRESS_EVERY = 50_000

Note = Callable[[str], None]


@dataclass(slots=True)
class Summary:
    """What was scored."""

    rows: int = 0
    unreadable: int = 0
    reported: list[tuple[str, float]] = field(default_factory=list)


def score_file(
    source: Path, target: Path, time: str, value: str, note: Note, progress: Note
) -> Summary:
    """Score each row of `source` and write it to `target`. `note` gets a line for each bad row.

    Raises UserError where the file cannot be read as a table with these columns, or not be written.
    """
    summary = Summary()
    partial = target.with_name(f".{target.name}.partial")
    try:
        with (
            source.open(encoding="utf-8-sig", newline="") as readable,
            partial.open("w", encoding="utf-8", newline="") as writable,
        ):
            _score(readable, writable, source, (time, value), summary, note, progress)
        partial.replace(target)
    except OSError as why:
        partial.unlink(missing_ok=True)
        raise UserError(f"{why.filename or source}: {why.strerror or why}") from why
    except UserError:
        partial.unlink(missing_ok=True)
        raise
    return summary


def _score(
    readable: TextIO,
    writable: TextIO,
    source: Path,
    columns: tuple[str, str],
    summary: Summary,
    note: Note,
    progress: Note,
) -> None:
    detector = SingleSeries()
    writer = csv.writer(writable, lineterminator="\n")
    writer.writerow(COLUMNS)
    rows = _rows(readable, source)
    header = next(rows, (0, ()))[1]
    if not header:
        raise UserError(f"{source}: empty file; the first line has to name the columns")
    at_time, at_value = (_column(source, header, name) for name in columns)
    at_label = header.index("label") if "label" in header else -1
    time_s = 0.0
    for line, cells in rows:
        problems = []
        stamp, text, label = (
            cells[at] if 0 <= at < len(cells) else "" for at in (at_time, at_value, at_label)
        )
        parsed = seconds(stamp)
        if parsed is None:
            problems.append(f"column {columns[0]!r}: {_shown(stamp)} is not a time")
        else:
            if parsed < time_s and summary.rows:
                problems.append(f"column {columns[0]!r}: {stamp} is before the row above")
            time_s = parsed
        number = _number(text)
        if not math.isfinite(number):
            problems.append(
                f"column {columns[1]!r}: {_shown(text)} is not a finite number, scored 0"
            )
        if problems:
            summary.unreadable += 1
            if summary.unreadable <= MAX_NOTED:
                note(f"{source}, line {line}, {'; '.join(problems)}")
        score = detector.update(time_s, number)
        summary.rows += 1
        writer.writerow((stamp, text, f"{score:.6f}", label))
        if summary.rows % PROGRESS_EVERY == 0:
            progress(f"{summary.rows:,} rows")


def _rows(readable: TextIO, source: Path) -> Iterator[tuple[int, Sequence[str]]]:
    """Rows with the line that each ends in; blank lines are left out."""
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(readable)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as why:
        raise UserError(f"{source}, line {reader.line_num}: {why}") from why
    except UnicodeDecodeError as why:
        raise UserError(f"{source}, after line {reader.line_num}: not UTF-8") from why


def _column(source: Path, header: Sequence[str], name: str) -> int:
    if name not in header:
        raise UserError(f"{source}, line 1: no column {name!r}; there is {', '.join(header)[:200]}")
    return header.index(name)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def seconds(text: str) -> float | None:
    """Seconds on the series' own clock, since 1970 there: ISO 8601 (an offset is left out, so that
    a slot of the day is one of the place) or a number of seconds. None if it is neither.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        number = _number(text)
        return number if math.isfinite(number) else None
    return moment.replace(tzinfo=UTC).timestamp()


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


def warn(line: str) -> None:
    """A warning on standard error."""
    sys.stderr.write(f"sentinel: {line}\n")
