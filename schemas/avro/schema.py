"""An Avro schema as values, with names resolved. Schemas that crash decoders are rejected."""

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from schemas.avro.limits import MAX_RECORD_BYTES

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

PRIMITIVES: Final = frozenset(
    ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
)

MAX_FIELDS: Final = 500
"""Maximum number of fields; those of a nested record count each time that it is used."""

MAX_LEVELS: Final = 32
"""Maximum number of levels of nesting; the record itself is the first."""

_MAX_JSON_LEVELS: Final = 4 * MAX_LEVELS
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class RefusedSchema(ValueError):
    """A schema that is unsafe to decode with. The text tells the person who registered it why."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """A type without parts; `logical` is its logical type, None when it has none."""

    name: str
    logical: str | None = None


@dataclass(frozen=True, slots=True)
class Fixed:
    """`size` bytes."""

    name: str
    size: int
    logical: str | None = None


@dataclass(frozen=True, slots=True)
class Enum:
    """One of several symbols, written as its index; a reader uses `default` for a symbol that it
    does not know.
    """

    name: str
    symbols: tuple[str, ...]
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Array:
    """Any number of values of one type."""

    items: "Type"


@dataclass(frozen=True, slots=True)
class Map:
    """Any number of texts, each with a value of one type."""

    values: "Type"


@dataclass(frozen=True, slots=True)
class Union:
    """A value of one of several types."""

    branches: "tuple[Type, ...]"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record. `default` is the JSON of its default, valid only if `has_default`."""

    name: str
    type: "Type"
    has_default: bool = False
    default: Json = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """Fields in order."""

    name: str
    fields: tuple[Field, ...]


Type: TypeAlias = Primitive | Fixed | Enum | Array | Map | Union | Record


def parse(schema: Json) -> Type:
    """The schema that this JSON describes. Raises RefusedSchema if no decoder here may use it.

    Rejected are recursion, arrays whose items have no bytes (a few bytes then make billions of
    items), more than 500 fields or 32 levels, names that are used before they are defined, and
    anything that is not a schema.
    """
    _check_json_depth(schema)
    parser = _Parser()
    parsed = parser.type(schema, "")
    parser.check_extent(parsed)
    return parsed


def min_bytes(kind: Type) -> int:
    """Minimum size of a value of this type, bytes."""
    match kind:
        case Primitive(name):
            return {"null": 0, "float": 4, "double": 8}.get(name, 1)
        case Fixed(_, size):
            return size
        case Record(_, fields):
            return sum(min_bytes(field.type) for field in fields)
        case Union(branches):
            return 1 + min(min_bytes(branch) for branch in branches)
    return 1


def _check_json_depth(schema: Json) -> None:
    """Rejects absurdly deep nesting before recursive code sees it."""
    # Level by level, without recursion: Python's stack would overflow in a deep one.
    level = [schema]
    for _ in range(_MAX_JSON_LEVELS):
        level = [
            part
            for whole in level
            for part in (
                whole
                if isinstance(whole, list)
                else whole.values()
                if isinstance(whole, dict)
                else ()
            )
        ]
        if not level:
            return
    raise RefusedSchema(f"more than {MAX_LEVELS} levels of nesting")


def _extent(kind: Type, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Levels and fields below a type. A type that is used often is measured once: references to
    names can multiply exponentially.
    """
    found = known.get(id(kind))
    if found is None:
        parts: tuple[Type, ...] = ()
        own_level, own_fields = 1, 0
        match kind:
            case Array(part) | Map(part):
                parts = (part,)
            case Union(parts):
                own_level = 0
            case Record(_, fields):
                parts, own_fields = tuple(field.type for field in fields), len(fields)
            case _:
                own_level = 0
        below = [_extent(part, known) for part in parts]
        levels = own_level + max((level for level, _ in below), default=0)
        found = known[id(kind)] = (levels, own_fields + sum(count for _, count in below))
    return found


class _Parser:
    """Resolves names while it parses; a name inside its own definition is recursion."""

    def __init__(self) -> None:
        self._named: dict[str, Type | None] = {}
        self._extents: dict[int, tuple[int, int]] = {}

    def check_extent(self, kind: Type) -> None:
        levels, fields = _extent(kind, self._extents)
        if levels > MAX_LEVELS:
            raise RefusedSchema(f"more than {MAX_LEVELS} levels of nesting")
        if fields > MAX_FIELDS:
            raise RefusedSchema(f"more than {MAX_FIELDS} fields")

    def type(self, schema: Json, namespace: str) -> Type:
        if isinstance(schema, str):
            return Primitive(schema) if schema in PRIMITIVES else self._lookup(schema, namespace)
        if isinstance(schema, list):
            if not schema:
                raise RefusedSchema("a union without branches")
            return Union(tuple(self.type(branch, namespace) for branch in schema))
        if not isinstance(schema, dict):
            raise RefusedSchema(f"not a schema: {schema!r}"[:100])
        kind = schema.get("type")
        if isinstance(kind, list | dict):
            return self.type(kind, namespace)
        if kind == "array":
            items = self.type(schema.get("items"), namespace)
            if min_bytes(items) == 0:
                raise RefusedSchema("array of items that take no bytes")
            return Array(items)
        if kind == "map":
            return Map(self.type(schema.get("values"), namespace))
        if kind in ("record", "enum", "fixed"):
            return self._define(schema, kind, namespace)
        if kind in PRIMITIVES:
            logical = schema.get("logicalType")
            return Primitive(_text(kind), logical if isinstance(logical, str) else None)
        return self._lookup(_text(kind), namespace)

    def _lookup(self, name: str, namespace: str) -> Type:
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        for candidate in (full, name):
            if candidate in self._named:
                found = self._named[candidate]
                if found is None:
                    raise RefusedSchema(f"recursive: {candidate} holds itself")
                return found
        raise RefusedSchema(f"type {name} is not defined")

    def _define(self, schema: dict[str, Json], kind: str, namespace: str) -> Type:
        name = _text(schema.get("name"))
        if "." not in name:
            space = schema.get("namespace", namespace)
            name = f"{space}.{name}" if space else name
        if name in self._named:
            raise RefusedSchema(f"type {name} is defined twice")
        # None while the definition is open: a reference to it is then recursion.
        self._named[name] = None
        parsed = self._named[name] = self._body(schema, kind, name)
        self.check_extent(parsed)  # before use: references can multiply exponentially
        return parsed

    def _body(self, schema: dict[str, Json], kind: str, name: str) -> Type:
        if kind == "record":
            inner = name.rpartition(".")[0]
            fields = tuple(self._field(field, inner) for field in _items(schema.get("fields")))
            if len({field.name for field in fields}) < len(fields):
                raise RefusedSchema(f"record {name} has two fields of one name")
            return Record(name, fields)
        if kind == "enum":
            default = schema.get("default")
            symbols = tuple(_text(symbol) for symbol in _items(schema.get("symbols")))
            return Enum(name, symbols, default if isinstance(default, str) else None)
        size = schema.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_RECORD_BYTES:
            raise RefusedSchema(f"fixed {name} has no size that a record has room for")
        logical = schema.get("logicalType")
        return Fixed(name, size, logical if isinstance(logical, str) else None)

    def _field(self, field: Json, namespace: str) -> Field:
        if not isinstance(field, dict):
            raise RefusedSchema(f"not a field: {field!r}"[:100])
        aliases = tuple(_text(alias) for alias in _items(field.get("aliases", [])))
        kind = self.type(field.get("type"), namespace)
        name = _text(field.get("name"))
        if not _NAME.fullmatch(name):
            raise RefusedSchema(f"not a field's name: {name!r}"[:100])
        return Field(name, kind, "default" in field, field.get("default"), aliases)


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise RefusedSchema(f"not a name: {value!r}"[:100])
    return value


def _items(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise RefusedSchema(f"not a list: {value!r}"[:100])
    return value
