"""A schema as a program for native.c: operations of a few words each, in the order of the bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from schemas.avro.schema import Array, Enum, Fixed, Primitive, Record, Type, Union, min_bytes
from schemas.bounds import MAX_ID_BYTES
from schemas.telemetry.avro_blocks import nullable_part
from schemas.telemetry.validity import NUMBERS, RANGES, TEXTS

_LONG, _TEXT, _DOUBLE, _FIXED, _BOOLEAN, _NULLABLE, _ARRAY = range(1, 8)
_NOWHERE: Final = -1
_MIN, _MAX = -(1 << 63), (1 << 63) - 1

BOUNDS: Final = {name: (minimum, maximum) for name, minimum, maximum in RANGES}
"""Inclusive bounds of columns of whole numbers, by name."""

_MIN_BYTES: Final = dict(TEXTS)
_FINITE: Final = dict(NUMBERS)


class NotCompiled(ValueError):
    """A schema or column that the native code leaves to polars and fastavro."""


@dataclass(frozen=True, slots=True)
class Slots:
    """Where columns are stored: names of whole numbers and of texts, each with its row in the
    arrays.
    """

    columns: tuple[str, ...]
    numbers: Mapping[str, int]
    texts: Mapping[str, int]

    @staticmethod
    def of(columns: Mapping[str, Type]) -> "Slots":
        """For these columns, with their types in the reader's schema. Raises NotCompiled for any
        that is neither a whole number nor a text.
        """
        kinds = {name: _within(kind) for name, kind in columns.items()}
        numbers = [
            name
            for name, kind in kinds.items()
            if _is(kind, "int", "long") or isinstance(kind, Enum)
        ]
        texts = [name for name, kind in kinds.items() if _is(kind, "string")]
        if len(numbers) + len(texts) != len(columns):
            raise NotCompiled("a column that is no whole number and no text")
        return Slots(
            tuple(columns),
            *({name: place for place, name in enumerate(each)} for each in (numbers, texts)),
        )


def compiled(writer: Record, slots: Slots) -> list[int]:
    """The program that decodes records of a schema into these slots;
    `schemas.telemetry.avro_blocks` must be able to read it. It checks records against
    `schemas.telemetry.validity` too.
    """
    words: list[int] = []
    for field in writer.fields:
        words += _operation(field.type, field.name, "", slots)
    return words


def _operation(kind: Type, name: str, part: str, slots: Slots) -> list[int]:
    """`name` is the column, `part` the field of a list's items within it."""
    match kind:
        case Primitive("int" | "long") | Enum():
            # Bounds are of columns, not of numbers in lists.
            bounds = (_MIN, _MAX) if part else BOUNDS.get(name, (_MIN, _MAX))
            return [_LONG, _slot(slots.numbers, name, part), *bounds]
        case Primitive("string"):
            return _text_operation(name, part, slots)
        case Primitive("bytes"):
            return [_TEXT, _NOWHERE, 0, _MAX, 0]
        case Primitive("double"):
            return [_DOUBLE, int(bool(part) and _FINITE.get(name) == part)]
        # The native code does not check floats, so one that must be finite is not compiled.
        case Primitive("float") if not (part and _FINITE.get(name) == part):
            return [_FIXED, 4]
        case Primitive("boolean"):
            return [_BOOLEAN]
        case Fixed(_, size):
            return [_FIXED, size]
        case Array(items):
            inner = _operation(items, name, part or "items", slots)
            return [_ARRAY, min_bytes(items), len(inner), *inner]
        case Record(_, fields):
            parts = [_operation(field.type, name, field.name, slots) for field in fields]
            return [word for words in parts for word in words]
        case Union(branches):
            inner = _operation(_within(kind), name, part, slots)
            number, text = (_slot(each, name, part) for each in (slots.numbers, slots.texts))
            return [_NULLABLE, branches.index(Primitive("null")), number, text, len(inner), *inner]
    raise NotCompiled(f"a {kind} in {name}")


def _text_operation(name: str, part: str, slots: Slots) -> list[int]:
    is_id = name in _MIN_BYTES and not part
    min_size, max_size = (_MIN_BYTES[name], MAX_ID_BYTES) if is_id else (0, _MAX)
    slot = _slot(slots.texts, name, part)
    # Of texts that are not asked for, only ids and texts in lists must be UTF-8
    # (schemas.telemetry.columns).
    must_be_utf8 = bool(part) or slot != _NOWHERE or name in _MIN_BYTES
    return [_TEXT, slot, min_size, max_size, int(must_be_utf8)]


def _slot(slots: Mapping[str, int], name: str, part: str) -> int:
    return _NOWHERE if part else slots.get(name, _NOWHERE)


def _within(kind: Type) -> Type:
    """The type that a union makes nullable; any other type unchanged."""
    return nullable_part(kind) if isinstance(kind, Union) else kind


def _is(kind: Type, *names: str) -> bool:
    return isinstance(kind, Primitive) and kind.name in names
