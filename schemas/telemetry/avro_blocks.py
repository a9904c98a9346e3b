"""Reads many records of one schema as one in-memory Avro block, which polars decodes to columns. It
reads everything that the native code (schemas.native) does not.

A block has no boundaries between records, so some are inserted. The schema of the block is that of
the records with a `double` before and after: the first covers the five bytes of framing (and three
of padding), the second is a guard of eight bytes, which counts up from a start that cannot be
guessed. Both must come back unchanged. Then, by induction, every record was decoded from its first
byte to its last, and from its own message alone.
"""

import io
import json
import os
from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from schemas.avro.binary import long_bytes
from schemas.avro.framing import prefix
from schemas.avro.schema import Array, Enum, Field, Fixed, Json, Map, Primitive, Record, Type, Union
from schemas.telemetry.quiet import STDERR

_SYNC: Final = b"sentinel-columns"
_PADDING: Final = b"\0\0\0"
_MARK: Final = np.dtype([("guard", "<i8"), ("padding", "V3")])
_LEAD, _GUARD = "-lead", "-guard"  # no Avro field can have these names

UNREADABLE: Final = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    OSError,
    OverflowError,
)
"""What polars raises on malformed bytes; PanicException derives from BaseException only."""


class NotReadable(ValueError):
    """A schema that polars cannot read in blocks, or not as the newest schema needs it: its records
    are decoded one by one.
    """


class BlockReader:
    """Reads records written with one schema as columns of another (the newest, possibly the same).

    Raises NotReadable for schemas with maps or with unions of more than one type and null, and
    where a column would need a conversion beyond its default or becoming nullable. `defaults` are
    the values of columns that the writer does not have.
    """

    def __init__(self, schema_id: int, writer: Record, reader: Record) -> None:
        self._lead = int.from_bytes(_PADDING + prefix(schema_id), "little", signed=True)
        self.writer = writer
        self._head = _head(_block_fields(writer.fields))
        self._present, self.defaults = _plan(writer, reader)
        self._dtypes = dtypes(reader)

    def read(
        self, values: Sequence[bytes], values_bytes: int, names: list[str]
    ) -> pl.DataFrame | None:
        """The named columns of framed records, in the order given, which is the schema's; dtypes
        are those of `dtypes`.

        `values_bytes` is their total length. None if any of the values is not exactly one record of
        this schema; which one is not known then.
        """
        wanted = [name for name in names if name in self._present]
        frame = self._read(values, values_bytes, wanted)
        if frame is None:
            return None
        if self.defaults:
            missing = [name for name in names if name in self.defaults]
            frame = frame.with_columns(
                pl.Series(name, [self.defaults[name]], self._dtypes[name]).new_from_index(
                    0, frame.height
                )
                for name in missing
            )
        return frame[names]

    def _read(
        self, values: Sequence[bytes], values_bytes: int, wanted: list[str]
    ) -> pl.DataFrame | None:
        """These columns of the block, if it is made of exactly these values."""
        source = io.BytesIO(self._block(values, values_bytes))
        try:
            with STDERR.quiet():
                frame = pl.read_avro(source, columns=[_LEAD, *wanted, _GUARD])
        except UNREADABLE:
            return None
        return frame if self._whole(frame, len(values)) else None

    def _block(self, values: Sequence[bytes], values_bytes: int) -> bytes:
        count = len(values)
        marks = _MARKS.first(count)
        # Joined once: each copy of a block is some hundred page faults, which cost more than the
        # joining.
        parts = [_SYNC] * (2 * count + 2)
        parts[1:-1:2] = values
        parts[2:-1:2] = marks
        parts[-2] = marks[-1][: -len(_PADDING)]
        size = values_bytes + count * _MARK.itemsize
        parts[0] = b"".join((self._head, long_bytes(count), long_bytes(size), _PADDING))
        return b"".join(parts)

    def _whole(self, frame: pl.DataFrame, count: int) -> bool:
        guards = frame[_GUARD].to_numpy().view(np.int64)
        leads = frame[_LEAD].to_numpy().view(np.int64)
        return np.array_equal(guards, _MARKS.guards[:count]) and bool((leads == self._lead).all())


class _Marks:
    """The bytes between the records of a block: a guard, then the padding before the next record's
    framing.

    The guards count up from a number that is chosen once per process and never leaves it, so they
    serve every block.
    """

    def __init__(self) -> None:
        self._start = int.from_bytes(os.urandom(7), "little") >> 2
        self._marks: list[bytes] = []
        self.guards = np.empty(0, np.int64)

    def first(self, count: int) -> list[bytes]:
        """The first `count` marks."""
        if count > len(self._marks):
            self.guards = np.arange(self._start, self._start + count, dtype=np.int64)
            marks = np.zeros(count, _MARK)
            marks["guard"] = self.guards
            self._marks = marks.view(f"V{_MARK.itemsize}").tolist()
        return self._marks[:count]


_MARKS: Final = _Marks()


def dtypes(reader: Record) -> dict[str, pl.DataType]:
    """The columns of a schema. Whole numbers of either width and symbols of enums (their index,
    from 0) are Int64.
    """
    return {field.name: _dtype(field.type) for field in reader.fields}


def _dtype(kind: Type) -> pl.DataType:
    match kind:
        case Primitive("int" | "long") | Enum():
            return pl.Int64()
        case Primitive("float"):
            return pl.Float32()
        case Primitive("double"):
            return pl.Float64()
        case Primitive("boolean"):
            return pl.Boolean()
        case Primitive("string"):
            return pl.String()
        case Primitive("bytes") | Fixed():
            return pl.Binary()
        case Array(items):
            return pl.List(_dtype(items))
        case Record(_, fields):
            return pl.Struct({field.name: _dtype(field.type) for field in fields})
    return _dtype(nullable_part(kind))


def nullable_part(kind: Type) -> Type:
    """The type that a union makes nullable. Raises NotReadable for any other type."""
    if isinstance(kind, Union) and len(kind.branches) == 2:
        parts = [branch for branch in kind.branches if branch != Primitive("null")]
        if len(parts) == 1:
            return parts[0]
    raise NotReadable("a map, a bare null, or a union of more than one type and null")


def _plan(writer: Record, reader: Record) -> tuple[frozenset[str], dict[str, Json]]:
    """Columns that the writer's records have as the reader needs them, and defaults of those that
    they lack.
    """
    written = {field.name: field.type for field in writer.fields}
    defaults = {field.name: _default(field) for field in reader.fields if field.name not in written}
    for field in reader.fields:
        if field.aliases or (field.name in defaults and not field.has_default):
            raise NotReadable(f"field {field.name} has an alias, or no default")
        if field.name in written and not _same(written[field.name], field.type):
            raise NotReadable(f"field {field.name} is converted")
    return frozenset(field.name for field in reader.fields) - defaults.keys(), defaults


def _default(field: Field) -> Json:
    """What a column holds where the writer has no such field."""
    if isinstance(field.type, Enum) and field.default in field.type.symbols:
        return field.type.symbols.index(field.default)
    if isinstance(field.type, Fixed | Record) or field.type == Primitive("bytes"):
        raise NotReadable(f"the default of field {field.name} is converted")
    return field.default


def _same(written: Type, wanted: Type) -> bool:
    """Whether a column of one type can be used unchanged as a column of the other."""
    match written, wanted:
        case Union(), Union():
            return _same(nullable_part(written), nullable_part(wanted))
        case _, Union():
            return _same(written, nullable_part(wanted))
        case Primitive("int" | "long"), Primitive("int" | "long"):
            return True
        # Columns hold the index of a symbol, so the reader may only have added symbols at the end.
        case Enum(), Enum():
            return written.symbols == wanted.symbols[: len(written.symbols)]
        case Array(), Array():
            return _same(written.items, wanted.items)
        case Record(), Record():
            return [field.name for field in written.fields] == [
                field.name for field in wanted.fields
            ] and all(
                _same(one.type, other.type)
                for one, other in zip(written.fields, wanted.fields, strict=True)
            )
    return written == wanted and not isinstance(written, Map | Union)


def _head(fields: list[dict[str, object]]) -> bytes:
    """A container's header for blocks of records with these fields, each between its two guards."""
    guarded = [{"name": _LEAD, "type": "double"}, *fields, {"name": _GUARD, "type": "double"}]
    schema = json.dumps(
        {"type": "record", "name": "Block", "fields": guarded}, separators=(",", ":")
    ).encode()
    # The container's metadata: a map of two entries, with their sizes as zigzag numbers (Avro 1.12,
    # object container files).
    meta = b"\4\26avro.schema" + long_bytes(len(schema)) + schema + b"\24avro.codec\10null\0"
    return b"Obj\1" + meta + _SYNC


def _block_fields(fields: Sequence[Field]) -> list[dict[str, object]]:
    return [{"name": field.name, "type": _block_type(field.type)} for field in fields]


def _block_type(kind: Type) -> object:
    """A type of the same binary form that polars reads fastest: no names twice, no defaults, enums
    as their index.
    """
    match kind:
        case Primitive("int" | "long") | Enum():
            return "long"
        case Primitive("boolean" | "float" | "double" | "string" | "bytes" as name):
            return name
        case Fixed(name, size):
            return {"type": "fixed", "name": f"F{size}", "size": size}
        case Array(items):
            return {"type": "array", "items": _block_type(items)}
        case Record(_, fields):
            return {"type": "record", "name": "R", "fields": _block_fields(fields)}
    part = _block_type(nullable_part(kind))
    assert isinstance(kind, Union)
    return ["null", part] if kind.branches[0] == Primitive("null") else [part, "null"]
