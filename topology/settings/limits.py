"""Limits of every setting: numbers are finite, spans bounded, ports and texts valid."""

import dataclasses
import math
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from schemas.secrets import Secret
from topology.settings.installation import Settings
from topology.settings.sources import Fault, dotted, nearest_origin

Loc: TypeAlias = tuple[int | str, ...]

_MAX_S: Final = 1_000_000_000
"""Seconds, 31 years: spans are added to times and counted in microseconds of 64 bits."""

_MAX_DAYS: Final = 100_000
"""Days, 273 years; null means for ever."""

_MAX_INTEGER: Final = 2_147_483_647
"""For integers: Kafka, Elasticsearch and SQLite use 32 bits."""

_MAX_OF: Final = {
    # librdkafka's own bounds; it counts milliseconds in 32 bits.
    "broker.session_timeout_s": 3_600,
    "broker.request_timeout_s": 300,
    "broker.connect_timeout_s": 3_600,
    # Up to ten million buckets are counted together, in microseconds.
    "lanes.bucket_s": 86_400,
    "lanes.partitions": 100_000,
    "lanes.replication_factor": 32_767,
    # One fetch asks for four partitions' worth, in 32 bits.
    "lanes.max_fetch_bytes": _MAX_INTEGER // 4,
    # SQLite counts milliseconds in 32 bits.
    "store.timeout_s": 86_400,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Leaf:
    """One value of the settings."""

    loc: Loc
    value: object
    optional: bool
    """Whether null is a valid value."""

    @property
    def path(self) -> str:
        """The path as text."""
        return dotted(self.loc)


def leaves(value: object, loc: Loc = (), kind: object = None) -> Iterator[Leaf]:
    """Every leaf below `value`, in the order of the types; a list of plain values is one leaf."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kinds = typing.get_type_hints(type(value))
        for part in dataclasses.fields(value):
            yield from leaves(getattr(value, part.name), (*loc, part.name), kinds[part.name])
    elif isinstance(value, tuple | list) and any(dataclasses.is_dataclass(item) for item in value):
        for index, item in enumerate(value):
            yield from leaves(item, (*loc, index))
    else:
        yield Leaf(loc, value, types.NoneType in typing.get_args(kind))


def beyond_limits(settings: Settings, origins: Mapping[str, str]) -> Iterator[Fault]:
    """A fault for each value that exceeds a limit, with what is allowed."""
    for leaf in leaves(settings):
        why = _wrong(leaf)
        if why is not None:
            yield Fault(nearest_origin(origins, leaf.loc), leaf.path, why)


def _wrong(leaf: Leaf) -> str | None:
    match leaf.value:
        # A bool is an int in Python.
        case bool():
            return None
        case int() | float() as number:
            return _wrong_number(leaf, number)
        case str() | Secret() | tuple() | list():
            return next(filter(None, map(_wrong_text, _texts(leaf.value))), None)
        case _:
            return None


def _wrong_text(text: str) -> str | None:
    if "\0" in text:
        return "contains a NUL character, which no file, address or name can have; remove it"
    # Variables whose bytes are not UTF-8 have such characters, and escapes such as `\ud800`.
    return (
        None
        if text.isascii() or _is_utf8(text)
        else "contains a character that is not valid UTF-8; remove it"
    )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wrong_number(leaf: Leaf, number: float) -> str | None:
    never = ", or null for never" if leaf.optional else ""
    name = str(leaf.loc[-1])
    if name == "port" or name.endswith("_port"):
        return None if 0 <= number <= 65_535 else "must be a port, 1 to 65535, or 0 for a free one"
    most = _max(leaf.path, name, number)
    if isinstance(number, float) and not math.isfinite(number):
        return (
            f"is {number}; it must be a finite"
            f" number{'' if most is None else f', at most {most:,}'}{never}"
        )
    # The number itself is not shown: it may have thousands of digits.
    return None if most is None or number <= most else f"must be at most {most:,}{never}"


def _max(path: str, name: str, number: float) -> int | None:
    if path in _MAX_OF:
        return _MAX_OF[path]
    if name.endswith("_s"):
        return _MAX_S
    if name.endswith("_days"):
        return _MAX_DAYS
    return _MAX_INTEGER if isinstance(number, int) else None


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Secret():
            yield value.reveal()
        case tuple() | list():
            for item in value:
                yield from _texts(item)
