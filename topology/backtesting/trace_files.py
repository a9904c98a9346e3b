"""A trace as tables of rows, a stretch at a time: from Parquet, or from JSON lines."""

import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import orjson
import polars as pl

from schemas.errors import BadRecord, UserError
from schemas.telemetry.tabular import NOT_A_LIST, NOT_WHOLE

NOT_JSON: Final = "not a JSON object"
TOO_LONG: Final = "line too long"

_PARQUET: Final = b"PAR1"
_GZIP: Final = b"\x1f\x8b"

_ROWS: Final = 120_000
"""Rows of a table at most, of Parquet."""
_BYTES: Final = 8_388_608
"""Bytes of a table, of JSON lines, or one line more."""
_MOST_LINE: Final = 16_777_216
"""Bytes of a line that is read; a longer one is bad."""
_PIECES: Final = 8

Dtypes = Mapping[str, pl.DataType]


class TraceRefused(UserError):
    """A file that is no trace. The text says what to do."""


@dataclass(slots=True)
class Rows:
    """Neighbouring rows of a trace."""

    first: int
    """The number of the first, from 1; of JSON lines, the line's."""
    table: pl.DataFrame
    """As the file has them, which may be any dtypes."""
    places: list[int] | None = None
    """Of each row of the table its place among the rows, from 0; None when all are there."""
    bad: list[tuple[int, BadRecord]] = field(default_factory=list)
    """Places of rows that are not in the table, rising."""
    count: int = 0
    """How many rows there are, the bad ones too."""


def read_trace(path: Path, dtypes: Dtypes) -> Iterator[Rows]:
    """The rows of a trace in order, with those of these columns that it has. The kind of file is
    known by its first bytes. Raises TraceRefused for a file that cannot be read, or ends within.
    """
    with _opened(path) as file:
        head = file.peek(len(_PARQUET))[: len(_PARQUET)]
        if head == _PARQUET:
            # Parquet ends with its table of contents, so that what is compressed is unpacked first.
            packed = file.read() if isinstance(file.raw, gzip.GzipFile) else None
            yield from _parquet(path, packed, dtypes)
        else:
            yield from _json_lines(path, cast(BinaryIO, file), dtypes)


def _parquet(path: Path, content: bytes | None, dtypes: Dtypes) -> Iterator[Rows]:
    try:
        scan = pl.scan_parquet(path if content is None else io.BytesIO(content))
        known = scan.collect_schema().names()
        wanted = [name for name in dtypes if name in known]
        if not wanted:
            _refuse_columns(path, known)
        first = 1
        batches = scan.select(wanted).collect_batches(chunk_size=_ROWS, maintain_order=True)
        for table in batches:
            yield Rows(first, table, count=table.height)
            first += table.height
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise TraceRefused(f"{path}: not readable as Parquet: {_first_line(error)}") from None


def _refuse_columns(path: Path, known: list[str]) -> None:
    raise TraceRefused(
        f"{path}: has none of the columns of telemetry (event_time, application, latency_us, …),"
        f" but {', '.join(known[:8]) or 'no columns'}; name the columns as docs/telemetry.md does"
    )


def _json_lines(path: Path, file: BinaryIO, dtypes: Dtypes) -> Iterator[Rows]:
    first = 1
    for lines in _stretches(path, file):
        rows = _parsed(lines, dtypes)
        rows.first = first
        yield rows
        first += rows.count


def _stretches(path: Path, file: BinaryIO) -> Iterator[list[bytes]]:
    """Lines, some megabytes at a time, without their ends; one that is too long is cut there."""
    lines: list[bytes] = []
    size = 0
    while True:
        try:
            line = file.readline(_MOST_LINE + 1)
            while len(line) > _MOST_LINE and not line.endswith(b"\n"):
                rest = file.readline(_MOST_LINE)
                if not rest or rest.endswith(b"\n"):
                    break
        except (OSError, EOFError, zlib.error) as error:
            raise TraceRefused(f"{path}: {_first_line(error)}") from None
        if not line:
            break
        lines.append(line)
        size += len(line)
        if size >= _BYTES:
            yield lines
            lines, size = [], 0
    if lines:
        yield lines


def _parsed(lines: list[bytes], dtypes: Dtypes) -> Rows:
    """All lines at once, as nearly always; where that fails, each is looked at."""
    table = _table(lines, dtypes)
    if table is not None and table.height == len(lines):
        return Rows(0, table, count=len(lines))
    kept: list[bytes] = []
    places: list[int] = []
    bad: list[tuple[int, BadRecord]] = []
    for place, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            kept.append(_mended(line, dtypes))
            places.append(place)
        except BadRecord as error:
            bad.append((place, error))
    tables, good = _divided(kept, places, dtypes, bad)
    empty = pl.DataFrame(schema=dict(dtypes))
    return Rows(
        0, pl.concat([empty, *tables]), good, sorted(bad, key=lambda one: one[0]), len(lines)
    )


def _table(lines: list[bytes], dtypes: Dtypes) -> pl.DataFrame | None:
    try:
        return pl.read_ndjson(io.BytesIO(b"".join(lines)), schema=dict(dtypes))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None


def _divided(
    lines: list[bytes], places: list[int], dtypes: Dtypes, bad: list[tuple[int, BadRecord]]
) -> tuple[list[pl.DataFrame], list[int]]:
    """Cuts what does not parse as a whole into pieces, until the bad lines are alone."""
    if not lines:
        return [], []
    table = _table(lines, dtypes)
    if table is not None and table.height == len(lines):
        return [table], places
    if len(lines) == 1:
        bad.append((places[0], BadRecord(NOT_JSON)))
        return [], []
    step = -(-len(lines) // _PIECES)
    tables: list[pl.DataFrame] = []
    good: list[int] = []
    for start in range(0, len(lines), step):
        at = slice(start, start + step)
        some, which = _divided(lines[at], places[at], dtypes, bad)
        tables += some
        good += which
    return tables, good


def _mended(line: bytes, dtypes: Dtypes) -> bytes:
    """A line whose whole numbers are written as such: other programs write 12.0 where a column may
    have none. Raises BadRecord.
    """
    if len(line) > _MOST_LINE:
        raise BadRecord(TOO_LONG)
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise BadRecord(NOT_JSON) from None
    if not isinstance(row, dict):
        raise BadRecord(NOT_JSON)
    for name, value in row.items():
        dtype = dtypes.get(name)
        if value is None or dtype is None:
            continue
        if isinstance(dtype, pl.Int64):
            row[name] = _whole(name, value)
        elif isinstance(dtype, pl.List):
            _check_items(name, value)
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRecord(NOT_WHOLE, name)
    if not -(1 << 63) <= value < 1 << 63:
        raise BadRecord("number out of range", name)
    return round(value)


def _check_items(name: str, value: object) -> None:
    items = value if isinstance(value, list) else [value]
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in items):
        raise BadRecord(NOT_A_LIST, name)


@contextmanager
def _opened(path: Path) -> Iterator["io.BufferedReader[Any]"]:
    """The file unpacked. Raises TraceRefused."""
    try:
        plain = path.open("rb")
    except OSError as error:
        raise TraceRefused(f"{path}: {error.strerror or error}") from None
    with plain:
        if plain.peek(2)[:2] != _GZIP:
            yield plain
            return
        with gzip.GzipFile(fileobj=plain) as packed:
            file = io.BufferedReader(cast(io.RawIOBase, packed), 1 << 20)
            try:
                file.peek(1)
            except (OSError, EOFError, zlib.error) as error:
                raise TraceRefused(f"{path}: {_first_line(error)}") from None
            yield file


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
