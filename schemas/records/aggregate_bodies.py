"""Many Aggregate records at once. Avro's doubles are 8 bytes, little-endian, so a row of an array
is the end of a record as it is.
"""

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.avro import packaged
from schemas.avro.binary import long_bytes, string_bytes
from schemas.avro.framing import prefix
from schemas.avro.schema import Primitive

NAME: Final = "Aggregate"


@cache
def double_names() -> tuple[str, ...]:
    """The fields that a row of doubles holds, in its order: all of the schema after `lane`."""
    fields = packaged.schema(packaged.newest(NAME)).fields
    return tuple(field.name for field in fields if field.type == Primitive("double"))


def subject_prefix(tenant: str, application: str, model: str) -> bytes:
    """The beginning of every record of a subject, including the framing; worth caching while the
    subject lives.
    """
    return prefix(packaged.newest(NAME)) + b"".join(map(string_bytes, (tenant, application, model)))


def bucket_part(window_start: int, window_end: int, settings_version: str, lane: int) -> bytes:
    """The part after the subject, the same for all records of a lane's bucket; times in µs."""
    return (
        long_bytes(window_start)
        + long_bytes(window_end)
        + string_bytes(settings_version)
        + long_bytes(lane)
    )


def aggregate_bodies(
    prefixes: Sequence[bytes], common: bytes, doubles: NDArray[np.float64]
) -> list[bytes]:
    """Framed Aggregate records: of each subject's prefix, the bucket's common part, and the
    subject's row of `doubles`.

    `doubles` has a row for each prefix and a column for each of `double_names()`. Raises ValueError
    for any other shape.
    """
    rows = np.ascontiguousarray(doubles, "<f8")
    if rows.shape != (len(prefixes), len(double_names())):
        raise ValueError(f"doubles are {rows.shape}, not {(len(prefixes), len(double_names()))}")
    # A view with one void item per row: numpy cuts the bytes of all rows at once.
    ends: list[bytes] = rows.view(f"V{rows.shape[1] * 8}").ravel().tolist()
    return [first + common + end for first, end in zip(prefixes, ends, strict=True)]
