"""What an index has instead of what its kind needs: types of fields, compared."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Properties = Mapping[str, Any]
"""Fields by name, as Elasticsearch's mappings have them."""


def missing(wanted: Properties, there: Properties) -> dict[str, Any]:
    """The fields that are not there, which may be added to an index; of a record that is there,
    those that it lacks.

    >>> missing({"a": {"type": "long"}, "b": {"type": "keyword"}}, {"a": {"type": "text"}})
    {'b': {'type': 'keyword'}}
    """
    absent: dict[str, Any] = {}
    for name, field in wanted.items():
        if name not in there:
            absent[name] = field
        elif "properties" in field and (
            within := missing(field["properties"], there[name].get("properties", {}))
        ):
            absent[name] = {"properties": within}
    return absent


def wrong(wanted: Properties, there: Properties) -> str | None:
    """The first field that is there as another type, in words; None when there is none. That cannot
    be changed in an index.

    >>> wrong({"tenant": {"type": "keyword"}}, {"tenant": {"type": "text"}})
    'field tenant is text, not keyword'
    """
    return next(_wrong(wanted, there, ""), None)


def _wrong(wanted: Properties, there: Properties, path: str) -> Iterator[str]:
    for name, field in wanted.items():
        found = there.get(name)
        if found is None:
            continue
        if _type(found) != _type(field):
            yield f"field {path}{name} is {_type(found)}, not {_type(field)}"
        elif field.get("index", True) and not found.get("index", True):
            yield f"field {path}{name} is not indexed"
        elif "properties" in field:
            yield from _wrong(field["properties"], found.get("properties", {}), f"{path}{name}.")


def _type(field: Mapping[str, Any]) -> str:
    return str(field.get("type", "object"))


def winner(index: str, templates: Sequence[Mapping[str, Any]]) -> str | None:
    """Name of the index template that an index of this name is made by: of those whose patterns fit
    the one of the highest priority.

    >>> def template(name, priority):
    ...     return {"name": name, "index_template": {"index_patterns": ["*"], "priority": priority}}
    >>> winner("a-1", [template("x", 1), template("y", 5)])
    'y'
    """
    fitting = [
        (each["index_template"].get("priority", 0), str(each["name"]))
        for each in templates
        if any(
            _fits(pattern, index)
            for pattern in _listed(each["index_template"].get("index_patterns", ()))
        )
    ]
    return max(fitting)[1] if fitting else None


def _listed(patterns: str | Sequence[str]) -> Sequence[str]:
    return [patterns] if isinstance(patterns, str) else patterns


def _fits(pattern: str, index: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), index) is not None
