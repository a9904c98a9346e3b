"""Whatever goes wrong while a batch is cut into records costs at most that batch, and all that is
in it has a fate.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from streams.records.blocks import STEP_RECORDS, Block
from streams.records.contents import Reading
from streams.records.cutting import (
    LAST_OFFSET,
    MAX_BATCH_HEADERS,
    MAX_HEADERS,
    MAX_RECORDS,
    Broken,
    Record,
)
from streams.records.record_batches import MAX_TIME_MS
from tests.fuzz.batches import CODECS, Rec, batch, counted, fetched

pytestmark = pytest.mark.usefixtures("with_and_without_native_code")

GOOD = Rec(b"good")


def one(data: bytes, reading: Reading | None = None) -> Block:
    """The block of a batch, beside which another one is read as if it were alone."""
    behind = fetched(data, 0, reading)[0].next_offset
    block, neighbour = fetched(data + batch([GOOD], behind), 0, reading)
    assert list(neighbour.values) == [b"good"]
    return block


def shown(block: Block) -> list[tuple[int, bytes | None, str | None]]:
    """Offset, value and fault of each record."""
    return [
        (record.offset, record.value, record.fault and record.fault.reason)
        for record in block.records()
    ]


@pytest.mark.parametrize(
    "record",
    [
        replace(GOOD, attributes=0x80),
        replace(GOOD, attributes=0xFF),
        replace(GOOD, headers=[(b"x-us\xe9r", b"1")]),
        replace(GOOD, headers=[(b"\xff\xfe", None), (b"", b"")]),
        replace(GOOD, delta=2**31 - 1),
        replace(GOOD, delta=-7),
        replace(GOOD, delta=2**62),
        replace(GOOD, key=None),
    ],
    ids=[
        "attributes 128",
        "attributes 255",
        "Latin-1 name",
        "nameless",
        "delta",
        "delta below",
        "delta far",
        "no key",
    ],
)
@pytest.mark.parametrize("codec", CODECS)
def test_what_need_not_be_understood_breaks_nothing(record: Rec, codec: str) -> None:
    """Attributes, names of foreign headers, and a record's own offset where the batch's counts
    agree.
    """
    block = one(batch([record, GOOD], codec=codec))
    assert shown(block) == [(0, b"good", None), (1, b"good", None)]
    assert (list(block.values), block.offsets().tolist(), block.next_offset) == (
        [b"good"] * 2,
        [0, 1],
        2,
    )
    assert not block.broken


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (replace(GOOD, headers_count=-1), Broken.RECORD),
        (replace(GOOD, headers_count=2**40), Broken.RECORD),
        (replace(GOOD, headers_count=1), Broken.RECORD),
        (replace(GOOD, headers=[(b"", None)] * (MAX_HEADERS + 1)), Broken.HEADERS),
        (replace(GOOD, headers=[(b"sentinel-x", None)] * (MAX_HEADERS + 1)), Broken.HEADERS),
        (replace(GOOD, tail=b"\0"), Broken.RECORD),
        (replace(GOOD, tail=b"\x80" * 12), Broken.RECORD),
        (replace(GOOD, time=MAX_TIME_MS), Broken.TIMESTAMP),
        (replace(GOOD, time=2**63 - 1), Broken.TIMESTAMP),
        (replace(GOOD, time=-(2**63)), Broken.TIMESTAMP),
    ],
)
def test_a_record_that_makes_no_sense_inside_is_alone_with_it(record: Rec, reason: Broken) -> None:
    """Its neighbours in the batch are good; its bytes are kept."""
    block = one(batch([GOOD, record, GOOD]))
    before, (offset, kept, fault), behind = shown(block)
    assert (before, offset, fault, behind) == ((0, b"good", None), 1, reason, (2, b"good", None))
    assert counted(kept) == record.to_bytes(1)
    assert list(block.values) == [b"good", None, b"good"]
    assert list(block.broken) == [1]
    assert [record.offset for record in block.records_at([1])] == [1]


_HEADED = replace(GOOD, headers=[(b"", None)] * MAX_HEADERS)
BROKEN = {
    "length beyond": (batch([replace(GOOD, length=2**40)]), Broken.UNCUT),
    "length negative": (batch([replace(GOOD, length=-1)]), Broken.UNCUT),
    "length short": (batch([replace(GOOD, length=3), GOOD]), Broken.UNCUT),
    "fewer than counted": (batch([GOOD], last=1, count=2), Broken.UNCUT),
    "more than counted": (batch([GOOD, GOOD], last=0, count=1), Broken.UNCUT),
    "count negative": (batch([GOOD], count=-1), Broken.HEADER),
    "count beyond offsets": (batch([GOOD, GOOD], last=0), Broken.HEADER),
    "last negative": (batch([GOOD], last=-5), Broken.HEADER),
    "many": (batch([GOOD], last=MAX_RECORDS, count=MAX_RECORDS + 1), Broken.TOO_MANY),
    "append time": (batch([GOOD], attributes=8, max_time=2**62), Broken.HEADER),
    "old": (batch([GOOD], magic=1), Broken.FORMAT),
    "unknown": (batch([GOOD], magic=99), Broken.FORMAT),
    "codec 5": (batch([GOOD], attributes=5), Broken.CODEC),
    "codec 7": (batch([GOOD], attributes=7), Broken.CODEC),
    **{
        f"no {codec}": (
            batch([GOOD], codec=codec, packed=b"\xff\xfe nothing of the kind"),
            Broken.CODEC,
        )
        for codec in CODECS
        if codec != "none"
    },
    "headers": (
        batch([_HEADED] * (MAX_BATCH_HEADERS // MAX_HEADERS + 1), codec="zstd"),
        Broken.MANY_HEADERS,
    ),
    "gap, beyond": (batch([replace(GOOD, delta=5)], last=4), Broken.UNCUT),
    "gap, far": (batch([replace(GOOD, delta=2**31 - 1)], last=4), Broken.UNCUT),
    "gap, below": (batch([replace(GOOD, delta=-1)], last=4), Broken.UNCUT),
    "gap, twice": (batch([replace(GOOD, delta=2), replace(GOOD, delta=2)], last=4), Broken.UNCUT),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_batch_that_says_what_is_not_so_is_one_broken_record(name: str) -> None:
    """With its bytes and its place; the position moves to the end that its header tells, and not
    beyond.
    """
    data, reason = BROKEN[name]
    block = one(data)
    (record,) = block.records()
    assert (record.offset, record.value, record.key) == (0, data, None)
    assert record.fault is not None
    assert record.fault.reason == reason
    assert dict(record.marks)[LAST_OFFSET] == b"%d" % (block.next_offset - 1)
    assert block.next_offset <= MAX_RECORDS + 1
    assert list(block.values) == [None]
    assert block.from_offset(block.next_offset - 1).broken


def test_a_batch_from_which_records_were_compacted_away_has_their_own_offsets() -> None:
    """They rise, and lie within the batch."""
    block = one(batch([replace(GOOD, delta=1), replace(GOOD, delta=4)], last=6))
    assert (block.offsets().tolist(), block.next_offset) == ([1, 4], 7)


def test_a_batch_that_says_that_it_ends_before_its_header_does_is_alone_with_it() -> None:
    """Nobody knows where the next one begins; the next fetch does."""
    (block,) = fetched(batch([GOOD], length=4) + batch([GOOD], 9))
    assert [record.fault and record.fault.reason for record in block.records()] == [Broken.FORMAT]
    assert block.next_offset == 1


def test_a_marker_that_cannot_be_read_ends_its_transaction() -> None:
    """What its producer writes next is another one, and is not left out."""
    aborted = batch([GOOD], attributes=0x10, producer=7)
    marker = batch([Rec(b"", key=b"\0")], 1, attributes=0x30, producer=7)
    later = batch([GOOD], 2, attributes=0x10, producer=7)
    blocks = fetched(aborted + marker + later, aborted=[(7, 0)])
    assert [list(block.values) for block in blocks] == [[], [], [b"good"]]


@pytest.fixture
def little_memory() -> Iterator[None]:
    """A gigabyte more than there is now."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_small_batch_that_is_large_inside_is_not_made_large(
    codec: str, little_memory: None
) -> None:
    """One dead letter with its size, claimed or reached; what it is bounded by is a setting."""
    data = batch([Rec(bytes(100 << 20))], codec=codec)
    (record,) = one(data, Reading(max_batch_bytes=50 << 20)).records()
    assert record.fault is not None
    assert record.fault.reason == Broken.TOO_LARGE
    assert record.value == data
    said = dict(record.marks)["sentinel-detail"].decode()
    assert (
        said.endswith("bytes; at most 52428800 are read")
        or "as it says itself; at most 52428800 are read" in said
    )
    (within,) = one(data, Reading(max_batch_bytes=101 << 20)).records()
    assert within.fault is None


def test_a_size_that_zstd_claims_is_not_believed() -> None:
    """Neither a large one, nor a small one before more frames."""
    pack = CODECS["zstd"][1]
    frame = bytearray(pack(b"x" * 100))
    claims = b"\x28\xb5\x2f\xfd\xe0" + (1 << 50).to_bytes(8, "little")
    for packed in (claims + bytes(frame[6:]), claims):
        (record,) = one(batch([GOOD], codec="zstd", packed=packed)).records()
        assert record.fault is not None
        assert record.fault.reason == Broken.TOO_LARGE
    records = b"".join(Rec(b"%d" % row * 90_000).to_bytes(row) for row in range(2))
    frames = b"".join(pack(bytes(part)) for part in (records[:9], records[9:]))
    block = one(batch([GOOD, GOOD], codec="zstd", packed=frames))
    assert [len(value or b"") for value in block.values] == [90_000, 90_000]


def test_a_batch_of_many_records_is_many_steps() -> None:
    """In order, without gaps, each no larger than a step; whole records are found again in each."""
    block = one(
        batch([replace(GOOD, value=b"%d" % row) for row in range(60_000)], last=59_999, base=0)
    )
    pieces = list(block.in_steps())
    assert [len(piece) <= STEP_RECORDS for piece in pieces] == [True] * 3
    assert [piece.start for piece in pieces] == [0, *[piece.next_offset for piece in pieces[:-1]]]
    assert pieces[-1].next_offset == 60_000
    assert [value for piece in pieces for value in piece.values] == [
        b"%d" % row for row in range(60_000)
    ]
    (last,) = pieces[1].records_at([0])
    assert last.value == b"20000"


def test_steps_read_no_more_than_they_have_room_for() -> None:
    """Small batches that are large inside are joined by what they hold, not by what they seem to
    hold.
    """
    data = b"".join(batch([Rec(bytes(6 << 20))], base, "zstd") for base in range(5))
    joined = Block.joined(fetched(data))
    assert [len(piece) for piece in joined.in_steps()] == [2, 2, 1]


def test_a_batch_of_which_workers_died_is_not_decompressed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its record is broken, and says so; the others of its partition are read."""
    reading = Reading(
        is_deadly=lambda topic, partition, offset: (topic, partition, offset) == ("t", 3, 0)
    )
    (record,) = one(batch([GOOD], codec="zstd"), reading).records()
    assert isinstance(record, Record)
    assert record.fault is not None
    assert record.fault.reason == Broken.DEADLY


def test_few_bytes_that_are_millions_of_headers_are_one_dead_letter(little_memory: None) -> None:
    """Of foreign ones and of ours, in one record: its neighbours are read, and nothing is made of
    its headers.
    """
    first = b"\x14sentinel-x\x01"
    many = replace(GOOD, headers_count=15_000_000, tail=first + b"\0\1" * 14_999_999)
    data = batch([GOOD, many, GOOD], codec="zstd")
    assert len(data) < 5_000
    assert [fault for _, _, fault in shown(one(data))] == [None, Broken.HEADERS, None]


def test_records_of_many_headers_are_few_in_a_step() -> None:
    """Headers that are two bytes in the batch are a hundred in Python."""
    headed = replace(GOOD, headers=[(b"sentinel-x", None)] * 900)
    data = b"".join(batch([replace(headed)] * 100, base, "zstd") for base in range(0, 300, 100))
    joined = Block.joined(fetched(data))
    assert [len(piece) for piece in joined.in_steps()] == [100, 100, 100]
    assert sum(len(piece.headed) for piece in joined.in_steps()) == 300


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_a_batch_is_told_of_until_it_is_cut(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who dies while records are made of it leaves word; what was found broken does not."""
    told: list[int] = []

    @contextmanager
    def telling(topic: str, partition: int, start: int, end: int) -> Iterator[None]:
        told.append(start)
        yield
        told.pop()

    reading = Reading(telling=telling)
    assert shown(one(batch([GOOD], codec=codec), reading))
    assert one(batch([GOOD], codec=codec, count=-1), reading).broken
    assert not told
    monkeypatch.setattr("streams.records.cutting._parts", lambda *_: _no_memory())
    (block,) = fetched(
        batch([replace(GOOD, headers=[(b"sentinel-x", None)])], codec=codec), 0, reading
    )
    with pytest.raises(MemoryError):
        list(block.values)
    assert told == [0]


def _no_memory() -> None:
    raise MemoryError
