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
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1

BETWEEN: Final = {name: (least, most) for name, least, most in RANGES}
"""Least and most of columns of whole numbers, by name."""

_FEWEST: Final = dict(TEXTS)
_FINITE: Final = dict(NUMBERS)


class NotCompiled(ValueError):
    """What the native code leaves to the slow way."""


@dataclass(frozen=True, slots=True)
class Slots:
    """Where columns go: names of whole numbers and of texts, each with its row in the arrays."""

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
    """The program for records of a schema that `schemas.telemetry.avro_blocks` reads, into these
    slots. Beside the schema it holds them to `schemas.telemetry.validity`.
    """
    words: list[int] = []
    for field in writer.fields:
        words += _operation(field.type, field.name, "", slots)
    return words


def _operation(kind: Type, name: str, part: str, slots: Slots) -> list[int]:
    """`name` is the column, `part` the field of a list's items within it."""
    match kind:
        case Primitive("int" | "long") | Enum():
            least, most = (_LEAST, _MOST) if part else BETWEEN.get(name, (_LEAST, _MOST))
            return [_LONG, _NOWHERE if part else slots.numbers.get(name, _NOWHERE), least, most]
        case Primitive("string"):
            slot = _NOWHERE if part else slots.texts.get(name, _NOWHERE)
            fewest, most = (
                (_FEWEST[name], MAX_ID_BYTES) if name in _FEWEST and not part else (0, _MOST)
            )
            # Of texts that nobody asks for, only ids and what stands in lists must be UTF-8
            # (schemas.telemetry.columns).
            return [
                _TEXT,
                slot,
                fewest,
                most,
                int(bool(part) or slot != _NOWHERE or name in _FEWEST),
            ]
        case Primitive("bytes"):
            return [_TEXT, _NOWHERE, 0, _MOST, 0]
        case Primitive("double"):
            return [_DOUBLE, int(bool(part) and _FINITE.get(name) == part)]
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
            return [
                word for field in fields for word in _operation(field.type, name, field.name, slots)
            ]
        case Union(branches):
            inner = _operation(_within(kind), name, part, slots)
            number, text = (
                _NOWHERE if part else places.get(name, _NOWHERE)
                for places in (slots.numbers, slots.texts)
            )
            return [_NULLABLE, branches.index(Primitive("null")), number, text, len(inner), *inner]
    raise NotCompiled(f"a {kind} in {name}")


def _within(kind: Type) -> Type:
    """The type that a union makes nullable, and any other as it is."""
    return nullable_part(kind) if isinstance(kind, Union) else kind


def _is(kind: Type, *names: str) -> bool:
    return isinstance(kind, Primitive) and kind.name in names
