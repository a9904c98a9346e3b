"""Telemetry of an older schema: without some fields that came later, under an id of its own. No such version was ever released."""

import io
import json
from collections.abc import Callable
from types import MappingProxyType
from typing import Final, cast

import fastavro

from schemas import packaged
from schemas.framing import PREFIX_BYTES, prefix

ID: Final = 99
_LACKS: Final = frozenset({"queue_time_us", "retries", "region", "security", "response_hash"})


def source() -> str:
    """Its text."""
    schema = json.loads(_stock("TelemetryEvent", 1))
    schema["fields"] = [field for field in schema["fields"] if field["name"] not in _LACKS]
    return json.dumps(schema)


def learn() -> None:
    """This process knows the schema from now on, as a version before the first."""
    packaged.IDS = MappingProxyType({**packaged.IDS, ID: packaged.Known("TelemetryEvent", 0)})  # type: ignore[misc]
    packaged.source = lambda name, version: (
        source() if (name, version) == ("TelemetryEvent", 0) else _stock(name, version)
    )
    for cached in (packaged.newest, packaged.ids_of):
        cached.cache_clear()


def rewritten(value: bytes) -> bytes:
    """The same event, as an older producer writes it."""
    newer = fastavro.parse_schema(json.loads(_stock("TelemetryEvent", 1)))
    event = fastavro.schemaless_reader(io.BytesIO(value[PREFIX_BYTES:]), newer, None)
    body = io.BytesIO(prefix(ID))
    body.seek(0, io.SEEK_END)
    fastavro.schemaless_writer(body, fastavro.parse_schema(json.loads(source())), cast(dict[str, object], event))
    return body.getvalue()


_stock: Final[Callable[[str, int], str]] = packaged.source
