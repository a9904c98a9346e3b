"""Batches with lying headers and mangled records, through native code and the slow way: both
must say the same of each.
"""

import random
import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest
from aiokafka.record.util import calc_crc32c

from schemas.telemetry.columns import Decoded, packaged_decoder
from streams.records.blocks import Block
from streams.records.contents import Reading
from tests.conftest import disable_native_code
from tests.fuzz.batches import CODECS, Rec, batch, fetched
from tests.fuzz.corpus import CORPUS, EVENT

_COLUMNS: Final = (
    "event_time",
    "tenant",
    "application",
    "model",
    "status",
    "latency_us",
    "user",
    "region",
)
_EDGES: Final = (
    0,
    1,
    -1,
    2,
    127,
    128,
    2**31 - 1,
    -(2**31),
    2**40,
    2**62,
    -(2**62),
    2**63 - 1,
    -(2**63),
)
_BYTES: Final = (0, 1, 2, 0x7F, 0x80, 0xFF)
_FIELDS: Final = {
    "last": 31,
    "count": 31,
    "attributes": 15,
    "first_time": 63,
    "max_time": 63,
    "producer": 63,
    "magic": 7,
}
"""Of a header, each with the bits that its numbers have."""
_READING: Final = Reading(max_batch_bytes=1 << 20)
_CHECKED_FROM, _CHECKSUM_AT = 21, 17


def check(data: bytes) -> None:
    """Raises AssertionError when the two ways differ, a way raises, or something of the batch has
    no fate.
    """
    with pytest.MonkeyPatch.context() as patching:
        fast = _shown(data)
        disable_native_code(patching)
        slow = _shown(data)
    assert fast == slow, data.hex()[:4000]


def random_batch(rng: random.Random) -> bytes:
    """A batch that is mostly right."""
    records = [_record(rng) for _ in range(rng.choice((0, 1, 1, 2, 5)))]
    said: dict[str, int] = {}
    if rng.random() < 0.4:
        field = rng.choice(sorted(_FIELDS))
        bits = _FIELDS[field]
        said[field] = max(min(rng.choice((*_EDGES, rng.randrange(9))), 2**bits - 1), -(2**bits))
    codec = rng.choice(sorted(CODECS))
    data = batch(records, rng.randrange(3), codec, **said)
    return _mangled(data, rng) if rng.random() < 0.4 else data


def _record(rng: random.Random) -> Rec:
    value = EVENT
    if rng.random() < 0.5:
        mangled = bytearray(value)
        for _ in range(rng.choice((1, 1, 3))):
            mangled[rng.randrange(len(mangled))] = rng.choice((*_BYTES, rng.randrange(256)))
        value = bytes(mangled[: rng.choice((len(mangled), rng.randrange(len(mangled))))])
    made = Rec(rng.choice((value, value, value, None)), rng.choice((b"acme/shop", None)))
    names = (b"traceparent", b"\xff\xfe", b"sentinel-tick", b"__value_schema_id", b"")
    made = replace(
        made,
        headers=[
            (rng.choice(names), rng.choice((b"1", None))) for _ in range(rng.choice((0, 0, 1, 2)))
        ],
    )
    changes: Sequence[dict[str, Any]] = (
        {},
        {},
        {"attributes": rng.randrange(256)},
        {"delta": rng.choice(_EDGES)},
        {"time": rng.choice(_EDGES)},
        {"length": rng.choice(_EDGES)},
        {"headers_count": rng.choice(_EDGES)},
        {"tail": rng.randbytes(3)},
    )
    return replace(made, **rng.choice(changes))


def _mangled(data: bytes, rng: random.Random) -> bytes:
    """Some bytes of its records are others; its checksum is right."""
    mangled = bytearray(data)
    for _ in range(rng.choice((1, 1, 4))):
        mangled[rng.randrange(_CHECKED_FROM, len(mangled))] = rng.choice(
            (*_BYTES, rng.randrange(256))
        )
    mangled[_CHECKSUM_AT:_CHECKED_FROM] = struct.pack(
        ">I", calc_crc32c(bytes(mangled[_CHECKED_FROM:]))
    )
    return bytes(mangled)


def _shown(data: bytes) -> object:
    """All that a lane can see of a batch, and of what is behind it."""
    seen = []
    for block in fetched(data, 0, _READING):
        for piece in block.in_steps():
            records = list(piece.records())
            assert len(records) == len(piece.values), "a record is told of once"
            assert piece.start <= piece.next_offset <= block.next_offset
            assert all(piece.start <= record.last_offset < piece.next_offset for record in records)
            seen.append((_place(piece), [_told(record) for record in records], list(piece.values)))
            seen.append((sorted(piece.headed), sorted(piece.broken), piece.append_times().tolist()))
            seen.append(_decoded(packaged_decoder().decode(piece.values, _COLUMNS)))
    return seen


def _place(piece: Block) -> tuple[int, int, list[int]]:
    return piece.start, piece.next_offset, piece.offsets().tolist()


def _told(record: Any) -> tuple[object, ...]:
    fault = None if record.fault is None else str(record.fault)
    return (
        record.offset,
        record.last_offset,
        record.timestamp,
        record.key,
        record.value,
        record.headers,
        fault,
    )


def _decoded(decoded: Decoded) -> object:
    bad = [(position, str(error)) for position, error in decoded.bad]
    return decoded.index.tolist(), bad, decoded.frame.rows()


def run(seed: int, runs: int) -> int:
    """The corpus, and this number of random batches. Returns how many in all."""
    rng = random.Random(seed)
    for data in CORPUS.values():
        check(data)
    for _ in range(runs):
        check(random_batch(rng))
    return runs + len(CORPUS)
