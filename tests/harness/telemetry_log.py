"""A lane's log by hand: records with their offsets and append times, fetched as the blocks that
aiokafka's bytes become.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from schemas.records.telemetry import Operation, Status, TelemetryEvent
from streams.client.fetch_parsing import ColumnRecords
from streams.records.blocks import Block
from streams.records.record_batches import FetchedBytes

TOPIC, LANE = "t.telemetry", 3

START_MS = 1_760_000_000_000
"""Append time at which logs begin; a bucket begins there."""

ORDINARY = TelemetryEvent(
    event_id="e",
    event_time=START_MS * 1000,
    tenant="acme",
    application="shop",
    model="gpt-4o-mini",
    operation=Operation.CHAT,
    status=Status.SUCCESS,
    latency_us=1_200_000,
)


@dataclass(frozen=True)
class Rec:
    """One record as it stands in the log."""

    offset: int
    append_ms: int
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    key: bytes | None = b"acme/shop"


def event(offset: int, at_s: float, **changes: object) -> TelemetryEvent:
    """An ordinary event of that many seconds after the start, with some fields changed."""
    happened = replace(
        ORDINARY, event_id=f"e{offset}", event_time=(START_MS + int(at_s * 1000)) * 1000
    )
    return replace(happened, **changes)  # type: ignore[arg-type]


def good(offset: int, at_s: float, appended_s: float | None = None, **changes: object) -> Rec:
    """The record of `event`, appended when it happened unless told otherwise."""
    appended = at_s if appended_s is None else appended_s
    return Rec(offset, START_MS + int(appended * 1000), event(offset, at_s, **changes).to_bytes())


def raw(
    offset: int,
    at_s: float,
    value: bytes | None,
    *headers: tuple[str, bytes],
    key: bytes | None = b"k",
) -> Rec:
    """Any record, appended this many seconds after the start."""
    return Rec(offset, START_MS + int(at_s * 1000), value, headers, key)


def batch(records: Sequence[Rec]) -> bytes:
    """A record batch as the broker keeps it; offsets may have gaps, as in a compacted log."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 30,
    )
    base = records[0].offset
    for record in records:
        builder.append(
            record.offset - base, record.append_ms, record.key, record.value, list(record.headers)
        )
    built = bytes(builder.build())
    # The checksum does not cover the base offset.
    return struct.pack(">q", base) + built[8:]


def fetched(batches: Iterable[Sequence[Rec]], ask: int | None = None) -> list[Block]:
    """What a fetch that asked for the offset `ask` (by default the first record's) gives: a block
    for each record batch.
    """
    kept = [records for records in batches if records]
    asked = kept[0][0].offset if ask is None else ask
    data = FetchedBytes(b"".join(map(batch, kept)))
    records = ColumnRecords(
        TopicPartition(TOPIC, LANE), data, [], asked, None, None, True, READ_COMMITTED
    )
    return list(records)


def block(records: Sequence[Rec]) -> Block:
    """One block of these records."""
    (made,) = fetched([records])
    return made
