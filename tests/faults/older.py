"""Telemetry of an older schema: without some fields that came later, under an id of its own. No
such version was ever released.
"""

import io
import json
from typing import Final, cast

import fastavro

from schemas.avro.framing import PREFIX_BYTES, prefix
from tests.harness import second_schema
from tests.harness.second_schema import ID, packaged_source

_LACKS: Final = frozenset({"queue_time_us", "retries", "region", "security", "response_hash"})


def source() -> str:
    """Its text."""
    schema = json.loads(packaged_source("TelemetryEvent", 1))
    schema["fields"] = [field for field in schema["fields"] if field["name"] not in _LACKS]
    return json.dumps(schema)


def learn() -> None:
    """This process knows the schema from now on, as a version before the first."""
    second_schema.learn(source())


def rewritten(value: bytes) -> bytes:
    """The same event, as an older producer writes it."""
    newer = fastavro.parse_schema(json.loads(packaged_source("TelemetryEvent", 1)))
    event = fastavro.schemaless_reader(io.BytesIO(value[PREFIX_BYTES:]), newer, None)
    body = io.BytesIO(prefix(ID))
    body.seek(0, io.SEEK_END)
    fastavro.schemaless_writer(
        body, fastavro.parse_schema(json.loads(source())), cast(dict[str, object], event)
    )
    return body.getvalue()
