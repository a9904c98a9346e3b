"""The first fields of a telemetry record, which are readable even if the rest of it is bad."""

from dataclasses import dataclass
from typing import Final

from schemas.avro import packaged
from schemas.avro.framing import PREFIX_BYTES, prefix
from schemas.bounds import MAX_ID_BYTES

_READABLE: Final = frozenset(prefix(schema_id) for schema_id in packaged.ids_of("TelemetryEvent"))
"""Prefixes of records that begin with event_id, event_time, tenant and application; a test holds
all versions to that.
"""

_LONG_BYTES: Final = 10


@dataclass(frozen=True, slots=True)
class Opening:
    """The first fields of a record that may be bad."""

    event_time: int
    """µs, as in the record, unchecked."""
    tenant: str
    application: str


def opening_of(value: bytes | None) -> Opening | None:
    """The first fields of a bad record; None if it has unknown framing, is truncated, or has an
    impossible name.
    """
    if value is None or value[:PREFIX_BYTES] not in _READABLE:
        return None
    try:
        _, at = _text(value, PREFIX_BYTES)
        event_time, at = _long(value, at)
        tenant, at = _text(value, at)
        application, at = _text(value, at)
    except (IndexError, ValueError):
        return None
    return Opening(event_time, tenant, application) if tenant else None


def _long(value: bytes, at: int) -> tuple[int, int]:
    """Avro's zigzag number, and where it ends. Raises IndexError, ValueError."""
    number = 0
    for place in range(_LONG_BYTES):
        byte = value[at + place]
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at + place + 1
    raise ValueError("a number of more than ten bytes")


def _text(value: bytes, at: int) -> tuple[str, int]:
    """A text of at most `MAX_ID_BYTES`, and where it ends. Raises IndexError, ValueError."""
    size, at = _long(value, at)
    if not 0 <= size <= MAX_ID_BYTES:
        raise ValueError(f"a text of {size} bytes")
    if at + size > len(value):
        raise IndexError(at + size)
    return value[at : at + size].decode(), at + size
