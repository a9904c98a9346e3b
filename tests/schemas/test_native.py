"""The native code takes what the slow way takes and gives the same, and reads only what it was
given.
"""

import struct
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from schemas.avro import packaged
from schemas.avro.binary import long_bytes
from schemas.avro.framing import prefix
from schemas.native.building import SOURCE, CannotCompile, build
from schemas.native.library import ABI, NATIVE
from schemas.native.packed import Packed
from schemas.records.telemetry import Feature, Label, QualityScore, TelemetryEvent
from schemas.telemetry import columns as decoding
from schemas.telemetry.columns import Decoded, Decoder
from schemas.telemetry.events import NativeEvents
from tests.conftest import without
from tests.harness.examples import examples
from tests.schemas.events import event, events
from tests.schemas.test_columns import OTHER, SECOND, THREE, one_by_one, reasons, second

COLUMNS = (
    "event_time",
    "tenant",
    "application",
    "model",
    "status",
    "latency_us",
    "time_to_first_token_us",
    "user",
    "region",
)
ADDED = 93


@pytest.fixture(autouse=True, scope="module")
def _needs_native_code() -> None:
    if NATIVE is None:
        without("The native code", "make setup compiles it where there is a C compiler")


def slowly(decoder: Decoder, values: list[bytes | None]) -> Decoded:
    """By polars alone."""
    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(decoding, "NATIVE", None)
        return decoder.decode(values, COLUMNS)


def same(decoder: Decoder, values: list[bytes | None]) -> Decoded:
    """By the native code, which must say what polars says, in every way in which it is asked."""
    slow, fast = slowly(decoder, values), decoder.decode(values, COLUMNS)
    assert_frame_equal(fast.frame, slow.frame)
    assert fast.index.tolist() == slow.index.tolist()
    assert reasons(fast) == reasons(slow)
    for column in ("event_time", "status", "time_to_first_token_us"):
        assert fast.events.integers(column).tolist() == slow.events.integers(column).tolist()
    names = ["tenant", "application", "model"]
    everything = np.arange(len(fast.events))
    assert fast.events.names(names, everything) == slow.events.names(names, everything)
    assert fast.events.has("user").tolist() == slow.events.has("user").tolist()
    for one, other in zip(fast.events.hashes(names, 7), slow.events.hashes(names, 7), strict=True):
        assert one.tolist() == other.tolist()
    return fast


def mangled(value: bytes, at: int, byte: int) -> bytes:
    """With one byte changed."""
    at %= len(value)
    return value[:at] + bytes([byte]) + value[at + 1 :]


MANGLED = st.tuples(st.integers(0, 1 << 16), st.integers(0, 255))
WAYS: dict[str, Callable[[bytes, tuple[int, int]], bytes | None]] = {
    "plain": lambda value, how: value,
    "one byte is another": lambda value, how: mangled(value, *how),
    "cut": lambda value, how: value[: how[0] % len(value)],
    "longer": lambda value, how: value + bytes([how[1]]) * (1 + how[0] % 3),
    "of a second schema": lambda value, how: second(value),
    "of a schema with a map": lambda value, how: one_by_one(value),
    "of no schema": lambda value, how: prefix(77) + value[5:],
    "not there": lambda value, how: None,
    "empty": lambda value, how: b"",
}


@settings(max_examples=examples(400))
@given(st.lists(st.tuples(events, st.sampled_from(sorted(WAYS)), MANGLED), max_size=9))
def test_it_says_what_polars_says(batch: list[tuple[TelemetryEvent, str, tuple[int, int]]]) -> None:
    """Of good records and of bad ones, beside each other."""
    same(THREE, [WAYS[way](one.to_bytes(), how) for one, way, how in batch])


@settings(max_examples=examples(2_000))
@given(st.data())
def test_a_byte_that_is_another_is_seen_by_both_or_by_none(data: st.DataObject) -> None:
    """Wherever it stands, in a record that has something of everything."""
    rich = event(
        user="u",
        region="eu",
        time_to_first_token_us=5,
        http_status=200,
        quality=(QualityScore("q", 0.5, None), QualityScore("r", 1e300, "judge")),
        labels=(Label("k", "v"),),
        features=(Feature("x", -0.0),),
    ).to_bytes()
    same(
        THREE,
        [mangled(rich, data.draw(st.integers(5, len(rich) - 1)), data.draw(st.integers(0, 255)))],
    )


def _list_with_its_size(value: bytes) -> bytes:
    """The (empty) last list as a block of a negative count, with the size of its items before them:
    one feature.
    """
    item = b"\2x" + struct.pack("<d", 0.5)
    return value[:-1] + bytes([1, 2 * len(item)]) + item + b"\0"


@pytest.mark.parametrize(
    ("value", "by_native"),
    [
        (event().to_bytes(), True),
        (event(region="x" * 9_000).to_bytes(), True),
        (event(tenant="t" * 256, user="").to_bytes(), True),
        (event(tenant="ü" * 128, region="\U0001f600").to_bytes(), True),
        (second(event().to_bytes()), True),
        (one_by_one(event().to_bytes()), False),
        (_list_with_its_size(event().to_bytes()), True),
    ],
    ids=["ordinary", "long", "edges", "UTF-8", "second", "map", "sized list"],
)
def test_what_is_good_is_good_either_way(value: bytes, by_native: bool) -> None:
    """Also what the native code leaves to the slow way; beside others it is put in its place."""
    assert isinstance(same(THREE, [value] * 3).events, NativeEvents) == by_native
    among = same(THREE, [event().to_bytes(), value, None, event().to_bytes()])
    assert among.index.tolist() == [0, 1, 3]


@pytest.mark.parametrize(
    "value",
    [
        event(tenant="t" * 257).to_bytes(),
        event(model="").to_bytes(),
        event(latency_us=-1).to_bytes(),
        event(http_status=1000).to_bytes(),
        event(features=(Feature("x", float("nan")),)).to_bytes(),
        event(quality=(QualityScore("x", float("-inf"), None),)).to_bytes(),
        event(tenant="acme").to_bytes().replace(b"acme", b"ac\xffe"),
        event(region="here").to_bytes().replace(b"here", b"h\xed\xa0\x80"),
        event(region="here").to_bytes().replace(b"here", b"\xc0\x80re"),
        event(labels=(Label("here", "v"),)).to_bytes().replace(b"here", b"\xf4\x90\x80\x80"),
        event().to_bytes() + b"\0",
        event().to_bytes()[:-1],
        event(prompt_text="x" * 300_000).to_bytes(),
        b"\0\0\0\0\1",
        b"\1" + event().to_bytes()[1:],
        prefix(OTHER + 50) + event().to_bytes()[5:],
        prefix(SECOND) + event().to_bytes()[5:],
    ],
    ids=[
        "long id",
        "no model",
        "negative",
        "status",
        "NaN",
        "infinite",
        "id no UTF-8",
        "surrogate",
        "overlong",
        "beyond",
        "longer",
        "cut",
        "large",
        "bare",
        "magic",
        "unknown",
        "of another",
    ],
)
def test_what_is_bad_is_bad_either_way(value: bytes) -> None:
    """With the same reason, wherever it stands; what stands beside it is not touched."""
    good = event().to_bytes()
    assert [position for position, _ in same(THREE, [good, value, good, value]).bad] == [1, 3]


def test_a_column_that_a_record_lacks_has_its_default() -> None:
    """The newest schema may have columns that older records do not have; both are read at once."""
    fields = packaged.schema_json(1)["fields"]
    assert isinstance(fields, list)
    older = {
        **packaged.schema_json(1),
        "fields": [one for one in fields if one["name"] not in ("retries", "region")],
    }  # type: ignore[index,call-overload]
    decoder = Decoder({1: packaged.schema_json(1), ADDED: older})
    value = event(retries=3, region="eu").to_bytes()
    # Without the two fields: one byte of zigzag 3, and the branch, size and text of the region.
    lacking = prefix(ADDED) + value[5:].replace(b"\6\0\0\2\4eu", b"\0\0")
    assert len(value) - len(lacking) == 5
    decoded = decoder.decode([value, lacking, value], ("retries", "region", "tenant"))
    assert isinstance(decoded.events, NativeEvents)
    assert decoded.frame["retries"].to_list() == [3, 0, 3]
    assert decoded.frame["region"].to_list() == ["eu", None, "eu"]


def _lying(length: int = 7, attributes: int = 0, delta: int = 0, headers: bytes = b"\0") -> bytes:
    """One record of a batch, with the value `v`."""
    body = bytes([attributes, 0]) + long_bytes(delta) + b"\1\2v" + headers
    return long_bytes(len(body) + length - 7) + body


@pytest.mark.parametrize(
    "record",
    [
        _lying(attributes=0x80),
        _lying(attributes=0xFF),
        _lying(headers=b"\2\4\xff\xfe\2x"),
        _lying(delta=2**31 - 1),
    ],
    ids=[
        "attributes 128",
        "attributes 255",
        "a header's name that is not UTF-8",
        "an offset of its own",
    ],
)
def test_what_it_need_not_understand_keeps_no_batch_from_being_plain(record: bytes) -> None:
    """Attributes mean nothing, names of foreign headers are theirs, and offsets are the batch's."""
    assert NATIVE is not None
    found = NATIVE.split(record, 1, 0)
    assert found is not None
    assert found[1:3].tolist() == [[1], [0]]


def test_offsets_that_are_not_the_batchs_are_left_to_the_slow_way() -> None:
    """Where a log was compacted, a record says its own, which rises and stays within its batch."""
    assert NATIVE is not None
    assert NATIVE.split(_lying(delta=0) + _lying(delta=5), 2, 5) is not None
    assert NATIVE.split(_lying(delta=0) + _lying(delta=6), 2, 5) is None
    assert NATIVE.split(_lying(delta=3) + _lying(delta=3), 2, 5) is None
    assert NATIVE.split(_lying(delta=-1) + _lying(delta=3), 2, 5) is None


def test_columns_outlive_what_they_were_read_from() -> None:
    """Nobody else need hold the records."""
    decoded = THREE.decode(
        [event(tenant=f"tenant-{number}").to_bytes() for number in range(2_000)], ("tenant",)
    )
    rest = decoded.events[np.array([7, 1_999])]
    del decoded
    junk = [bytes(1_000) for _ in range(5_000)]
    assert rest.names(("tenant",), np.arange(2)) == [("tenant-7",), ("tenant-1999",)]
    assert len(junk) == 5_000


@given(
    st.lists(st.binary(max_size=30) | st.none(), max_size=30),
    st.integers(0, 30),
    st.integers(0, 30),
)
def test_packed_values_are_a_sequence_of_them(
    values: list[bytes | None], start: int, end: int
) -> None:
    """In order, by place, in stretches, and joined."""
    packed = Packed.of(values)
    assert list(packed) == values
    assert [packed[place] for place in range(len(values))] == values
    assert list(packed[start:end]) == values[start:end]
    assert list(packed[::-2]) == values[::-2]
    assert list(Packed.joined([packed[:start], packed[start:]])) == values


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), min_size=1, max_size=20))
def test_names_have_the_same_hashes_only_if_they_are_the_same(names: list[tuple[str, str]]) -> None:
    """However their parts are cut: ("a", "bc") is not ("ab", "c"). Another seed gives others."""
    assert NATIVE is not None
    parts = [Packed.of([name[place].encode() for name in names]) for place in range(2)]
    texts, sizes = (
        np.array([part.addresses for part in parts]),
        np.array([part.sizes for part in parts]),
    )
    first, second = NATIVE.hashes(texts, sizes, np.arange(2), 1)
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    assert len(set(pairs)) == len(set(names))
    assert len(
        {
            *pairs,
            *zip(
                *(half.tolist() for half in NATIVE.hashes(texts, sizes, np.arange(2), 2)),
                strict=True,
            ),
        }
    ) == 2 * len(set(names))


def test_events_may_be_taken_in_any_order() -> None:
    """In stretches, with steps, backwards and by their places, and what native code makes of them
    then is theirs.
    """
    decoded = THREE.decode(
        [event(tenant=f"t{number}", latency_us=number).to_bytes() for number in range(9)], COLUMNS
    )
    everything = decoded.events.hashes(("tenant",), 3)
    for at in (
        slice(2, 7),
        slice(None, None, 3),
        slice(None, None, -2),
        slice(5, 5),
        np.array([8, 0, 3]),
    ):
        taken = decoded.events[at]
        assert taken.integers("latency_us").tolist() == np.arange(9)[at].tolist()
        assert [half.tolist() for half in taken.hashes(("tenant",), 3)] == [
            half[at].tolist() for half in everything
        ]


def test_records_that_lie_with_steps_between_are_read_where_they_are() -> None:
    """Every second of some values."""
    values = Packed.of([event(latency_us=number).to_bytes() for number in range(8)])
    assert THREE.decode(values[::2], ("latency_us",)).events.integers("latency_us").tolist() == [
        0,
        2,
        4,
        6,
    ]


_AT_THE_EDGE = """
import ctypes, mmap, random, struct, sys
import numpy as np
from schemas.telemetry.columns import packaged_decoder
from schemas.native.library import NATIVE
from schemas.native.packed import Packed
from tests.schemas.events import event
from schemas.records.telemetry import Feature, QualityScore

page, rng = mmap.PAGESIZE, random.Random(int(sys.argv[1]))
area = mmap.mmap(-1, 2 * page)
start = ctypes.addressof(ctypes.c_char.from_buffer(area))
assert ctypes.CDLL(None, use_errno=True).mprotect(ctypes.c_void_p(start + page), page, 0) == 0
full = event(
    user="u", region="eu", quality=(QualityScore("q", 0.5, None),), features=(Feature("x", 1.0),)
)
whole = [full.to_bytes(), event().to_bytes()]
decoder = packaged_decoder()

def record(value):
    length = bytes([len(value) << 1 & 0x7f | 0x80, len(value) >> 6])
    body = b"\\0" + b"\\0" + b"\\0" + b"\\1" + length + value + b"\\0"
    return bytes([len(body) << 1 & 0x7f | 0x80, len(body) >> 6]) + body

def at_the_edge(data):
    area[page - len(data):page] = data
    return start + page - len(data)

taken = 0
for _ in range(60_000):
    value = bytearray(rng.choice(whole))
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        odd = rng.choice((0, 1, 2, 0x7f, 0x80, 0xff, rng.randrange(256)))
        value[rng.randrange(len(value))] = odd
    value = bytes(value[:rng.choice((len(value), rng.randrange(len(value) + 1)))])
    if value:
        packed = Packed(np.array([at_the_edge(value)]), np.array([len(value)]), (area,))
        columns = ("event_time", "tenant", "application", "model", "user", "region")
        found = decoder._fast.read(NATIVE, packed, columns)
        if found[2]:
            taken += 1
            found[0].hashes(("tenant", "application", "model", "region"), 3)
            found[0].names(("tenant", "application", "model"), np.arange(1))
    batch = bytearray(record(rng.choice(whole)))
    if rng.random() < 0.9:
        batch[rng.randrange(8)] = rng.choice((0, 1, 2, 0x7f, 0x80, 0xff, rng.randrange(256)))
    batch = bytes(batch[:rng.choice((len(batch), rng.randrange(1, len(batch))))])
    at, out = ctypes.cast(at_the_edge(batch), ctypes.c_char_p), np.empty((4, 1), np.int64)
    NATIVE._split(at, len(batch), 1, 0, out.ctypes.data)
print(taken)
"""


def test_nothing_behind_what_it_was_given_is_read() -> None:
    """Records and batches, whole and mangled, lie at the very end of memory that may be read: a
    byte more, and the process dies.
    """
    done = subprocess.run(
        [sys.executable, "-c", _AT_THE_EDGE, "1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 1_000


def test_the_source_and_what_asks_it_are_of_one_version() -> None:
    """A library that was compiled from an older source answers with another number, and is not
    used.
    """
    assert f"#define ABI {ABI}\n" in SOURCE.read_text()


def test_without_a_compiler_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """And leaves what was there; one that fails is quoted."""
    target = tmp_path_factory.mktemp("native") / "native.so"
    target.write_bytes(b"before")
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(CannotCompile, match="no C compiler"):
        build(target)
    monkeypatch.setenv("CC", "cc -include no-such-header.h")
    with pytest.raises(CannotCompile, match=r"does not compile native\.c"):
        build(target)
    assert target.read_bytes() == b"before"
    assert [path.name for path in target.parent.iterdir()] == ["native.so"]
