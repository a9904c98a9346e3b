"""Records that decode and still make no sense."""

import math
from typing import Any

import pytest

from schemas.avro.coding import framed
from schemas.bounds import (
    MAX_COST_NANO,
    MAX_DURATION_US,
    MAX_EVENT_TIME,
    MAX_ID_BYTES,
    MAX_RETRIES,
    MAX_TOKENS,
    MIN_EVENT_TIME,
)
from schemas.errors import Reason
from schemas.records.telemetry import Feature, Label, QualityScore, SecurityFinding
from schemas.telemetry.columns import decode
from tests.schemas.events import ALL_COLUMNS, event

pytestmark = pytest.mark.usefixtures("with_and_without_native_code")

RANGES = [
    ("event_time", MIN_EVENT_TIME, MAX_EVENT_TIME),
    ("latency_us", 0, MAX_DURATION_US),
    ("time_to_first_token_us", 0, MAX_DURATION_US),
    ("time_per_output_token_us", 0, MAX_DURATION_US),
    ("queue_time_us", 0, MAX_DURATION_US),
    ("prompt_tokens", 0, MAX_TOKENS),
    ("completion_tokens", 0, MAX_TOKENS),
    ("cached_tokens", 0, MAX_TOKENS),
    ("reasoning_tokens", 0, MAX_TOKENS),
    ("cost_nano", 0, MAX_COST_NANO),
    ("http_status", 0, 999),
    ("retries", 0, MAX_RETRIES),
]


def wrong(**changes: Any) -> tuple[Reason | str, str | None]:
    """What is said of the ordinary event with these changes, among good neighbours and without
    asking for the column.
    """
    decoded = decode(
        [event().to_bytes(), event(**changes).to_bytes(), event().to_bytes()], ["model"]
    )
    assert decoded.index.tolist() == [0, 2]
    assert decoded.frame.height == 2
    [(position, error)] = decoded.bad
    assert position == 1
    assert error.schema_id == 1
    return error.reason, error.field


@pytest.mark.parametrize(("name", "least", "most"), RANGES)
def test_numbers_outside_their_range_are_bad(name: str, least: int, most: int) -> None:
    """Negative, or so large that sums would overflow; the limits themselves are good."""
    assert wrong(**{name: least - 1}) == (Reason.OUT_OF_RANGE, name)
    assert wrong(**{name: most + 1}) == (Reason.OUT_OF_RANGE, name)
    limits = [event(**{name: least}).to_bytes(), event(**{name: most}).to_bytes()]
    assert decode(limits, [name]).frame[name].to_list() == [least, most]


@pytest.mark.parametrize("name", ["event_id", "tenant", "application", "model"])
def test_ids_must_say_something(name: str) -> None:
    """An empty id would gather what does not belong together."""
    assert wrong(**{name: ""}) == (Reason.BLANK, name)


@pytest.mark.parametrize("name", ["event_id", "tenant", "application", "model", "user"])
def test_ids_are_at_most_256_bytes(name: str) -> None:
    """Counted in bytes of UTF-8, since keys and rows are made of them."""
    assert wrong(**{name: "x" * (MAX_ID_BYTES + 1)}) == (Reason.TOO_LONG, name)
    assert wrong(**{name: "é" * (MAX_ID_BYTES // 2) + "x"}) == (Reason.TOO_LONG, name)
    assert decode([event(**{name: "é" * (MAX_ID_BYTES // 2)}).to_bytes()], [name]).bad == []


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_in_lists_must_be_finite(number: float) -> None:
    """One NaN makes every mean that it enters NaN; at any place in the list."""
    assert wrong(quality=(QualityScore("a", 0.5), QualityScore("b", number))) == (
        Reason.NOT_FINITE,
        "quality.value",
    )
    assert wrong(security=(SecurityFinding("a", number),)) == (Reason.NOT_FINITE, "security.score")
    assert wrong(features=(Feature("a", number), Feature("b", 0.5))) == (
        Reason.NOT_FINITE,
        "features.value",
    )


def test_finite_numbers_in_lists_are_good() -> None:
    """Also beside events without any, and negative ones."""
    good = event(
        quality=(QualityScore("a", -5.0, "bad"),),
        features=(Feature("x", 1e300),),
        labels=(Label("k", "v"),),
    )
    decoded = decode([event().to_bytes(), good.to_bytes()], ALL_COLUMNS)
    assert decoded.bad == []
    assert decoded.frame["features"].to_list() == [[], [{"name": "x", "value": 1e300}]]


def test_unknown_numbers_are_good_and_empty_users_too() -> None:
    """Null is not 0 and not wrong; an empty pseudonym is a pseudonym."""
    decoded = decode(
        [event().to_bytes(), event(user="", time_to_first_token_us=0).to_bytes()], ["user"]
    )
    assert decoded.bad == []
    assert decoded.frame["user"].to_list() == [None, ""]


def test_a_symbol_that_the_schema_does_not_have_is_bad() -> None:
    """An index beyond the symbols decodes as a number, and is not taken for a status."""
    value = bytearray(event().to_bytes())
    place = value.index(b"gpt-4o-mini") + len(b"gpt-4o-mini")
    for offset, name in ((0, "operation"), (1, "status")):
        forged = bytearray(value)
        forged[place + offset] = 14
        [(_, error)] = decode([bytes(forged)], ["status"]).bad
        assert (error.reason, error.field) == (Reason.OUT_OF_RANGE, name)


def test_numbers_of_any_width_are_judged_by_their_range() -> None:
    """Avro's int and long look the same on the wire: an int too large for 32 bits is out of range,
    not wrapped.
    """
    values = {name: getattr(event(), name) for name in ALL_COLUMNS[:8]}
    value = framed("TelemetryEvent", {**values, "retries": 0})
    head, tail = value[: -len(b"\0" * 15)], value[-len(b"\0" * 15) + 1 :]
    [(_, error)] = decode([head + b"\x80\x80\x80\x80\x40" + tail], ["tenant"]).bad
    assert (error.reason, error.field) == (Reason.OUT_OF_RANGE, "retries")


def test_a_record_with_several_faults_is_bad_once() -> None:
    """One dead letter per record, whatever is wrong with it."""
    decoded = decode([event(tenant="", latency_us=-1, cost_nano=-1).to_bytes()], ["tenant"])
    assert len(decoded.bad) == 1
    assert decoded.frame.height == 0
