"""Telemetry that comes as a table, with a column for each field, as the columns of its good events:
what files of history hold (Parquet, JSON lines), where the wire has Avro.

What an Avro record cannot lack may be absent here. Absent numbers and texts are unknown, as on the
wire; a call without a status succeeded, one without a model is of the model `unknown`, and an event
without an id is named after its row. Without a time or an application an event means nothing: such
a row is bad. Else a row is good when `schemas.telemetry.validity` finds nothing wrong with it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from schemas.avro import packaged
from schemas.avro.schema import Enum, Record, Union
from schemas.errors import BadRecord, Reason
from schemas.native.library import NATIVE, address_of
from schemas.native.packed import NOTHING
from schemas.telemetry import validity
from schemas.telemetry.avro_blocks import dtypes, nullable_part
from schemas.telemetry.events import NONE, Events, FrameEvents, NativeEvents
from schemas.telemetry.programs import Slots

Int64s = npt.NDArray[np.int64]
Wrong = tuple[pl.Series, BadRecord]
"""A mask of bad rows, and what is wrong with them."""

NOT_WHOLE: Final = "not a whole number"
NOT_A_TEXT: Final = "not a text"
NOT_A_SYMBOL: Final = "not one of its symbols"
NOT_A_LIST: Final = "not a list of such items"

_REQUIRED: Final = ("event_time", "application")
_DEFAULTS: Final = {
    "tenant": "default",
    "model": "unknown",
    "operation": "other",
    "status": "success",
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "cached_tokens": 0,
    "reasoning_tokens": 0,
    "cost_nano": 0,
    "retries": 0,
}
"""What stands for an absent value that the wire's records cannot lack; see the module's text."""


@dataclass(frozen=True, slots=True)
class GoodRows:
    """The good rows of a table."""

    frame: pl.DataFrame
    """Their columns, in the dtypes of `schemas.telemetry.avro_blocks.dtypes`."""
    index: Int64s
    """For each of them its place in the table, from 0; rising."""
    bad: list[tuple[int, BadRecord]]
    """The other places, rising, each with what is wrong."""


class TableReader:
    """Reads tables for those who want some columns of TelemetryEvent. `columns` are all that a
    table is looked at for: the wanted ones, and those that tell good rows from bad.
    """

    def __init__(self, wanted: Iterable[str]) -> None:
        schema = packaged.schema(packaged.newest("TelemetryEvent"))
        assert isinstance(schema, Record)
        known = dtypes(schema)
        names = {*wanted, *validity.CHECKED}
        self._dtypes = {name: dtype for name, dtype in known.items() if name in names}
        self._symbols = {
            field.name: tuple(kind.symbols)
            for field in schema.fields
            if isinstance(
                kind := nullable_part(field.type) if isinstance(field.type, Union) else field.type,
                Enum,
            )
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """In the order of the schema."""
        return tuple(self._dtypes)

    @property
    def dtypes(self) -> dict[str, pl.DataType]:
        """Of the columns of good rows."""
        return dict(self._dtypes)

    @property
    def plain_dtypes(self) -> dict[str, pl.DataType]:
        """The dtypes in which a table is read without any conversion: symbols are texts."""
        return {
            name: pl.String() if name in self._symbols else dtype
            for name, dtype in self._dtypes.items()
        }

    def read(self, table: pl.DataFrame, first_row: int) -> GoodRows:
        """The good rows; `first_row` is the number of the first one, for events without an id.
        Columns that the table lacks are absent in all rows, and those that no field has are not
        looked at. Raises nothing for what the table may hold.
        """
        bad: dict[int, BadRecord] = {}
        columns = []
        for name, dtype in self._dtypes.items():
            column, wrong = self._column(table, name, dtype)
            columns.append(column)
            _note(bad, wrong)
        frame = pl.DataFrame(columns)
        if "event_id" in self._dtypes:
            frame = _numbered(frame, first_row)
        for row, error in validity.check(frame):
            bad.setdefault(row, error)
        index = np.arange(table.height, dtype=np.int64)
        if bad:
            index = np.delete(index, sorted(bad))
            frame = frame[index]
        return GoodRows(frame, index, sorted(bad.items()))

    def _column(
        self, table: pl.DataFrame, name: str, dtype: pl.DataType
    ) -> tuple[pl.Series, list[Wrong]]:
        """A column of that dtype, and the rows in which the table's cannot be one."""
        default = _DEFAULTS.get(name)
        if name in self._symbols and default is not None:
            default = self._symbols[name].index(str(default))
        if name not in table.columns:
            column, wrong = _nothing(name, table.height, dtype), list[Wrong]()
        else:
            column, wrong = self._converted(table[name], name, dtype)
        if column.null_count():
            if name in _REQUIRED:
                wrong = [*wrong, (column.is_null(), BadRecord(Reason.MISSING, name))]
            elif default is not None:
                column = column.fill_null(default)
        return column, wrong

    def _converted(
        self, given: pl.Series, name: str, dtype: pl.DataType
    ) -> tuple[pl.Series, list[Wrong]]:
        convert: Callable[[pl.Series], tuple[pl.Series, str]]
        if name in self._symbols and not given.dtype.is_integer():
            symbols = self._symbols[name]
            convert = lambda one: (_symbols(one, symbols), NOT_A_SYMBOL)  # noqa: E731
        elif isinstance(dtype, pl.Int64):
            convert = _whole
        elif isinstance(dtype, pl.String):
            convert = lambda one: (_texts(one), NOT_A_TEXT)  # noqa: E731
        else:
            convert = lambda one: (_cast(one, dtype), NOT_A_LIST)  # noqa: E731
        if isinstance(given.dtype, pl.Float32 | pl.Float64):
            given = given.fill_nan(None)
        column, reason = convert(given)
        if column.null_count() == given.null_count():
            return column, []
        return column, [(column.is_null() & given.is_not_null(), BadRecord(reason, name))]


def events_of(frame: pl.DataFrame, columns: Sequence[str]) -> Events:
    """Good rows as events with these columns: as native code gives them where it is there and where
    all are whole numbers and texts, and else as polars has them.
    """
    texts = [name for name in columns if frame.schema[name] == pl.String]
    numbers = [name for name in columns if frame.schema[name] == pl.Int64]
    if NATIVE is None or len(texts) + len(numbers) != len(columns) or not frame.height:
        return FrameEvents(frame.select(columns))
    slots = Slots(
        tuple(columns),
        *({name: place for place, name in enumerate(each)} for each in (numbers, texts)),
    )
    cells = np.empty((len(numbers) + 2 * len(texts), frame.height), np.int64)
    for place, name in enumerate(numbers):
        cells[place] = frame[name].fill_null(NONE).to_numpy()
    holders = []
    for place, name in enumerate(texts, len(numbers)):
        whole, sizes = _packed(frame[name])
        lengths = np.maximum(sizes, 0)
        cells[place] = np.cumsum(lengths) - lengths + address_of(whole)
        cells[place + len(texts)] = sizes
        holders.append(whole)
    return NativeEvents(slots, cells, tuple(holders))


def _packed(texts: pl.Series) -> tuple[bytes, Int64s]:
    """The texts one behind the other, and the size of each."""
    sizes = texts.str.len_bytes().cast(pl.Int64).fill_null(NOTHING).to_numpy()
    joined = texts.str.join("").item()
    # Never empty: its address is asked for.
    return (joined or "").encode() + b"\0", sizes


def _numbered(frame: pl.DataFrame, first_row: int) -> pl.DataFrame:
    """Names events without an id after their rows."""
    if not frame["event_id"].null_count():
        return frame
    rows = pl.int_range(first_row, first_row + frame.height)
    return frame.with_columns(pl.col("event_id").fill_null(pl.format("row {}", rows)))


def _note(bad: dict[int, BadRecord], wrong: Iterable[Wrong]) -> None:
    for rows, error in wrong:
        for row in rows.arg_true().to_list():
            bad.setdefault(row, error)


def _whole(given: pl.Series) -> tuple[pl.Series, str]:
    """Whole numbers of any width, fractions rounded, moments as µs; null where it is none."""
    dtype = given.dtype
    if isinstance(dtype, pl.Datetime):
        return given.dt.epoch("us"), NOT_WHOLE
    if dtype.is_float():
        given = given.round()
    if dtype.is_numeric() or isinstance(dtype, pl.Null):
        return _cast(given, pl.Int64()), Reason.OUT_OF_RANGE
    return _nothing(given.name, len(given), pl.Int64()), NOT_WHOLE


def _texts(given: pl.Series) -> pl.Series:
    dtype = given.dtype
    if isinstance(dtype, pl.String):
        return given
    if isinstance(dtype, pl.Categorical | pl.Enum | pl.Null | pl.Binary) or dtype.is_integer():
        return _cast(given, pl.String())
    return _nothing(given.name, len(given), pl.String())


def _symbols(given: pl.Series, symbols: Sequence[str]) -> pl.Series:
    kind = pl.Enum(symbols)
    return _cast(_texts(given), kind).to_physical().cast(pl.Int64)


def _cast(given: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Of that dtype, null where it cannot be."""
    try:
        return given.cast(dtype, strict=False)
    except pl.exceptions.PolarsError:
        return _nothing(given.name, len(given), dtype)


def _nothing(name: str, count: int, dtype: pl.DataType) -> pl.Series:
    return pl.Series(name, [None], dtype).new_from_index(0, count)
