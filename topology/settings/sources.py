"""Reads the YAML file and the environment, with the origin of each value.

Unknown keys are reported here, with the nearest known one. Secrets are read from their files and
wrapped, so that no later code holds one as plain text.
"""

import dataclasses
import json
import os
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from schemas.redacting import HIDDEN, redacted
from schemas.secrets import Secret
from topology.settings.yaml_reading import NoYaml, read

Tree: TypeAlias = dict[str, object]

PREFIX = "SENTINEL_"

_SECRETS = ("whsec_", "xox", "http://", "https://")
"""How a receiver's secret begins: a value like these is a secret, not the name of its file."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to change, with its origin."""

    where: str
    path: str
    message: str

    def __str__(self) -> str:
        return (
            f"{self.where}: {self.path}: {self.message}"
            if self.path
            else f"{self.where}: {self.message}"
        )


@dataclass(slots=True)
class Source:
    """One source as read: its tree, the origin of each path in it, and its faults."""

    tree: Tree = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def origin(self, loc: tuple[int | str, ...]) -> str:
        """Where this path, or the list or section around it, was given."""
        return nearest_origin(self.origins, loc)


def nearest_origin(origins: Mapping[str, str], loc: tuple[int | str, ...]) -> str:
    """The origin of the longest part of this path that was given; `settings` when none was."""
    for length in range(len(loc), 0, -1):
        if (path := dotted(loc[:length])) in origins:
            return origins[path]
    return "settings"


def dotted(loc: Iterable[int | str]) -> str:
    """A path as text.

    >>> dotted(("alerting", "receivers", 0, "url"))
    'alerting.receivers[0].url'
    """
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def from_yaml(path: Path, settings: type) -> Source:
    """Read a file whose keys are those of `settings`.

    A missing file, a syntax error and a duplicate key are faults. Aliases are allowed.
    """
    source = Source()
    try:
        tree, places = read(path.read_text(encoding="utf-8"))
    except OSError as error:
        source.faults.append(Fault(str(path), "", f"cannot be read: {error.strerror}"))
        return source
    except UnicodeDecodeError as error:
        source.faults.append(Fault(str(path), "", f"is not YAML: {error}"))
        return source
    except NoYaml as error:
        where = f"{path}:{error.line}" if error.line is not None else str(path)
        source.faults.append(Fault(where, dotted(error.loc), error.why))
        return source
    if not isinstance(tree, dict):
        source.faults.append(Fault(str(path), "", "must contain sections such as `broker:`"))
        return source
    for place in places:
        source.origins[dotted(place.loc)] = f"{path}:{place.line}"
        if place.twice:
            source.faults.append(Fault(f"{path}:{place.line}", dotted(place.loc), "duplicate key"))
    _resolve(source, tree, settings, (), path.parent)
    source.tree = tree
    return source


def from_environment(settings: type) -> Source:
    """Read `SENTINEL_<SECTION>__<KEY>`.

    Lists and groups are given as JSON; a variable for one key of a group overrides the group's own
    variable. Other variables that begin with SENTINEL_ are ignored.
    """
    source = Source()
    sections = typing.get_type_hints(settings)
    # A group before its keys, so that the keys override it.
    for name, parts in sorted(_variables(), key=lambda given: len(given[1])):
        path = ".".join(parts)
        if parts[0] not in sections:
            # SENTINEL_CONFIG and its like are not settings.
            if len(parts) > 1:
                message = f"unknown section {parts[0]!r}{nearest(parts[0], sections)}"
                source.faults.append(Fault(f"env {name}", "", message))
            continue
        source.origins[path] = f"env {name}"
        try:
            _put(source.tree, parts, _parsed(os.environ[name], _kind_at(settings, parts)))
        except ValueError as error:
            source.faults.append(Fault(f"env {name}", path, str(error)))
    _resolve(source, source.tree, settings, (), Path.cwd())
    return source


def _variables() -> Iterator[tuple[str, list[str]]]:
    for name in os.environ:
        if name.upper().startswith(PREFIX):
            yield name, name[len(PREFIX) :].lower().split("__")


def _kind_at(settings: type, parts: Sequence[str]) -> object:
    """The type of the value at this path; None for an unknown key, which `_resolve` reports."""
    kind: object = settings
    for part in parts:
        group = group_of(kind)
        kind = typing.get_type_hints(group).get(part) if group is not None else None
    return kind


def _parsed(text: str, kind: object) -> object:
    """The value of a variable: none, a group as JSON, or the text itself. Raises ValueError."""
    if text == "null":
        return None
    if isinstance(kind, type) and group_of(kind) is kind:
        try:
            group = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"is not a JSON object: {_json_error(error)}") from None
        if not isinstance(group, dict):
            raise ValueError("is not a JSON object")
        return group
    return text


def _json_error(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return (
        "it is nested too deeply"
        if isinstance(error, RecursionError)
        else "a number in it has too many digits"
    )


def _put(tree: Tree, parts: Sequence[str], value: object) -> None:
    for part in parts[:-1]:
        below = tree.setdefault(part, {})
        if not isinstance(below, dict):
            raise ValueError(
                f"{part!r} is set to a value by another variable, so it can have no keys"
            )
        tree = below
    tree[parts[-1]] = value


def merged(below: Tree, above: Tree) -> Tree:
    """Both trees; where both have a key, `above` wins. Groups are merged, lists are not.

    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}}
    """
    result = dict(below)
    for key, value in above.items():
        under = result.get(key)
        result[key] = (
            merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
        )
    return result


def _resolve(
    source: Source, tree: Tree, kind: type, loc: tuple[int | str, ...], base: Path
) -> None:
    """Check the keys of `tree` against the dataclass `kind`, and wrap its secrets, in place."""
    _resolve_keys(source, tree, typing.get_type_hints(kind), loc, base)


def _resolve_variant(
    source: Source, tree: Tree, kinds: Mapping[str, type], loc: tuple[int | str, ...], base: Path
) -> None:
    """As `_resolve`, for an item whose `kind` says which of several types it is."""
    named = tree.setdefault("kind", next(iter(kinds)))
    hints = {name: typing.get_type_hints(kind) for name, kind in kinds.items()}
    every = {key: value for fields in hints.values() for key, value in fields.items()}
    # The keys of an unknown kind are checked against those of all: validation names the kind.
    fields = hints.get(named, every) if isinstance(named, str) else every
    for key in every.keys() - fields.keys():
        for given in (key, f"{key}_file"):
            if given in tree:
                owners = ", ".join(kind for kind in kinds if key in hints[kind])
                message = f"is a key of the kind {owners}, not of {named}"
                source.faults.append(
                    Fault(source.origin((*loc, given)), dotted((*loc, given)), message)
                )
                del tree[given]
    _resolve_keys(source, tree, fields, loc, base)


def _resolve_keys(
    source: Source,
    tree: Tree,
    fields: Mapping[str, object],
    loc: tuple[int | str, ...],
    base: Path,
) -> None:
    for key in list(tree):
        value, here = tree[key], (*loc, key)
        if key in fields:
            tree[key] = _resolved(source, value, fields[key], here, base)
        elif key.endswith("_file") and fields.get(secret := key.removesuffix("_file")) is Secret:
            del tree[key]
            origin = source.origin(here)
            # The secret's own origin: `settings show` names the file, never its content.
            source.origins[dotted((*loc, secret))] = (
                f"{origin} ({value})" if isinstance(value, str) else origin
            )
            tree[secret] = _read_secret(source, value, here, base)
        else:
            origin = source.origin(here)
            what = "key" if loc else "section"
            message = f"unknown {what} {str(key)!r}{nearest(str(key), fields)}"
            source.faults.append(Fault(origin, dotted(loc), message))


def _resolved(
    source: Source, value: object, kind: object, loc: tuple[int | str, ...], base: Path
) -> object:
    origin = source.origin(loc)
    group = group_of(kind)
    if isinstance(value, str) and typing.get_origin(kind) in (tuple, list, dict):
        # The environment has only text; a list comes as JSON.
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            source.faults.append(
                Fault(origin, dotted(loc), f"is not a JSON list: {_json_error(error)}")
            )
    if kind is Secret:
        if isinstance(value, str):
            return Secret(value)
        if isinstance(value, Secret):
            # An alias repeats the group, so its secret is wrapped already.
            return value
        source.faults.append(Fault(origin, dotted(loc), "must be text; quote it"))
    elif group is not None and isinstance(value, dict):
        _resolve(source, value, group, loc, base)
    elif group is not None and value is None:
        return {}
    elif group is not None and isinstance(value, Sequence) and not isinstance(value, str):
        kinds = variants_of(kind)
        for index, item in enumerate(value):
            if isinstance(item, dict) and kinds:
                _resolve_variant(source, item, kinds, (*loc, index), base)
            elif isinstance(item, dict):
                _resolve(source, item, group, (*loc, index), base)
    return value


def group_of(kind: object) -> type | None:
    """The settings type inside `kind`: itself, the first of a union, or the item of a list."""
    return next(_groups_of(kind), None)


def variants_of(kind: object) -> dict[str, type]:
    """The settings types of a list whose items say by `kind` which of them they are, by that word;
    empty where there is one type alone.
    """
    found = list(_groups_of(kind))
    return {group.kind: group for group in found} if len(found) > 1 else {}


def _groups_of(kind: object) -> Iterator[typing.Any]:
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        yield kind
    elif typing.get_origin(kind) in (tuple, list, typing.Union, types.UnionType):
        for part in typing.get_args(kind):
            yield from _groups_of(part)


def _read_secret(source: Source, value: object, loc: tuple[int | str, ...], base: Path) -> Secret:
    origin = source.origin(loc)
    if not isinstance(value, str) or "\0" in value:
        source.faults.append(
            Fault(
                origin,
                dotted(loc),
                "must be a file name; quote it if it looks like a number",
            )
        )
        return Secret("")
    try:
        return Secret((base / value).read_text(encoding="utf-8").rstrip("\r\n"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        # The secret itself may have been given instead of its file.
        named = HIDDEN if value.startswith(_SECRETS) else redacted(value)
        source.faults.append(Fault(origin, dotted(loc), f"cannot read {named}: {why}"))
        return Secret("")


def nearest(key: str, known: Iterable[str]) -> str:
    """A suggestion for an unknown key, to end a message with.

    >>> nearest("brokr", ["broker", "lanes"]), nearest("x", ["broker", "lanes"])
    ("; did you mean 'broker'?", '; use one of broker, lanes')
    """
    # Imported only after a mistake: it is slow to import.
    import difflib

    close = difflib.get_close_matches(key, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; use one of {', '.join(sorted(known))}"
