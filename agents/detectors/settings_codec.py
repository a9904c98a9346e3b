"""Detection settings as canonical JSON, so that a version is named by its content."""

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Final, TypeVar

from agents.detectors.settings import DetectionSettings, Deviation, SettingsError

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
_Made = TypeVar("_Made")

RETIRED: Final[Mapping[type, frozenset[str]]] = {
    Deviation: frozenset(
        ("threshold", "least_buckets", "memory_buckets", "level_memory_buckets", "least_rate")
    )
}
"""Fields of former versions, which are in settings that were published then; they say nothing any
more.
"""

PACKAGED: Final = "0"
"""The version that is in the package: all defaults, no rules."""


def to_json(settings: DetectionSettings) -> str:
    """Canonical text: every field, keys sorted, no spaces, numbers as the shortest text that reads
    back the same.
    """
    # Python lets 3 stand where 3.0 is meant; reading back makes them one.
    same = from_json(json.dumps(asdict(settings), allow_nan=False))
    return json.dumps(
        asdict(same), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def from_json(text: str) -> DetectionSettings:
    """Reads settings; a field that is left out has its default.

    Raises:
        SettingsError: not JSON (`field` is then empty), an unknown, missing or repeated field, a
        value of the wrong type or out of
            range. `field` is the path of what is wrong, as in `rules[2].threshold`.
    """
    try:
        value: Json = json.loads(text, object_pairs_hook=_object, parse_int=_whole)
    except json.JSONDecodeError as error:
        raise SettingsError(
            "", f"not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise SettingsError("", "not settings: nested too deeply") from None
    return _record(DetectionSettings, value, "")


def version_of(settings: DetectionSettings) -> str:
    """`0` for what is in the package, else 32 hexadecimal digits made from the canonical text.

    >>> version_of(DetectionSettings())
    '0'
    """
    if settings == DetectionSettings():
        return PACKAGED
    return blake2b(to_json(settings).encode(), digest_size=16).hexdigest()


def _whole(digits: str) -> int:
    if len(digits) > 20:
        raise SettingsError("", f"not settings: a whole number of {len(digits)} digits")
    return int(digits)


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise SettingsError(
            next(name for name in names if names.count(name) > 1), "stands there twice"
        )
    return made


def _record(kind: type[_Made], value: Json, path: str) -> _Made:
    if not isinstance(value, dict):
        raise SettingsError(path, f"expected an object, found {_shown(value)}")
    assert is_dataclass(kind)
    hints = typing.get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}
    value = {name: given for name, given in value.items() if name not in RETIRED.get(kind, ())}
    for name in value:
        if name not in known:
            raise SettingsError(
                _below(path, name), f"there is no such field; there are {', '.join(known)}"
            )
    for name, field in known.items():
        if name not in value and field.default is MISSING and field.default_factory is MISSING:
            raise SettingsError(_below(path, name), "is missing")
    made = {name: _value(hints[name], given, _below(path, name)) for name, given in value.items()}
    try:
        return kind(**made)
    except SettingsError as error:
        raise SettingsError(_below(path, error.field), error.why) from None


def _value(kind: object, value: Json, path: str) -> object:
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise SettingsError(path, f"expected a list, found {_shown(value)}")
        return tuple(
            _value(arguments[0], item, f"{path}[{index}]") for index, item in enumerate(value)
        )
    if isinstance(kind, types.UnionType):
        return None if value is None else _value(arguments[0], value, path)
    assert isinstance(kind, type)
    if is_dataclass(kind):
        return _record(kind, value, path)
    return _scalar(kind, value, path)


def _scalar(kind: type, value: Json, path: str) -> object:
    if issubclass(kind, StrEnum):
        if value not in list(kind):
            raise SettingsError(path, f"expected one of {', '.join(kind)}, found {_shown(value)}")
        return kind(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        raise SettingsError(path, f"expected {names[kind]}, found {_shown(value)}")
    return value


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _shown(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
