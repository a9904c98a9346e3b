"""Whether records of one schema can be read as another: Avro's rules of schema resolution, judged
before any record.
"""

from collections.abc import Iterator
from typing import Final

from schemas.avro.schema import Array, Enum, Field, Fixed, Map, Primitive, Record, Type, Union

_PROMOTIONS: Final = {
    "int": ("long", "float", "double"),
    "long": ("float", "double"),
    "float": ("double",),
    "string": ("bytes",),
    "bytes": ("string",),
}


def problems(writer: Type, reader: Type, where: str = "") -> list[str]:
    """Why records of `writer` cannot all be read as `reader`; empty if they can. Each problem names
    its field, as `a.b`.

    Stricter than Avro's rules, by which some records are readable and others are not: every symbol
    and every branch that a writer may write must be readable, and a logical type (the unit of a
    time) must stay the same.
    """
    return list(_problems(writer, reader, where))


def _problems(writer: Type, reader: Type, where: str) -> Iterator[str]:
    match writer, reader:
        # The writer's union comes first: each of its branches must be readable on its own.
        case Union(branches), _:
            for branch in branches:
                yield from _problems(branch, reader, where)
        case _, Union(branches):
            if all(problems(writer, branch, where) for branch in branches):
                yield f"{_at(where)}: {_name(writer)} fits no branch of the reader's union"
        case Record(), Record():
            yield from _record_problems(writer, reader, where)
        case Enum(), Enum():
            unknown = [symbol for symbol in writer.symbols if symbol not in reader.symbols]
            if unknown and reader.default is None:
                yield (
                    f"{_at(where)}: symbol {unknown[0]} was removed, and there is no default symbol"
                )
        case Array(items), Array(wanted):
            yield from _problems(items, wanted, f"{where}[]")
        case Map(values), Map(wanted):
            yield from _problems(values, wanted, f"{where}{{}}")
        case Fixed(), Fixed():
            if writer.size != reader.size:
                yield f"{_at(where)}: size changes from {writer.size} to {reader.size} bytes"
        case Primitive(), Primitive():
            if writer.name != reader.name and reader.name not in _PROMOTIONS.get(writer.name, ()):
                yield f"{_at(where)}: {writer.name} cannot be read as {reader.name}"
            elif writer.logical != reader.logical:
                yield (
                    f"{_at(where)}: logical type changes from {writer.logical} to {reader.logical}"
                )
        case _:
            yield f"{_at(where)}: {_name(writer)} cannot be read as {_name(reader)}"


def _record_problems(writer: Record, reader: Record, where: str) -> Iterator[str]:
    # Avro compares names without their namespace.
    if _short(writer.name) != _short(reader.name):
        yield f"{_at(where)}: record {writer.name} is not {reader.name}"
    written = {field.name: field for field in writer.fields}
    for field in reader.fields:
        path = f"{where}.{field.name}" if where else field.name
        source = _source(field, written)
        if source is not None:
            yield from _problems(source.type, field.type, path)
        elif not field.has_default:
            yield f"{_at(path)}: new, and without a default"


def _source(field: Field, written: dict[str, Field]) -> Field | None:
    return next((written[name] for name in (field.name, *field.aliases) if name in written), None)


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _at(where: str) -> str:
    return f"field {where}" if where else "schema"


def _name(kind: Type) -> str:
    return kind.name if isinstance(kind, Primitive) else type(kind).__name__.lower()
