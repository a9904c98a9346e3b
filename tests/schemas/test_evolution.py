"""Versions of a schema over time."""

import copy
from importlib.resources import files
from typing import Any

import pytest

from schemas.avro import packaged
from schemas.avro.coding import framed
from schemas.avro.evolution import problems
from schemas.avro.schema import Json, parse
from schemas.errors import BadRecord
from schemas.records.telemetry import TelemetryEvent
from schemas.telemetry.columns import Decoder, decode
from tests.schemas.events import event

pytestmark = pytest.mark.usefixtures("with_and_without_native_code")

NAMES = sorted({known.name for known in packaged.IDS.values()})


def versions(name: str) -> list[int]:
    """All versions that the package has a file for, oldest first."""
    folder = files("schemas").joinpath("avsc", name)
    return sorted(
        int(file.name.removesuffix(".avsc"))
        for file in folder.iterdir()
        if file.name.endswith(".avsc")
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_version_has_an_id_and_every_id_a_version(name: str) -> None:
    """No file is forgotten, no version is skipped, and no id stands for two things."""
    known = sorted(version.version for version in packaged.IDS.values() if version.name == name)
    assert known == versions(name) == list(range(1, len(known) + 1))


@pytest.mark.parametrize("name", NAMES)
def test_every_earlier_version_is_read_with_the_newest(name: str) -> None:
    """Records of years ago stay readable: no version may make an incompatible change."""
    reader = packaged.schema(packaged.newest(name))
    for schema_id in packaged.ids_of(name):
        assert problems(packaged.schema(schema_id), reader) == []


def changed(path: str, **changes: Any) -> dict[str, Json]:
    """The schema of telemetry with one field changed; None removes a part of it, `drop=True` the
    field.
    """
    schema: dict[str, Any] = copy.deepcopy(packaged.schema_json(1))
    field = next(field for field in schema["fields"] if field["name"] == path)
    if changes.pop("drop", False):
        schema["fields"].remove(field)
    for key, value in changes.items():
        if value is None:
            field.pop(key)
        else:
            field[key] = value
    return schema


def added(**field: Any) -> dict[str, Json]:
    schema: dict[str, Any] = copy.deepcopy(packaged.schema_json(1))
    schema["fields"].append(field)
    return schema


STATUS = {"type": "enum", "name": "Status"}
V1 = packaged.schema_json(1)


@pytest.mark.parametrize(
    ("newer", "says"),
    [
        (added(name="tier", type="string"), "field tier: new, and without a default"),
        (changed("tenant", name="customer"), "field customer: new, and without a default"),
        (changed("latency_us", type="int"), "field latency_us: long cannot be read as int"),
        (changed("latency_us", type="string"), "field latency_us: long cannot be read as string"),
        (changed("user", type="string", default=None), "field user: null cannot be read as string"),
        (
            changed("status", type={**STATUS, "symbols": ["success", "error"]}),
            "field status: symbol timeout was removed",
        ),
        (changed("status", type="string"), "field status: enum cannot be read as string"),
        (
            changed("event_time", type={"type": "long", "logicalType": "timestamp-millis"}),
            "field event_time: logical",
        ),
        (changed("http_status", type=["null", "string"]), "field http_status: int fits no branch"),
        (
            changed("labels", type={"type": "map", "values": "string"}),
            "field labels: array cannot be read as map",
        ),
        (
            changed(
                "features",
                type={"type": "array", "items": {**STATUS, "name": "Word", "symbols": ["a"]}},
            ),
            "field features[]: record cannot be read as enum",
        ),
        ({**V1, "name": "Event"}, "schema: record sentinel.TelemetryEvent is not sentinel.Event"),
        (
            {"type": "fixed", "name": "TelemetryEvent", "size": 3},
            "schema: record cannot be read as fixed",
        ),
    ],
)
def test_an_incompatible_change_is_refused_and_named(newer: dict[str, Json], says: str) -> None:
    """What a new version must not do, one by one; the text names the field."""
    found = problems(parse(V1), parse(newer))
    assert len(found) == 1
    assert found[0].startswith(says)


@pytest.mark.parametrize(
    "newer",
    [
        V1,
        added(name="tier", type="string", default="none"),
        added(name="tier", type=["null", "string"], default=None),
        changed("currency", drop=True),
        changed("tenant", name="customer", aliases=["tenant"]),
        changed("http_status", type=["null", "long"]),
        changed("retries", type="double"),
        changed("latency_us", type=["null", {"type": "long"}]),
        changed("status", type={**STATUS, "symbols": ["timeout", "success", "error", "refused"]}),
        changed("status", type={**STATUS, "symbols": ["success", "other"], "default": "other"}),
        changed("model", type="bytes"),
        {**V1, "namespace": "elsewhere"},
    ],
)
def test_a_compatible_change_is_allowed(newer: dict[str, Json]) -> None:
    """What a new version may do: add with a default, drop, widen, rename with an alias, reorder
    symbols.
    """
    assert problems(parse(V1), parse(newer)) == []


def test_a_fixed_may_not_change_its_size() -> None:
    """Its bytes would run into the next field."""
    assert problems(
        parse({"type": "fixed", "name": "F", "size": 4}),
        parse({"type": "fixed", "name": "F", "size": 5}),
    )


def test_map_values_are_judged_too() -> None:
    """A map is as compatible as what it holds."""
    assert problems(
        parse({"type": "map", "values": "long"}), parse({"type": "map", "values": "int"})
    )
    assert not problems(
        parse({"type": "map", "values": "int"}), parse({"type": "map", "values": "long"})
    )


def test_a_second_version_would_be_read_and_the_first_resolved_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The whole path of an upgrade: old records get the new field's default, new ones are written
    with the new id.
    """
    newer = added(name="tier", type="string", default="none")
    everything = {**packaged.IDS, 99: packaged.Known("TelemetryEvent", 2)}
    older = event().to_bytes()
    original = packaged.schema_json
    caches = (packaged.newest, packaged.ids_of, packaged.schema, packaged.for_fastavro)
    monkeypatch.setattr(packaged, "IDS", everything)
    monkeypatch.setattr(
        packaged, "schema_json", lambda schema_id: newer if schema_id == 99 else original(schema_id)
    )
    for cached in caches:
        cached.cache_clear()
    try:
        written = framed(
            "TelemetryEvent", {**{n: getattr(event(), n) for n in _scalars()}, "tier": "gold"}
        )
        decoder = Decoder({schema_id: packaged.schema_json(schema_id) for schema_id in (1, 99)})
        decoded = decoder.decode([older, written, older], ["tier", "tenant"])
        assert written[:5] == b"\0\0\0\0c"
        assert decoded.bad == []
        assert decoded.frame["tier"].to_list() == ["none", "gold", "none"]
    finally:
        for cached in caches:
            cached.cache_clear()


def _scalars() -> list[str]:
    return [
        "event_id",
        "event_time",
        "tenant",
        "application",
        "model",
        "operation",
        "status",
        "latency_us",
    ]


def test_the_wire_form_of_version_1_stays() -> None:
    """Golden bytes: a change to a schema file that is already in use shows here."""
    value = bytes.fromhex(
        "0000000001" "06652d31" "8080f0ecbdada006" "0861636d65" "0873686f70"
        "166770742d346f2d6d696e69" "00" "00"
        "80be9201" + "00" * 31
    )  # fmt: skip
    assert event().to_bytes() == value
    assert TelemetryEvent.from_bytes(value) == event()
    assert decode([value], ["tenant"]).bad == []
    with pytest.raises(BadRecord):
        TelemetryEvent.from_bytes(value + b"\0")
