"""The schemas in the package, under fixed ids: what stands in where there is no registry."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final, TypeAlias

from fastavro import parse_schema

Schema: TypeAlias = "str | list[Schema] | dict[str, Schema]"
"""A schema as its JSON gives it. (Defaults may be any JSON; only `schemas.evolution` reads them.)"""


@dataclass(frozen=True, slots=True)
class Known:
    """One version of one schema: its record's name and the version, from 1."""

    name: str
    version: int


IDS: Final = MappingProxyType(
    {
        1: Known("TelemetryEvent", 1),
        2: Known("Anomaly", 1),
        3: Known("Aggregate", 1),
        4: Known("Incident", 1),
        5: Known("Notification", 1),
        6: Known("Settings", 1),
    }
)
"""Schema id to what it stands for. An id is never given twice: a new version of any schema gets the next free one."""


@cache
def newest(name: str) -> int:
    """Id of the newest version of the named record: what we write, and what every older version is resolved to."""
    return max((known.version, schema_id) for schema_id, known in IDS.items() if known.name == name)[1]


@cache
def ids_of(name: str) -> frozenset[int]:
    """Ids of all versions of the named record."""
    return frozenset(schema_id for schema_id, known in IDS.items() if known.name == name)


def source(name: str, version: int) -> str:
    """The text of a schema's file. Raises FileNotFoundError when there is no such version."""
    return files("schemas").joinpath("avsc", name, f"{version}.avsc").read_text("utf-8")


@cache
def plain(schema_id: int) -> Schema:
    """The schema without docs and logical types, to read only: times are plain µs, and it parses in half the time.

    Raises KeyError for an id that is not in `IDS`.
    """
    known = IDS[schema_id]
    return stripped(json.loads(source(known.name, known.version)))


@cache
def parsed(schema_id: int) -> Schema:
    """The plain schema as fastavro has parsed it. Raises KeyError for an id that is not in `IDS`."""
    schema: Schema = parse_schema(plain(schema_id))
    return schema


def stripped(schema: Schema) -> Schema:
    """A schema without what does not change the binary form: docs and logical types."""
    if isinstance(schema, str):
        return schema
    if isinstance(schema, list):
        return [stripped(branch) for branch in schema]
    kept = {key: value for key, value in schema.items() if key not in ("doc", "logicalType")}
    kept.update({key: stripped(kept[key]) for key in ("type", "items", "values", "fields") if key in kept})
    return kept["type"] if kept.keys() == {"type"} else kept
