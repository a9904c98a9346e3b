"""One record at a time: values to framed bytes and back, resolved to the newest version of its
schema.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from io import BytesIO
from types import ModuleType
from typing import Final, Self, TypeVar, get_args, get_origin, get_type_hints

from schemas.avro import packaged
from schemas.avro.framing import PREFIX_BYTES, prefix, schema_id_of
from schemas.avro.schema import Json
from schemas.errors import BadRecord, Reason

_R = TypeVar("_R", bound="Record")

UNREADABLE: Final = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
    struct.error,
)
"""What fastavro raises on malformed bytes: it has no error type of its own for them."""


@cache
def _fastavro() -> ModuleType:
    """Imported with the first record: code that only needs the types of records does not wait."""
    import fastavro

    return fastavro


def framed(name: str, fields: Mapping[str, object]) -> bytes:
    """A framed record of the newest version of the named schema, from a mapping.

    Omitted fields have the schema's default. Raises ValueError for a name that the package does not
    have, and ValueError or TypeError for values that do not fit the schema.
    """
    schema_id = packaged.newest(name)
    stream = BytesIO()
    stream.write(prefix(schema_id))
    _fastavro().schemaless_writer(stream, packaged.for_fastavro(schema_id), fields)
    return stream.getvalue()


def read(name: str, value: bytes) -> dict[str, object]:
    """The fields of one framed record of the named schema, of any of its versions, as the newest
    version has them.

    Raises BadRecord when it is empty, wrongly framed, of another schema, does not decode, or has
    bytes after its end.
    """
    schema_id = schema_id_of(value)
    if schema_id not in packaged.ids_of(name):
        raise BadRecord(
            Reason.WRONG_SCHEMA if schema_id in packaged.IDS else Reason.UNKNOWN_SCHEMA,
            None,
            schema_id,
        )
    newest = packaged.newest(name)
    # Without a reader's schema, fastavro skips schema resolution.
    reader = None if schema_id == newest else packaged.for_fastavro(newest)
    return read_body(value, schema_id, packaged.for_fastavro(schema_id), reader)


def read_body(
    value: bytes, schema_id: int, writer: dict[str, Json], reader: dict[str, Json] | None
) -> dict[str, object]:
    """The fields of one framed record, written with one schema (as fastavro has parsed it) and read
    with another.

    None for `reader` means the writer's. Raises BadRecord when it does not decode or has bytes
    after its end.
    """
    stream = BytesIO(value)
    stream.seek(PREFIX_BYTES)
    try:
        record = _fastavro().schemaless_reader(stream, writer, reader)
    except UNREADABLE as error:
        raise BadRecord(Reason.UNDECODABLE, None, schema_id) from error
    # fastavro stops at the end of the record; bytes after it mean that another schema wrote them.
    if stream.tell() != len(value):
        raise BadRecord(Reason.TRAILING, None, schema_id)
    if not isinstance(record, dict):
        raise BadRecord(Reason.UNDECODABLE, None, schema_id)
    return record


class Record:
    """Base of the records on the wire. Each is a frozen dataclass with the names, order and types
    of its schema.
    """

    __slots__ = ()

    def to_bytes(self) -> bytes:
        """The record in prefix framing, in the newest version of its schema."""
        kind = type(self)
        shape = _shape(kind)
        values = {name: getattr(self, name) for name in shape.names}
        for name, parts in shape.nested.items():
            values[name] = [{part: getattr(item, part) for part in parts} for item in values[name]]
        return framed(kind.__name__, values)

    @classmethod
    def from_bytes(cls, value: bytes) -> Self:
        """The record that `to_bytes`, or another writer of any version of its schema, has written.

        Raises BadRecord as `read` does. What the values mean is not checked here:
        `schemas.telemetry.validity` does that.
        """
        return _built(cls, read(cls.__name__, value))


def _built(kind: type[_R], values: dict[str, object]) -> _R:
    for name, convert in _shape(kind).converts.items():
        values[name] = convert(values[name])
    return kind(**values)


@dataclass(frozen=True, slots=True)
class _Shape:
    """How values of one record type are converted for fastavro, and back."""

    names: tuple[str, ...]
    """All fields, in order."""

    nested: dict[str, tuple[str, ...]]
    """Fields that hold records, each with the fields of those."""

    converts: dict[str, Callable[[object], object]]
    """Fields whose Avro value is not the Python value, each with its conversion."""


_SHAPES: Final[dict[type, _Shape]] = {}


def _shape(kind: type[Record]) -> _Shape:
    shape = _SHAPES.get(kind)
    if shape is None:
        shape = _SHAPES[kind] = _shape_of(kind)
    return shape


def _shape_of(kind: type[Record]) -> _Shape:
    nested: dict[str, tuple[str, ...]] = {}
    converts: dict[str, Callable[[object], object]] = {}
    hints = get_type_hints(kind)
    for name, hint in hints.items():
        if get_origin(hint) is tuple:
            part = get_args(hint)[0]
            if part is not str:
                nested[name] = tuple(get_type_hints(part))
            converts[name] = _tuple_of(part)
        elif isinstance(hint, type) and issubclass(hint, StrEnum):
            converts[name] = hint
    return _Shape(tuple(hints), nested, converts)


def _tuple_of(part: Callable[..., object]) -> Callable[[object], object]:
    def convert(items: object) -> object:
        assert isinstance(items, list)
        return tuple(items) if part is str else tuple(part(**item) for item in items)

    return convert
