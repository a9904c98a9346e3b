"""Neighbouring fields that are the same in all records of a batch, read as the bytes that they are.

Most of a record's fields cost a block's reader some 20 ns each even where nobody reads them, and most batches hold the same in many: nulls, empty
lists, one currency, one region. Where a run of such fields is read as so many bytes, and these come back as they were learnt, the records say what
they would have said field by field: Avro is read from left to right, so up to the run both readings are the same, and the run's bytes are a whole
number of fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from schemas.avro import Array, Enum, Field, Fixed, Primitive, Record, Type, Union

LEAST_FIELDS: Final = 2
"""Fields that are worth being read as one."""

_WIDTHS: Final = {"null": 0, "boolean": 1, "float": 4, "double": 8}


class _Peculiar(ValueError):
    """A record that decodes, but is written in a way that decoders read differently."""


@dataclass(frozen=True, slots=True)
class Run:
    """The bytes of neighbouring fields."""

    content: bytes
    fields: tuple[str, ...]


def learn(bodies: Sequence[bytes], writer: Record) -> list[Field | Run]:
    """The writer's fields in order, with runs in place of neighbours that all these records hold alike.

    Every body must be a whole record of the writer's schema: what is learnt from another is meaningless. Nothing is alike
    where one of them is written peculiarly (a branch that its union does not have, items with their size before them): a
    reader of blocks takes such records, and what it makes of them is not worth knowing here.
    """
    try:
        return _parts(bodies, writer)
    except (_Peculiar, IndexError):
        return list(writer.fields)


def _parts(bodies: Sequence[bytes], writer: Record) -> list[Field | Run]:
    parts: list[Field | Run] = []
    alike: list[tuple[Field, bytes]] = []
    places = [0] * len(bodies)
    for field in writer.fields:
        ends = [_end(field.type, body, at) for body, at in zip(bodies, places, strict=True)]
        contents = {body[at:end] for body, at, end in zip(bodies, places, ends, strict=True)}
        places = ends
        if len(contents) == 1:
            alike.append((field, contents.pop()))
        else:
            parts += _closed(alike)
            alike = []
            parts.append(field)
    if places != [len(body) for body in bodies]:
        raise _Peculiar
    return parts + _closed(alike)


def _closed(alike: list[tuple[Field, bytes]]) -> list[Field | Run]:
    if len(alike) < LEAST_FIELDS:
        return [field for field, _ in alike]
    return [Run(b"".join(content for _, content in alike), tuple(field.name for field, _ in alike))]


def _end(kind: Type, body: bytes, at: int) -> int:
    """Where a value of this type that begins at `at` ends."""
    match kind:
        case Primitive("int" | "long") | Enum():
            return _number(body, at)[1]
        case Primitive("string" | "bytes"):
            size, start = _number(body, at)
            return start + size
        case Primitive(name):
            return at + _WIDTHS[name]
        case Fixed(_, size):
            return at + size
        case Union(branches):
            branch, start = _number(body, at)
            if not 0 <= branch < len(branches):
                raise _Peculiar
            return _end(branches[branch], body, start)
        case Record(_, fields):
            for field in fields:
                at = _end(field.type, body, at)
            return at
        case Array(items):
            return _list_end(items, body, at)
    raise ValueError(f"{kind} is not read in blocks")


def _list_end(items: Type, body: bytes, at: int) -> int:
    while True:
        count, at = _number(body, at)
        if count == 0:
            return at
        if not 0 < count <= len(body):
            raise _Peculiar
        for _ in range(count):
            at = _end(items, body, at)


def _number(body: bytes, at: int) -> tuple[int, int]:
    """A zigzag number of variable length, and where it ends."""
    shift = value = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
