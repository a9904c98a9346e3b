"""Fetched bytes become blocks that hold what aiokafka's own reading would have given, wherever they
are cut.
"""

import struct
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.client.fetch_parsing import ColumnRecords
from streams.faust.scheduling import Coalesce
from streams.records.blocks import Block
from streams.records.record_batches import FetchedBytes

pytestmark = pytest.mark.usefixtures("with_and_without_native_code")

PLACE = TopicPartition("t", 3)
NAMES = ("sentinel-tick", "traceparent", "__value_schema_id", "größe", "sentinel")
"""Of headers; two of them say something to us."""
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def batch(
    base: int,
    deltas: Sequence[int],
    codec: int = 0,
    headed: frozenset[int] = frozenset(),
    nulls: bool = True,
) -> bytes:
    """A record batch; every record says its offset, those in `headed` have a header too. Some
    values are null, if `nulls`.
    """
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 24,
    )
    for delta in deltas:
        said = b"%d" % (base + delta)
        headers = (
            [(NAMES[delta % len(NAMES)], said if delta % 4 else None)] if delta in headed else []
        )
        builder.append(
            delta,
            1_000 + delta,
            b"k" + said,
            None if nulls and delta % 7 == 3 else said * 9,
            headers,
        )
    return struct.pack(">q", base) + bytes(builder.build())[8:]


def blocks(data: bytes, ask: int, check_crcs: bool = True) -> list[Block]:
    """What a fetch that asked for that offset gives."""
    return list(
        ColumnRecords(PLACE, FetchedBytes(data), [], ask, None, None, check_crcs, READ_COMMITTED)
    )


def stock(data: bytes) -> list[tuple[int, int, bytes | None, bytes | None, tuple[object, ...]]]:
    """Offset, timestamp, key, value and headers of every record, as aiokafka reads them."""
    found = []
    records = MemoryRecords(data)
    while records.has_next():
        found += [shown(record) for record in records.next_batch()]
    return found


def shown(record: Any) -> tuple[int, int, bytes | None, bytes | None, tuple[object, ...]]:
    """The parts of a record that count."""
    return record.offset, record.timestamp, record.key, record.value, tuple(record.headers)


@st.composite
def fetches(draw: st.DrawFn) -> bytes:
    """A few batches, small and large, with gaps in them and between them."""
    data, base = b"", draw(st.integers(0, 100))
    for _ in range(draw(st.integers(1, 4))):
        count = draw(st.sampled_from((1, 2, 9, 63, 64, 65, 150)))
        stride = draw(st.sampled_from((1, 1, 3)))
        headed = frozenset(draw(st.sets(st.integers(0, 450), max_size=4)))
        codec, nulls = draw(st.sampled_from(tuple(CODECS.values()))), draw(st.booleans())
        data += batch(base, range(0, count * stride, stride), codec, headed, nulls)
        base += count * stride + draw(st.sampled_from((0, 0, 5)))
    return data


@given(fetches(), st.integers(0, 1000))
def test_a_block_holds_what_aiokafka_would_have_read_from_an_offset_on(
    data: bytes, ask: int
) -> None:
    """Every codec, small batches and large, from any offset, joined: records, offsets, times,
    values and headers.
    """
    everything = stock(data)
    ask = min(ask, everything[-1][0])
    kept = [record for record in everything if record[0] >= ask]
    block = Block.joined(blocks(data, ask)).from_offset(ask)
    assert [shown(record) for record in block.records()] == kept
    assert block.offsets().tolist() == [record[0] for record in kept]
    assert block.append_times().tolist() == [record[1] * 1000 for record in kept]
    assert list(block.values) == [record[3] for record in kept]
    assert {index: shown(record) for index, record in block.headed.items()} == {
        index: record
        for index, record in enumerate(kept)
        if record[4] and record[4][0][0] in (NAMES[0], NAMES[2])
    }
    assert (block.start, block.partition, len(block)) == (ask, 3, len(kept))
    assert block.next_offset == block.offset + 1 > kept[-1][0]


@given(fetches(), st.integers(0, 1000))
def test_blocks_of_a_fetch_follow_each_other_without_a_gap(data: bytes, ask: int) -> None:
    """Each begins where the one before ends, whatever gaps the log has; the next fetch asks for
    what follows the last.
    """
    ask = min(ask, stock(data)[-1][0])
    records = ColumnRecords(PLACE, FetchedBytes(data), [], ask, None, None, True, READ_COMMITTED)
    asked = ask
    for block in records:
        assert block.start == asked
        asked = block.next_offset
    assert records.next_fetch_offset == asked > ask


@given(fetches(), st.data())
def test_single_records_are_found_again_whole(data: bytes, choose: st.DataObject) -> None:
    """By index, any of them, in any block: with key and headers, for dead letters."""
    everything = stock(data)
    block = Block.joined(blocks(data, everything[0][0]))
    wanted = sorted(choose.draw(st.sets(st.integers(0, len(everything) - 1), max_size=12)))
    assert [shown(record) for record in block.records_at(wanted)] == [
        everything[index] for index in wanted
    ]


def test_a_batch_is_read_again_once_however_many_of_its_records_are_wanted() -> None:
    """Thousands of bad records in one batch cost what the batch costs, not its square."""
    data = batch(0, range(5000), CODECS["zstd"])
    (block,) = blocks(data, 0)
    read = 0
    part = block._parts[0]
    records = list(part.records())

    class Counting(list[object]):
        def __iter__(self) -> object:  # type: ignore[override]
            nonlocal read
            read += 1
            return super().__iter__()

    object.__setattr__(part, "source", Counting(records))
    assert len(list(block.records_at(range(0, 5000, 2)))) == 2500
    assert read == 1


def test_a_corrupt_batch_is_refused() -> None:
    """A flipped byte on the way does not become a value; without the check (the embedded broker's
    transactions) it would.
    """
    data = bytearray(batch(0, range(3)))
    data[-3] ^= 1
    # What broke on the way comes right when it is fetched again.
    assert blocks(bytes(data), 0) == blocks(bytes(data), 0) == []
    (block,) = blocks(bytes(data), 0)
    assert [str(record.fault) for record in block.broken.values()] == [
        "record batch fails its checksum"
    ]
    assert (block.next_offset, list(block.values)) == (3, [None])
    assert len(blocks(bytes(data), 0, check_crcs=False)[0].broken) == 0


def test_faust_finds_the_block_where_it_looks_for_a_value() -> None:
    """And nothing keeps the block alive but who holds it."""
    (block,) = blocks(batch(5, range(2)), 5)
    assert block.value is block
    assert (block.topic, block.offset, block.headers, block.key) == ("t", 6, (), None)


def test_what_waits_is_not_read_and_what_was_read_is_kept_by_nobody_else() -> None:
    """A fetch of megabytes of compressed records would be ten times as large, all of it, until its
    last record is taken.
    """
    data = b"".join(batch(base, range(9_000), CODECS["lz4"]) for base in range(0, 45_000, 9_000))
    fetched = {TP("t", 3): blocks(data, 0)}
    alone = list(fetched[TP("t", 3)])
    steps = Coalesce().iterate(fetched)
    _, first = next(steps)
    assert len(fetched[TP("t", 3)]) == 3
    assert first._content is None
    assert first.held == len(first) == len(first.values) == 18_000
    assert first._content is not None
    assert [block._content for block in alone] == [None] * 5
    assert sum(len(block) for _, block in steps) == 27_000


def test_a_blocks_records_are_read_once() -> None:
    """A second look finds the same list."""
    (block,) = blocks(batch(0, range(500), CODECS["zstd"]), 0)
    assert block.values is block.values
