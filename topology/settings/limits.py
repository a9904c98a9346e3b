"""What no setting may be, whatever it is about: no number, more than can be counted with, no port,
text that no file or server can have.
"""

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

_MOST_S: Final = 1_000_000_000
"""Seconds, 31 years: spans are added to moments and counted in microseconds of 64 bits."""

_MOST_DAYS: Final = 100_000
"""Days, 273 years: what is kept longer is kept for ever, which is null."""

_MOST: Final = 2_147_483_647
"""Of whole numbers: Kafka, Elasticsearch and SQLite take 32 bits."""

_MOST_OF: Final = {
    # librdkafka takes no longer ones, and counts milliseconds in 32 bits.
    "broker.session_timeout_s": 3_600,
    "broker.request_timeout_s": 300,
    "broker.connect_timeout_s": 3_600,
    # Up to ten million buckets are counted together, in microseconds.
    "lanes.bucket_s": 86_400,
    "lanes.partitions": 100_000,
    "lanes.replication_factor": 32_767,
    # Four partitions' worth is fetched at once, of at most 32 bits.
    "lanes.max_fetch_bytes": _MOST // 4,
    # SQLite counts milliseconds in 32 bits.
    "store.timeout_s": 86_400,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Leaf:
    """One value of the settings."""

    loc: Loc
    value: object
    optional: bool
    """Whether null is a value of it too."""

    @property
    def path(self) -> str:
        """As people write it."""
        return dotted(self.loc)


def leaves(value: object, loc: Loc = (), kind: object = None) -> Iterator[Leaf]:
    """Every single value below `value`, in the order of the types; a list of plain values is one."""
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
    """What nothing could be done with: a line for each, which says what may stand there."""
    for leaf in leaves(settings):
        why = _wrong(leaf)
        if why is not None:
            yield Fault(nearest_origin(origins, leaf.loc), leaf.path, why)


def _wrong(leaf: Leaf) -> str | None:
    match leaf.value:
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
        return "holds a NUL character, which no file, address or name can have; leave it out"
    # As variables have them whose bytes are no UTF-8, and escapes such as `\ud800`.
    return (
        None
        if text.isascii() or _is_utf8(text)
        else "holds what is no character of UTF-8; write it as text"
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
    most = _most(leaf.path, name, number)
    if isinstance(number, float) and not math.isfinite(number):
        return (
            f"is {number}; it must be a finite"
            f" number{'' if most is None else f', at most {most:,}'}{never}"
        )
    # A number too large is not shown: it may have thousands of digits.
    return None if most is None or number <= most else f"must be at most {most:,}{never}"


def _most(path: str, name: str, number: float) -> int | None:
    if path in _MOST_OF:
        return _MOST_OF[path]
    if name.endswith("_s"):
        return _MOST_S
    if name.endswith("_days"):
        return _MOST_DAYS
    return _MOST if isinstance(number, int) else None


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Secret():
            yield value.reveal()
        case tuple() | list():
            for item in value:
                yield from _texts(item)
