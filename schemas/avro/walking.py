"""Where a record ends, by its schema. This keeps malicious bytes away from decoders that trust
counts.

The time of a walk depends on the bytes that are there. A count of items that do not fit is an error
at once; polars and fastavro would continue to the end of the bytes, or allocate memory for them.
"""

from typing import Final

from schemas.avro.framing import PREFIX_BYTES
from schemas.avro.schema import (
    Array,
    Enum,
    Field,
    Fixed,
    Map,
    Primitive,
    Record,
    Type,
    Union,
    min_bytes,
)
from schemas.errors import BadRecord, Reason

_WIDTHS: Final = {"null": 0, "boolean": 1, "float": 4, "double": 8}
_WORD: Final = 64


class _Cut(Exception):
    """The bytes end early, or claim a size that they do not have."""


def check_extent(writer: Record, value: bytes, schema_id: int) -> None:
    """Raises BadRecord if a framed record is not exactly as long as its schema says.

    Values are not checked; in particular an unknown branch of a nullable field counts as branch 1,
    as in polars.
    """
    try:
        end = _fields(writer.fields, value, PREFIX_BYTES)
    except _Cut:
        raise BadRecord(Reason.UNDECODABLE, None, schema_id) from None
    if end != len(value):
        raise BadRecord(Reason.TRAILING, None, schema_id)


def _fields(fields: tuple[Field, ...], value: bytes, at: int) -> int:
    for field in fields:
        at = _walk(field.type, value, at)
    return at


def _walk(kind: Type, value: bytes, at: int) -> int:
    match kind:
        case Primitive("int" | "long") | Enum():
            return _number(value, at)[1]
        case Primitive("string" | "bytes"):
            size, at = _number(value, at)
            return _skip(value, at, size)
        case Primitive(name):
            return _skip(value, at, _WIDTHS[name])
        case Fixed(_, size):
            return _skip(value, at, size)
        case Record(_, fields):
            return _fields(fields, value, at)
        case Array(items):
            return _items(Primitive("null"), items, value, at)
        case Map(values):
            return _items(Primitive("string"), values, value, at)
        case Union(branches):
            branch, at = _number(value, at)
            return _walk(_chosen(branches, branch), value, at)


def _items(key: Type, kind: Type, value: bytes, at: int) -> int:
    # Above 0: `parse` rejects arrays of items without bytes.
    min_size = min_bytes(key) + min_bytes(kind)
    while True:
        count, at = _number(value, at)
        if count == 0:
            return at
        if count < 0:
            # A negative count is followed by the size of the items in bytes, for skipping them.
            count, at = -count, _number(value, at)[1]
        if count * min_size > len(value) - at:
            raise _Cut
        for _ in range(count):
            at = _walk(kind, value, _walk(key, value, at))


def _chosen(branches: tuple[Type, ...], branch: int) -> Type:
    if len(branches) == 2:
        return branches[branch != 0]
    if not 0 <= branch < len(branches):
        raise _Cut
    return branches[branch]


def _skip(value: bytes, at: int, size: int) -> int:
    if not 0 <= size <= len(value) - at:
        raise _Cut
    return at + size


def _number(value: bytes, at: int) -> tuple[int, int]:
    """A zigzag number, and where it ends."""
    read = shift = 0
    while True:
        if at == len(value) or shift >= _WORD:
            raise _Cut
        byte = value[at]
        at += 1
        read |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    # Ten bytes can hold 70 bits.
    if read >> _WORD:
        raise _Cut
    return (read >> 1) ^ -(read & 1), at
