"""Decodes records one by one in a process of its own, which may crash.

    python -m topology.supervision.decoding_trial < records

Input: for each record its length (four bytes, big-endian) and its bytes. Output: for each record,
before it is decoded, a line with its number, from zero.
So the last line names the record that crashed the process. Bad records crash nothing, and their
errors do not matter here.
"""

import dataclasses
import sys
from collections.abc import Iterable
from typing import BinaryIO, TextIO

LENGTH_BYTES = 4


def framed(values: Iterable[bytes]) -> bytes:
    """Records as this process reads them."""
    return b"".join(len(value).to_bytes(LENGTH_BYTES, "big") + value for value in values)


def decode_all(source: BinaryIO, out: TextIO) -> None:
    """Decode every record of `source` as a detect worker would, with every column."""
    from schemas.records.telemetry import TelemetryEvent
    from schemas.telemetry.columns import packaged_decoder

    decoder = packaged_decoder()
    columns = [field.name for field in dataclasses.fields(TelemetryEvent)]
    number = 0
    while length := source.read(LENGTH_BYTES):
        value = source.read(int.from_bytes(length, "big"))
        out.write(f"{number}\n")
        out.flush()
        decoder.decode([value], columns)
        number += 1


if __name__ == "__main__":
    decode_all(sys.stdin.buffer, sys.stdout)
