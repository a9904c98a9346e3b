"""Checks of a record before it is decoded. (Checks of a schema: `schemas.avro.schema.parse`.)"""

from collections.abc import Container
from typing import Final

from schemas.avro.framing import schema_id_of
from schemas.errors import BadRecord, Reason

MAX_RECORD_BYTES: Final = 262_144
"""Largest framed record, bytes, by default."""


def check_value(
    value: bytes | None, allowed: Container[int], max_record_bytes: int = MAX_RECORD_BYTES
) -> int:
    """The schema id of a framed record that may be decoded; looks at its size and its first five
    bytes only.

    `allowed` holds the schema ids that its topic accepts. Raises BadRecord when there is no value,
    when it is empty, too large or wrongly framed, and when its schema id is not allowed.
    """
    if value is None:
        raise BadRecord(Reason.MISSING)
    if len(value) > max_record_bytes:
        raise BadRecord(Reason.TOO_LARGE)
    schema_id = schema_id_of(value)
    if schema_id not in allowed:
        raise BadRecord(Reason.UNKNOWN_SCHEMA, None, schema_id)
    return schema_id
