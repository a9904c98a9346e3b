"""Confluent's two framings of a record: a prefix before the body, or a GUID of the schema in a
header.
"""

import struct
from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from schemas.errors import BadRecord, Reason

PREFIX_BYTES: Final = 5
"""Bytes before the Avro body: 0x00 and the schema's id, 4 bytes, big-endian."""

GUID_HEADER: Final = "__value_schema_id"
"""Header of the second framing: 0x01 and the 16 bytes of the schema's GUID; the value is then the
bare Avro body.
"""

_PREFIX: Final = struct.Struct(">bI")
_GUID_MAGIC: Final = 1


def prefix(schema_id: int) -> bytes:
    """The five bytes that go before a body written with this schema.

    >>> prefix(1).hex()
    '0000000001'
    """
    return _PREFIX.pack(0, schema_id)


def schema_id_of(value: bytes) -> int:
    """The id in a record's prefix. Raises BadRecord when the record is empty, is cut, or does not
    begin with 0x00.
    """
    if not value:
        raise BadRecord(Reason.EMPTY)
    if value[0] != 0:
        raise BadRecord(Reason.NO_MAGIC)
    if len(value) < PREFIX_BYTES:
        raise BadRecord(Reason.UNDECODABLE)
    return int.from_bytes(value[1:PREFIX_BYTES], "big")


def with_prefix(
    value: bytes, headers: Iterable[tuple[str, bytes | None]], ids: Mapping[UUID, int]
) -> bytes:
    """The record in prefix framing, whichever of the two it came in, so that later code handles one
    framing only.

    `ids` gives the schema id of each known GUID. Raises BadRecord when the header is malformed or
    its GUID unknown.
    """
    for name, content in headers:
        if name != GUID_HEADER:
            continue
        if content is None or len(content) != 17 or content[0] != _GUID_MAGIC:
            raise BadRecord(Reason.NO_MAGIC, GUID_HEADER)
        schema_id = ids.get(UUID(bytes=bytes(content[1:])))
        if schema_id is None:
            raise BadRecord(Reason.UNKNOWN_SCHEMA, GUID_HEADER)
        return prefix(schema_id) + value
    return value
