"""Frozen dataclasses as JSON objects: how the parts of a message are written and read.

The fields of a type are the whole declaration. A field without a default is required; an absent or
null one has its default. Unknown fields are ignored: later programs may have added them.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, TypeVar

from schemas.errors import BadRecord

T = TypeVar("T")

OMITTED: Final[Mapping[str, bool]] = types.MappingProxyType({"omitted": True})
"""Metadata of a field that is absent, and not null, where it is None."""


class BadMessage(BadRecord):
    """A body that is not a message: names the field, as `data.incident.title`, and the reason."""


def written(part: object) -> dict[str, object]:
    """The JSON object of a part, its fields in their order."""
    return {
        field.name: _written(value)
        for field in dataclasses.fields(typing.cast("Any", part))
        if (value := getattr(part, field.name)) is not None or not field.metadata.get("omitted")
    }


def _written(value: object) -> object:
    if isinstance(value, tuple):
        return [_written(item) for item in value]
    return written(value) if dataclasses.is_dataclass(value) else value


def read(kind: type[T], value: object, path: str, **given: object) -> T:
    """The part that a JSON object at `path` of a message describes; `given` has the fields that are
    not in it.

    Types of fields are str, int, another part, tuples of str or of parts, and each of these or
    None. Raises BadMessage for a field that is missing or of another type.
    """
    found = read_object(value, path)
    # As an object, since mypy takes a type for unhashable.
    declared: object = kind
    for name, (hint, is_required) in _fields(declared).items():
        if name in given:
            continue
        # Null means the same as absent: releases differ in which of the two they write.
        if found.get(name) is not None:
            given[name] = _value(hint, found[name], at(path, name))
        elif is_required:
            raise BadMessage("no value", at(path, name))
    return kind(**given)


def read_object(value: object, path: str) -> dict[str, Any]:
    """The value, which must be an object. Raises BadMessage."""
    if not isinstance(value, dict):
        raise BadMessage("not an object", path or None)
    return value


def read_text(fields: Mapping[str, object], name: str, path: str = "") -> str:
    """A required text. Raises BadMessage."""
    if fields.get(name) is None:
        raise BadMessage("no value", at(path, name))
    return str(_value(str, fields[name], at(path, name)))


def at(path: str, name: str) -> str:
    """The path of a field.

    >>> at("", "data"), at("data", "incident")
    ('data', 'data.incident')
    """
    return f"{path}.{name}" if path else name


@cache
def _fields(kind: object) -> dict[str, tuple[Any, bool]]:
    """Type of each field of a dataclass, and whether it is required."""
    hints = typing.get_type_hints(kind)
    return {
        field.name: (
            hints[field.name],
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(typing.cast("Any", kind))
    }


def _value(hint: Any, value: Any, path: str) -> object:
    arguments = typing.get_args(hint)
    if types.NoneType in arguments:
        (hint,) = [argument for argument in arguments if argument is not types.NoneType]
        return _value(hint, value, path)
    if dataclasses.is_dataclass(hint):
        return read(typing.cast("type", hint), value, path)
    if arguments:
        return _items(arguments[0], value, path)
    # In Python, True is an int.
    if not isinstance(value, hint) or isinstance(value, bool):
        raise BadMessage("not text" if hint is str else "not a whole number", path)
    return value


def _items(hint: Any, value: Any, path: str) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise BadMessage("not a list", path)
    if hint is str and not all(isinstance(item, str) for item in value):
        raise BadMessage("not a list of texts", path)
    return tuple(_value(hint, item, f"{path}[{index}]") for index, item in enumerate(value))
