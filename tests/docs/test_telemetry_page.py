"""docs/telemetry.md says what the code holds records to."""

from pathlib import Path

from schemas.avro import packaged
from schemas.telemetry.validity import MAX_ID_BYTES, NUMBERS, RANGES, TEXTS

ROWS = {
    line.split("|")[1].strip(" `"): line
    for line in Path("docs/telemetry.md").read_text().splitlines()
    if line.startswith("| `")
}


def test_every_field_is_described_in_order() -> None:
    """Those of the newest schema, no more and no fewer; with its own words for each."""
    fields = packaged.schema_json(packaged.newest("TelemetryEvent"))["fields"]
    assert isinstance(fields, list)
    described = {
        str(field["name"]): str(field["doc"]) for field in fields if isinstance(field, dict)
    }
    assert list(ROWS) == list(described)
    assert [name for name, text in described.items() if text not in ROWS[name]] == []


def test_every_bound_is_told() -> None:
    """As the number in the code."""
    for name, least, most in RANGES:
        assert f"{least} to {most} |" in ROWS[name] or "enum: " in ROWS[name], name
    for name, fewest in TEXTS:
        assert f"{fewest} to {MAX_ID_BYTES} bytes" in ROWS[name], name
    for name, part in NUMBERS:
        assert f"`{part}` is finite" in ROWS[name], name


def test_the_id_is_the_packages() -> None:
    """Which the page tells in words."""
    assert packaged.newest("TelemetryEvent") == 1
