"""The typed records and their schemas are the same thing, said twice."""

import dataclasses
import typing
from enum import StrEnum
from types import NoneType, UnionType

import pytest
from hypothesis import given, settings

from schemas.avro import packaged
from schemas.avro.coding import Record as TypedRecord
from schemas.avro.coding import framed
from schemas.avro.schema import Array, Enum, Field, Primitive, Record, Type, Union
from schemas.errors import BadRecord, Reason
from schemas.records.aggregates import Aggregate
from schemas.records.anomalies import Anomaly, Direction, Evidence, Severity, SignalChange
from schemas.records.control import Audit, Command, Settings
from schemas.records.incidents import Incident
from schemas.records.notifications import Notification
from schemas.records.telemetry import TelemetryEvent
from tests.schemas.events import event, events

KINDS: list[type[TypedRecord]] = [
    TelemetryEvent,
    Anomaly,
    SignalChange,
    Aggregate,
    Incident,
    Notification,
    Settings,
    Command,
    Audit,
]

ANOMALY = Anomaly(
    id="0" * 32,
    tenant="acme",
    application="shop",
    metric="latency",
    detector="rules",
    detector_version=1,
    settings_version="s1",
    window_start=1,
    window_end=2,
    event_time=2,
    observed=5.0,
    score=7.5,
    severity=Severity.HIGH,
    confidence=0.5,
    direction=Direction.ABOVE,
    reason="slow",
    evidence=(Evidence("threshold", 1.0), Evidence("observed", 5.0)),
    sample_event_ids=("a", "b"),
    lane=3,
    offset=4,
    ordinal=0,
)


def agrees(hint: object, kind: Type) -> bool:
    """Whether a Python type hint says what an Avro type says."""
    match kind:
        case Union((Primitive("null"), part)):
            if not isinstance(hint, UnionType):
                return False
            first, second = typing.get_args(hint)
            return second is NoneType and agrees(first, part)
        case Array(items):
            return typing.get_origin(hint) is tuple and agrees(typing.get_args(hint)[0], items)
        case Enum(name, symbols):
            assert isinstance(hint, type)
            assert issubclass(hint, StrEnum)
            return hint.__name__ == name.split(".")[1] and tuple(hint) == symbols
        case Record():
            assert isinstance(hint, type)
            return hint.__name__ == kind.name.split(".")[1] and all_fields_agree(hint, kind)
        case Primitive(name):
            return (
                hint
                is {"string": str, "int": int, "long": int, "double": float, "boolean": bool}[name]
            )
    return False


def all_fields_agree(record: type, schema: Record) -> bool:
    """Names, order, types and defaults of a record's fields are those of its schema."""
    hints = typing.get_type_hints(record)
    assert list(hints) == [field.name for field in schema.fields]
    declared = {field.name: field for field in dataclasses.fields(record)}
    return all(
        agrees(hints[field.name], field.type)
        and default_of(declared[field.name]) == schema_default(field)
        for field in schema.fields
    )


def default_of(field: "dataclasses.Field[object]") -> object:
    return "nothing" if field.default is dataclasses.MISSING else field.default


def schema_default(field: Field) -> object:
    if not field.has_default:
        return "nothing"
    return tuple(field.default) if isinstance(field.default, list) else field.default


@pytest.mark.parametrize("kind", KINDS)
def test_a_typed_record_has_the_names_order_types_and_defaults_of_its_schema(
    kind: type[TypedRecord],
) -> None:
    """What Python code may rely on is what is on the wire."""
    assert all_fields_agree(kind, packaged.schema(packaged.newest(kind.__name__)))


@pytest.mark.parametrize("schema_id", packaged.IDS)
def test_every_field_has_a_doc_that_names_its_unit(schema_id: int) -> None:
    """A reader of the schema alone knows what each number counts; texts say `no unit` or their
    form.
    """
    fields = packaged.schema_json(schema_id)["fields"]
    assert isinstance(fields, list)
    for field in fields:
        assert isinstance(field, dict)
        doc = field["doc"]
        assert isinstance(doc, str)
        assert len(doc) > 10
        if field["type"] in (
            "int",
            "long",
            "double",
            ["null", "long"],
            ["null", "int"],
            ["null", "double"],
        ):
            assert any(word in doc for word in UNITS), (field["name"], doc)


UNITS = (
    "microseconds", "count", "1e-9", "code", "share", "per second", "tokens", "no unit", "0 to 1",
    "metric's unit",
    "Number of the lane", "Offset", "Position",
)  # fmt: skip


@settings(deadline=None)
@given(events)
def test_a_record_comes_back_as_it_was_written(telemetry: TelemetryEvent) -> None:
    """Nothing is lost or changed between `to_bytes` and `from_bytes`."""
    assert TelemetryEvent.from_bytes(telemetry.to_bytes()) == telemetry


def test_nested_records_enums_and_lists_come_back_as_their_types() -> None:
    """A reader gets tuples of typed records and enum members, not dicts and strings."""
    read = Anomaly.from_bytes(ANOMALY.to_bytes())
    assert read == ANOMALY
    assert isinstance(read.severity, Severity)
    assert read.evidence[0].value == 1.0


def test_fields_that_are_left_out_of_a_mapping_take_their_defaults() -> None:
    """`framed` writes what the typed record with the same values writes."""
    needed = {
        name: getattr(event(), name)
        for name in ("event_id", "event_time", "tenant", "application", "model")
    }
    values = {**needed, "operation": "chat", "status": "success", "latency_us": 1_200_000}
    assert framed("TelemetryEvent", values) == event().to_bytes()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"\x01\0\0\0\x01rest", Reason.NO_MAGIC),
        (b"\0\0", Reason.UNDECODABLE),
        (b"\0\0\0\0\x63rest", Reason.UNKNOWN_SCHEMA),
        (ANOMALY.to_bytes(), Reason.WRONG_SCHEMA),
        (event().to_bytes()[:-1], Reason.UNDECODABLE),
        (event().to_bytes() + b"\0", Reason.TRAILING),
        (event().to_bytes()[:5], Reason.UNDECODABLE),
        (b"\0\0\0\0\x01\x06\xff\xfe\xfd" + event().to_bytes()[9:], Reason.UNDECODABLE),
    ],
)
def test_what_is_no_record_is_refused_with_its_reason(value: bytes, reason: Reason) -> None:
    """One error type, whatever the decoder stumbles over."""
    with pytest.raises(BadRecord) as caught:
        TelemetryEvent.from_bytes(value)
    assert caught.value.reason == reason


def test_a_text_that_is_cut_short_at_the_end_is_not_taken_as_whole() -> None:
    """A record may end in a text; one that says it is longer than what is left is bad."""
    settings = Settings(version="v", author="me", created_at=1, body="12345")
    assert Settings.from_bytes(settings.to_bytes()) == settings
    with pytest.raises(BadRecord):
        Settings.from_bytes(settings.to_bytes()[:-1])


@settings(deadline=None)
@given(events)
def test_every_cut_of_a_record_is_refused(telemetry: TelemetryEvent) -> None:
    """No prefix of a record is a record."""
    value = telemetry.to_bytes()
    for size in range(max(0, len(value) - 60), len(value)):
        with pytest.raises(BadRecord):
            TelemetryEvent.from_bytes(value[:size])
