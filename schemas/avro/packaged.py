"""The schemas of the package, under fixed ids, which replace a registry."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from schemas.avro.schema import Json, Record, parse


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
        7: Known("Command", 1),
        8: Known("Audit", 1),
        9: Known("Aggregate", 2),
        10: Known("Anomaly", 2),
        11: Known("SignalChange", 1),
        12: Known("Incident", 2),
        13: Known("Command", 2),
    }
)
"""Schemas by id. An id is never assigned twice: a new version of any schema gets the next free one.
"""


@cache
def newest(name: str) -> int:
    """Id of the newest version of the named record: the one that is written, and to which all older
    versions are resolved.
    """
    return max(
        (known.version, schema_id) for schema_id, known in IDS.items() if known.name == name
    )[1]


@cache
def ids_of(name: str) -> frozenset[int]:
    """Ids of all versions of the named record."""
    return frozenset(schema_id for schema_id, known in IDS.items() if known.name == name)


def source(name: str, version: int) -> str:
    """The text of a schema's file. Raises FileNotFoundError when there is no such version."""
    return files("schemas").joinpath("avsc", name, f"{version}.avsc").read_text("utf-8")


@cache
def schema_json(schema_id: int) -> dict[str, Json]:
    """The schema's JSON, to read only. Raises KeyError for an id that is not in `IDS`."""
    known = IDS[schema_id]
    loaded: dict[str, Json] = json.loads(source(known.name, known.version))
    return loaded


@cache
def schema(schema_id: int) -> Record:
    """The schema as values. Raises KeyError for an id that is not in `IDS`."""
    record = parse(schema_json(schema_id))
    assert isinstance(record, Record)
    return record


@cache
def for_fastavro(schema_id: int) -> dict[str, Json]:
    """The schema as parsed by fastavro, without logical types: times are plain µs, not datetimes.

    Raises KeyError for an id that is not in `IDS`.
    """
    return fastavro_schema(schema_json(schema_id))


def fastavro_schema(schema: dict[str, Json]) -> dict[str, Json]:
    """Any schema as `for_fastavro` gives the packaged ones."""
    plain = _plain(schema)
    assert isinstance(plain, dict)
    # Imported with the first schema, as in `coding`.
    from fastavro import parse_schema

    parsed = parse_schema(plain)
    assert isinstance(parsed, dict)
    return parsed


def _plain(schema: Json) -> Json:
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    # fastavro would make a datetime of each time, which is slow and has no place for years past
    # 9999.
    kept = {key: value for key, value in schema.items() if key not in ("doc", "logicalType")}
    return kept | {
        key: _plain(kept[key]) for key in ("type", "items", "values", "fields") if key in kept
    }
