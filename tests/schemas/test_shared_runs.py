"""Reading runs of fields that a batch shares gives the columns that reading field by field gives."""

import dataclasses
import random

import pytest

from schemas.columns import Decoded, Decoder, packaged_decoder
from schemas.records import Operation, Status, TelemetryEvent

pytestmark = pytest.mark.usefixtures("without_kernel")

COLUMNS = ("event_id", "event_time", "tenant", "model", "latency_us", "currency", "region", "retries", "labels")


def _events(count: int, **fields: object) -> list[TelemetryEvent]:
    rng = random.Random(7)
    return [
        TelemetryEvent(
            event_id=f"e-{index}",
            event_time=1_795_000_000_000_000 + index,
            tenant="t",
            application=f"app-{index % 5}",
            model="m",
            operation=Operation.CHAT,
            status=Status.ERROR if index % 97 == 0 else Status.SUCCESS,
            error_type="overload" if index % 97 == 0 else None,
            latency_us=rng.randrange(10_000_000),
            currency="EUR",
            region="eu-west",
            **fields,  # type: ignore[arg-type]
        )
        for index in range(count)
    ]


def _fresh() -> Decoder:
    return packaged_decoder.__wrapped__()


def _taught(values: list[bytes]) -> Decoder:
    decoder = _fresh()
    decoder.decode(values, COLUMNS)
    return decoder


def _same(one: Decoded, other: Decoded) -> bool:
    bad = [(place, error.reason) for place, error in one.bad] == [(place, error.reason) for place, error in other.bad]
    return bad and one.frame.equals(other.frame) and one.index.tolist() == other.index.tolist()


def test_what_is_learnt_changes_no_column() -> None:
    """A decoder that has learnt reads the same as one that never did, and it has learnt something."""
    values = [event.to_bytes() for event in _events(2000)]
    taught = _taught(values)
    schema_id = int.from_bytes(values[0][1:5], "big")
    assert taught._blocks[schema_id].read_shared(values, sum(map(len, values)), ["event_time"]) is not None
    assert _same(taught.decode(values, COLUMNS), _fresh().decode(values, COLUMNS))


@pytest.mark.parametrize(
    "other",
    [
        {"region": "eu-east"},
        {"region": None},
        {"region": "a much longer region than before"},
        {"currency": "USD", "retries": 3},
        {"prompt_hash": "\0\0\0\0"},
        {"http_status": 500, "finish_reason": ""},
    ],
)
def test_one_record_that_differs_is_read_as_it_is(other: dict[str, object]) -> None:
    """A single record with other contents in a run, of the same length or not, is neither lost nor misread."""
    events = _events(2000)
    taught = _taught([event.to_bytes() for event in events])
    events[1234] = dataclasses.replace(events[1234], **other)  # type: ignore[arg-type]
    values = [event.to_bytes() for event in events]
    assert _same(taught.decode(values, COLUMNS), _fresh().decode(values, COLUMNS))


def test_a_short_and_a_long_record_do_not_pass_for_two() -> None:
    """Bytes that move from one record to the next are found also where a run lies between them."""
    values = [event.to_bytes() for event in _events(2000)]
    taught = _taught(values)
    values[10], values[11] = values[10] + values[11][5:9], values[11][:5] + values[11][9:]
    assert [place for place, _ in taught.decode(values, COLUMNS).bad] == [10, 11]


def test_a_shared_value_that_is_nonsense_is_not_learnt() -> None:
    """What all records share is judged as what differs is: all are bad each time."""
    values = [event.to_bytes() for event in _events(600, queue_time_us=-5)]
    taught = _taught(values)
    assert len(taught.decode(values, COLUMNS).bad) == 600
