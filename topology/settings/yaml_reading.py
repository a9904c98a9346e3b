"""Reads the YAML of a settings file: keys are text, aliases and nesting are bounded, and a value
that cannot be read is reported with its line.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import yaml

Loc: TypeAlias = tuple[int | str, ...]

_MAX_DEPTH: Final = 20
"""Levels of nesting; settings have seven at most, a list that contains itself by an alias has no
end.
"""

_MAX_VALUES: Final = 100_000
"""Keys and items, each counted as often as aliases repeat it: eight lines of nested aliases can
make millions.
"""

_MAX_BITS: Final = 63
"""Of a whole number."""

_TEXT: Final = "tag:yaml.org,2002:str"
_MERGE: Final = "tag:yaml.org,2002:merge"


class NoYaml(Exception):
    """Raised for a text that no settings can be read from: `why`, in one line, and the line and
    path where they are known.
    """

    def __init__(self, why: str, line: int | None = None, loc: Loc = ()) -> None:
        super().__init__(why)
        self.why, self.line, self.loc = why, line, loc


@dataclass(frozen=True, slots=True)
class Place:
    """The line of a key or of a list's item."""

    loc: Loc
    line: int
    twice: bool
    """Whether the same key was given before."""


class _NoValue(Exception):
    """Raised for a value that is not what its YAML type says; `node` is the value's."""

    def __init__(self, node: yaml.Node, why: str) -> None:
        super().__init__(why)
        self.node = node


class _Loader(yaml.SafeLoader):
    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int) and value.bit_length() > _MAX_BITS:
                raise _NoValue(node, "is a number that is too large; quote it if it is text")
        except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError):
            # PyYAML raises these for a date with a 13th month or a number of 5,000 digits. The
            # value may be a secret and is not shown.
            kind = str(node.tag).rpartition(":")[2]
            raise _NoValue(
                node, f"looks like YAML's type {kind} and is not a valid one; quote it"
            ) from None
        return value

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        # Merged keys are repeated for every mapping that is merged; the last of each is the one
        # that counts.
        node.value = list(
            {
                id(key) if _is_group(key) else key.value: (key, value) for key, value in node.value
            }.values()
        )


def read(text: str) -> tuple[object, list[Place]]:
    """The value of the text, {} for an empty one, and the line of each key and item.

    Raises NoYaml.
    """
    try:
        return _read(text)
    except RecursionError:
        raise NoYaml(f"is nested more than {_MAX_DEPTH} levels deep") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        why = " ".join(str(getattr(error, "problem", None) or error).split())
        raise NoYaml(f"is not YAML: {why}", None if mark is None else mark.line + 1) from None


def _read(text: str) -> tuple[object, list[Place]]:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return {}, []
        found = list(_places(node))
        try:
            return loader.construct_document(node), [place for place, _ in found]
        except _NoValue as fault:
            loc = next((place.loc for place, value in found if value is fault.node), ())
            raise NoYaml(str(fault), fault.node.start_mark.line + 1, loc) from None
    finally:
        loader.dispose()


def _places(root: yaml.Node) -> Iterator[tuple[Place, yaml.Node]]:
    """Every key and item with its value, aliases followed; makes each key text.

    Raises NoYaml where there are too many.
    """
    waiting, count = [((), root)], 0  # type: list[tuple[Loc, yaml.Node]], int
    while waiting:
        above, node = waiting.pop()
        seen: set[int | str] = set()
        for name, line, value in _below(node):
            count += 1
            place = Place((*above, name), line, name in seen)
            if len(place.loc) > _MAX_DEPTH:
                raise NoYaml(f"is nested more than {_MAX_DEPTH} levels deep", line, place.loc[:2])
            if count > _MAX_VALUES:
                raise NoYaml(
                    f"has more than {_MAX_VALUES:,} values, counting those that aliases repeat",
                    line,
                    place.loc[:2],
                )
            seen.add(name)
            yield place, value
            waiting.append((place.loc, value))


def _below(node: yaml.Node) -> Iterator[tuple[int | str, int, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not _is_group(key) and key.tag != _MERGE:
                # YAML 1.1 reads `on`, `null`, `1` and dates as other types. As text they are
                # unknown keys, and reported as such.
                key.tag = _TEXT
            yield str(key.value), key.start_mark.line + 1, value
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield index, value.start_mark.line + 1, value


def _is_group(node: yaml.Node) -> bool:
    return not isinstance(node, yaml.ScalarNode)
