"""Telemetry to columns: both ways of decoding, and records that are not what they say."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from fastavro import schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from schemas.avro import packaged
from schemas.avro.binary import long_bytes
from schemas.avro.framing import PREFIX_BYTES, prefix
from schemas.avro.schema import Enum, Field, Json, Primitive, Record
from schemas.errors import Reason
from schemas.records.control import Settings
from schemas.records.telemetry import Operation, QualityScore, Status, TelemetryEvent
from schemas.telemetry.avro_blocks import BlockReader
from schemas.telemetry.columns import Decoded, Decoder, decode, packaged_decoder
from tests.schemas.events import ALL_COLUMNS, event, events

pytestmark = pytest.mark.usefixtures("with_and_without_native_code")

OTHER = 91
"""Schema id of records that have a map beside the packaged fields: polars cannot read these in
blocks.
"""


def with_field(field: dict[str, Json]) -> dict[str, Json]:
    """The packaged schema with one more field at its end."""
    schema = packaged.schema_json(1)
    fields = schema["fields"]
    assert isinstance(fields, list)
    return {**schema, "fields": [*fields, field]}


WITH_MAP = with_field({"name": "extra", "type": {"type": "map", "values": "string"}})
BOTH = Decoder({1: packaged.schema_json(1), OTHER: WITH_MAP})


def one_by_one(value: bytes) -> bytes:
    """The same record as one that must be decoded one by one: other prefix, an empty map at its
    end.
    """
    return prefix(OTHER) + value[PREFIX_BYTES:] + b"\0"


SECOND = 92
"""Schema id of records that can be read in blocks too, with a field that the newest schema does not
have.
"""

THREE = Decoder(
    {
        1: packaged.schema_json(1),
        SECOND: with_field({"name": "extra", "type": ["null", "string"], "default": None}),
        OTHER: WITH_MAP,
    }
)


def second(value: bytes) -> bytes:
    """The same record as one of the second schema."""
    return prefix(SECOND) + value[PREFIX_BYTES:] + b"\0"


def cells(telemetry: TelemetryEvent) -> dict[str, object]:
    """What a row of all columns must hold, said without the code that is tested."""
    row: dict[str, object] = {name: getattr(telemetry, name) for name in ALL_COLUMNS}
    row |= {
        "operation": list(Operation).index(telemetry.operation),
        "status": list(Status).index(telemetry.status),
    }
    for name in ("quality", "security", "labels", "features"):
        row[name] = [
            {part: getattr(item, part) for part in item.__slots__}
            for item in getattr(telemetry, name)
        ]
    return row


def reasons(decoded: Decoded) -> list[tuple[int, str, str | None]]:
    return [(position, error.reason, error.field) for position, error in decoded.bad]


@settings(deadline=None)
@given(st.lists(events, max_size=12))
def test_columns_hold_what_the_records_say(batch: list[TelemetryEvent]) -> None:
    """Every field of every record, at its position; nothing is bad."""
    decoded = decode([one.to_bytes() for one in batch], ALL_COLUMNS)
    assert decoded.bad == []
    assert decoded.frame.to_dicts() == [cells(one) for one in batch]
    assert decoded.index.tolist() == list(range(len(batch)))


@settings(deadline=None)
@given(st.lists(events, max_size=8))
def test_both_ways_of_decoding_give_equal_columns(batch: list[TelemetryEvent]) -> None:
    """The block's columns and those made of fastavro's records have equal values and dtypes."""
    values = [one.to_bytes() for one in batch]
    fast = BOTH.decode(values, ALL_COLUMNS)
    slow = BOTH.decode([one_by_one(value) for value in values], ALL_COLUMNS)
    assert_frame_equal(fast.frame, slow.frame)
    assert fast.index.tolist() == slow.index.tolist()


@settings(deadline=None)
@given(st.lists(st.tuples(events, st.booleans()), max_size=8))
def test_schemas_may_be_mixed_in_a_batch(batch: list[tuple[TelemetryEvent, bool]]) -> None:
    """Rows come in the order of the values, whichever schema each has."""
    values = [one_by_one(one.to_bytes()) if slow else one.to_bytes() for one, slow in batch]
    decoded = BOTH.decode(values, ALL_COLUMNS)
    assert decoded.frame.to_dicts() == [cells(one) for one, _ in batch]
    assert decoded.index.tolist() == list(range(len(batch)))


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(events, st.sampled_from(["plain", "second", "map", "cut", "none"])), max_size=10
    )
)
def test_what_stands_beside_a_record_does_not_matter(
    batch: list[tuple[TelemetryEvent, str]],
) -> None:
    """Whatever is mixed, each value is what it is alone; and so it is after a batch of one schema,
    and after one of several.
    """
    written: dict[str, Callable[[bytes], bytes | None]] = {
        "plain": lambda value: value,
        "second": second,
        "map": one_by_one,
        "cut": lambda value: value[:-1],
        "none": lambda value: None,
    }
    values = [written[how](one.to_bytes()) for one, how in batch]
    decoded = THREE.decode(values, ALL_COLUMNS)
    good = [
        (place, cells(one)) for place, (one, how) in enumerate(batch) if how not in ("cut", "none")
    ]
    assert list(zip(decoded.index.tolist(), decoded.frame.to_dicts(), strict=True)) == good
    assert [place for place, _ in decoded.bad] == [
        place for place, (_, how) in enumerate(batch) if how in ("cut", "none")
    ]


def spoilt(value: bytes, how: str, at: int, what: int) -> bytes:
    """A record with something wrong, or perhaps still right, somewhere."""
    at %= len(value)
    match how:
        case "cut":
            return value[:at]
        case "longer":
            return value + bytes([what] * (1 + at % 12))
        case "byte":
            return value[:at] + bytes([what]) + value[at + 1 :]
        case "insert":
            return value[:at] + bytes([what]) + value[at:]
    return value


_spoilt = st.tuples(
    events,
    st.sampled_from(["", "", "cut", "longer", "byte", "insert"]),
    st.integers(0, 2000),
    st.integers(0, 255),
)


@settings(deadline=None)
@given(st.lists(_spoilt, max_size=10))
def test_what_is_good_does_not_depend_on_the_neighbours(
    batch: list[tuple[TelemetryEvent, str, int, int]],
) -> None:
    """A batch gives the same good rows and the same bad records as its values one by one."""
    values = [spoilt(one.to_bytes(), how, at, what) for one, how, at, what in batch]
    together = decode(values, ALL_COLUMNS)
    alone = [decode([value], ALL_COLUMNS) for value in values]
    good = [position for position, one in enumerate(alone) if not one.bad]
    assert together.index.tolist() == good
    assert reasons(together) == [
        (i, e.reason, e.field) for i, one in enumerate(alone) for _, e in one.bad
    ]
    assert together.frame.to_dicts() == [alone[position].frame.to_dicts()[0] for position in good]


@settings(deadline=None)
@given(st.lists(events, min_size=3, max_size=3), st.data())
def test_a_short_and_a_long_record_do_not_pass_as_two(
    batch: list[TelemetryEvent], data: st.DataObject
) -> None:
    """Bytes moved over the boundary of two messages leave the whole readable, and both are bad all
    the same.
    """
    first, second, third = (one.to_bytes() for one in batch)
    joined = first + second
    cut = data.draw(
        st.integers(PREFIX_BYTES, len(joined) - PREFIX_BYTES).filter(lambda at: at != len(first))
    )
    decoded = decode([joined[:cut], joined[cut:], third], ALL_COLUMNS)
    assert 2 in decoded.index
    assert 0 not in decoded.index or 1 not in decoded.index


def test_two_bodies_in_one_message_and_none_in_the_next_are_both_bad() -> None:
    """The forgery that a block without guards takes as three valid records with shifted values."""
    a, b, c = (event(application=name).to_bytes() for name in "abc")
    decoded = decode([a + b[PREFIX_BYTES:], c, prefix(1)], ["application"])
    assert decoded.frame["application"].to_list() == ["c"]
    assert reasons(decoded) == [(0, Reason.TRAILING, None), (2, Reason.UNDECODABLE, None)]


def test_framing_within_a_forged_block_does_not_help() -> None:
    """A message that holds another whole message, framing and all, is one bad record, not two good
    ones.
    """
    a, b = (event(application=name).to_bytes() for name in "ab")
    decoded = decode([a + b, b], ["application"])
    assert reasons(decoded) == [(0, Reason.TRAILING, None)]
    assert decoded.index.tolist() == [1]


def test_a_record_of_another_schema_id_with_the_same_body_is_refused() -> None:
    """The id is checked in every record, not only in the first."""
    good = event().to_bytes()
    decoded = decode([good, prefix(2) + good[PREFIX_BYTES:], good], ["tenant"])
    assert reasons(decoded) == [(1, Reason.UNKNOWN_SCHEMA, None)]
    assert decoded.bad[0][1].schema_id == 2


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.MISSING),
        (b"", Reason.EMPTY),
        (b"\0\0\0", Reason.UNDECODABLE),
        (b"garbage that is no Avro", Reason.NO_MAGIC),
        (b"\0\0\0\0\x4dxyz", Reason.UNKNOWN_SCHEMA),
        (prefix(1), Reason.UNDECODABLE),
        (event().to_bytes()[:-3], Reason.UNDECODABLE),
        (event().to_bytes() + b"\0\0", Reason.TRAILING),
        (event(prompt_text="x" * 300_000).to_bytes(), Reason.TOO_LARGE),
        (prefix(1) + b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f", Reason.UNDECODABLE),
        (prefix(1) + b"\x06\xff\xfe\xfd" + event().to_bytes()[9:], Reason.UNDECODABLE),
        (
            event().to_bytes()[:-4] + b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f\0\0\0",
            Reason.UNDECODABLE,
        ),
    ],
)
def test_each_fault_has_its_reason_and_leaves_the_neighbours_alone(
    value: bytes | None, reason: Reason
) -> None:
    """Good neighbours before and after are decoded; the bad one says why."""
    good = event().to_bytes()
    decoded = decode([good, value, good], ALL_COLUMNS)
    assert reasons(decoded) == [(1, reason, None)]
    assert decoded.index.tolist() == [0, 2]
    assert decoded.frame.to_dicts() == [cells(event())] * 2


def test_half_a_batch_of_bad_records_is_found_exactly() -> None:
    """Hundreds of bad records in a row and scattered, in a batch of thousands."""
    values: list[bytes] = [event(event_id=str(i)).to_bytes() for i in range(3000)]
    wrong = {*range(700, 1200), *range(1300, 3000, 7)}
    mixed = [value[:-1] if i in wrong else value for i, value in enumerate(values)]
    decoded = decode(mixed, ["event_id"])
    assert [position for position, _ in decoded.bad] == sorted(wrong)
    assert decoded.frame["event_id"].to_list() == [str(i) for i in range(3000) if i not in wrong]


@pytest.mark.parametrize("columns", [["tenant"], ["status", "tenant", "event_time"], []])
def test_columns_come_in_the_order_asked_for(columns: list[str]) -> None:
    """Only those that were asked for, though others were read to tell good from bad."""
    decoded = decode([event().to_bytes()] * 2, columns)
    assert decoded.frame.columns == columns
    assert decode([], columns).frame.columns == columns
    assert decode([b""], columns).frame.columns == columns


def test_dtypes_are_the_same_for_good_bad_and_empty_batches() -> None:
    """Who takes the columns never meets a Null column or another width."""
    usual = decode([event().to_bytes()], ALL_COLUMNS).frame.schema
    assert usual["event_time"] == usual["status"] == usual["http_status"] == pl.Int64()
    for values in (
        [],
        [b""],
        [None],
        [event().to_bytes(), b""],
        [event(quality=(QualityScore("q", 1.0),)).to_bytes()],
    ):
        assert decode(values, ALL_COLUMNS).frame.schema == usual


def test_an_unknown_column_is_a_bug_of_the_caller() -> None:
    """It raises at once, also where no record is good."""
    with pytest.raises(KeyError):
        decode([], ["latency"])


def written(schema: dict[str, Json], schema_id: int, values: dict[str, Any]) -> bytes:
    stream = io.BytesIO(prefix(schema_id))
    stream.seek(PREFIX_BYTES)
    schemaless_writer(stream, packaged.fastavro_schema(schema), values)
    return stream.getvalue()


def without(names: Sequence[str]) -> dict[str, Json]:
    schema = packaged.schema_json(1)
    fields = schema["fields"]
    assert isinstance(fields, list)
    return {
        **schema,
        "fields": [
            field for field in fields if isinstance(field, dict) and field["name"] not in names
        ],
    }


def test_an_older_schema_is_read_as_the_newest() -> None:
    """Fields that it lacks take their defaults, whichever way it is decoded."""
    lacking = ("session", "retries", "features", "cached_tokens")
    older, slow_older = without(lacking), without(lacking)
    slow_older["fields"] = [*slow_older["fields"], *WITH_MAP["fields"][-1:]]  # type: ignore[misc, index]
    decoder = Decoder({1: packaged.schema_json(1), 50: older, 51: slow_older})
    assert decoder.refused == {}
    row = {name: getattr(event(), name) for name in ALL_COLUMNS if name not in lacking}
    values = [
        written(older, 50, row),
        written(slow_older, 51, {**row, "extra": {"a": "b"}}),
        event().to_bytes(),
    ]
    decoded = decoder.decode(values, ALL_COLUMNS)
    assert decoded.bad == []
    assert decoded.frame.to_dicts() == [cells(event())] * 3


def test_a_schema_that_cannot_be_read_as_the_newest_is_refused_with_its_records() -> None:
    """Nothing is guessed: a missing latency is not 0."""
    decoder = Decoder({1: packaged.schema_json(1), 52: without(["latency_us"])})
    assert "latency_us" in decoder.refused[52]
    decoded = decoder.decode([prefix(52) + b"x", event().to_bytes()], ["tenant"])
    assert reasons(decoded) == [(0, Reason.REFUSED_SCHEMA, None)]
    assert decoded.index.tolist() == [1]


def test_letters_cut_in_two_do_not_heal_across_records() -> None:
    """Half a letter at the end of one text and the other half at the start of the next are two bad
    texts.
    """
    rest = event().to_bytes()[9:]
    for padding in (b"", b"a" * 40):
        texts = (padding + b"\xc3", b"\xa9" + padding)
        values = [prefix(1) + long_bytes(len(text)) + text + rest for text in texts]
        assert [reason for _, reason, _ in reasons(decode(values, ["event_id"]))] == [
            Reason.UNDECODABLE
        ] * 2


def test_blocks_of_items_may_tell_their_size() -> None:
    """Avro's other form of lists, as some Go clients write it, is read; a wrong size changes
    nothing.
    """
    value, item = event().to_bytes(), b"\2k\2v"
    for size in (2 * len(item), 77):
        labels = long_bytes(-2) + long_bytes(size) + item * 2 + b"\2" + item + b"\0"
        sized = value[:-2] + labels + value[-1:]
        assert decode([sized], ["labels"]).frame["labels"].to_list() == [
            [{"key": "k", "value": "v"}] * 3
        ]
        assert decode([sized], ["tenant"]).bad == []


@pytest.mark.parametrize(
    "tail",
    [
        b"\7" + b"\0" * 30,  # a branch that the union does not have
        b"\x0a\0" + b"\0" * 30,  # the same, with a value
        b"\0" * 29
        + long_bytes(-1)
        + long_bytes(77)
        + b"\2k\2v\0\0",  # a label, with a wrong size before it
        b"\0" * 29 + b"\x80\0\0",  # a number that is longer than it must be
    ],
)
def test_records_written_peculiarly_are_read_alike_in_large_batches_and_alone(tail: bytes) -> None:
    """What no decoder should meet neither stops the one that looks for what a batch shares nor
    changes a column.
    """
    plain = event(currency="EUR").to_bytes()
    body = plain[: plain.index(b"\x80\xbe\x92\x01") + 4]
    value = body + tail
    alone = decode([value], ALL_COLUMNS)
    decoder = Decoder({1: packaged.schema_json(1)})
    for _ in range(3):
        batch = decoder.decode([value] * 600, ALL_COLUMNS)
        assert batch.index.tolist() == ([] if alone.bad else list(range(600)))
        assert batch.frame.to_dicts() == alone.frame.to_dicts() * 600


def test_a_default_symbol_is_a_column_of_its_index() -> None:
    """An enum that older records lack is a number like every enum column."""
    writer = Record("R", (Field("a", Primitive("long")),))
    colour = Field("colour", Enum("Colour", ("red", "green")), has_default=True, default="green")
    reader = BlockReader(1, writer, Record("R", (*writer.fields, colour)))
    value = prefix(1) + long_bytes(5)
    frame = reader.read([value, value], 2 * len(value), ["a", "colour"])
    assert frame is not None
    assert frame.to_dicts() == [{"a": 5, "colour": 1}] * 2


def test_only_telemetry_is_telemetry() -> None:
    """A verdict or settings that stray onto the topic are bad, though their schema is packaged."""
    settings_record = Settings(version="v", author="me", created_at=1, body="{}")
    assert reasons(decode([settings_record.to_bytes()], ["tenant"])) == [
        (0, Reason.UNKNOWN_SCHEMA, None)
    ]


def test_numbers_may_be_read_without_a_copy() -> None:
    """Columns without nulls are one contiguous buffer: `to_numpy` is free."""
    frame = decode([event(event_id=str(i)).to_bytes() for i in range(5000)], ["latency_us"]).frame
    assert frame["latency_us"].n_chunks() == 1
    assert frame["latency_us"].to_numpy(allow_copy=False).dtype == np.int64


def test_the_packaged_decoder_is_made_once() -> None:
    """Parsing schemas costs milliseconds; decoding must not pay them per batch."""
    assert packaged_decoder() is packaged_decoder()
    assert packaged_decoder().refused == {}
