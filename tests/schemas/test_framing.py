"""The two framings of Confluent's clients."""

from uuid import UUID

import pytest

from schemas.avro.framing import GUID_HEADER, prefix, schema_id_of, with_prefix
from schemas.errors import BadRecord, Reason

GUID = UUID("0b6b7d5e-6b2f-4f0e-9a53-2d6f0c1a7e11")


def test_a_prefix_is_a_zero_and_the_id_with_its_highest_byte_first() -> None:
    """Confluent's documented wire format."""
    assert prefix(0x01020304) == b"\0\1\2\3\4"
    assert schema_id_of(prefix(0xFFFFFFFF) + b"body") == 0xFFFFFFFF


@pytest.mark.parametrize(
    ("value", "reason"),
    [(b"", Reason.EMPTY), (b"\1\0\0\0\1", Reason.NO_MAGIC), (b"\0\0\0\1", Reason.UNDECODABLE)],
)
def test_what_is_not_framed_is_refused(value: bytes, reason: Reason) -> None:
    """Empty, another magic byte, cut within the id: three different faults of a producer."""
    with pytest.raises(BadRecord) as caught:
        schema_id_of(value)
    assert caught.value.reason == reason


def test_a_guid_in_the_header_becomes_a_prefix() -> None:
    """Both framings lead to the same bytes; other headers and no headers change nothing."""
    assert (
        with_prefix(b"body", [("x", b"y"), (GUID_HEADER, b"\1" + GUID.bytes)], {GUID: 7})
        == prefix(7) + b"body"
    )
    assert with_prefix(b"\0\0\0\0\1body", [("x", None)], {GUID: 7}) == b"\0\0\0\0\1body"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, Reason.NO_MAGIC),
        (b"\2" + GUID.bytes, Reason.NO_MAGIC),
        (b"\1" + GUID.bytes[:-1], Reason.NO_MAGIC),
        (b"\1" + bytes(16), Reason.UNKNOWN_SCHEMA),
    ],
)
def test_a_header_that_names_no_known_schema_is_refused(
    content: bytes | None, reason: Reason
) -> None:
    """The fault is in the header, and the error's field says so."""
    with pytest.raises(BadRecord) as caught:
        with_prefix(b"body", [(GUID_HEADER, content)], {GUID: 7})
    assert (caught.value.reason, caught.value.field) == (reason, GUID_HEADER)
