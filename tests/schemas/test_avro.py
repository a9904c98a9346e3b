"""Schemas that no decoder may be given."""

import json

import pytest

from schemas.avro import packaged
from schemas.avro.schema import Array, Json, Primitive, RefusedSchema, Union, min_bytes, parse


def record(name: str, *types: Json) -> dict[str, Json]:
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": f"f{i}", "type": t} for i, t in enumerate(types)],
    }


def nested(levels: int) -> Json:
    schema: Json = "int"
    for level in range(levels):
        schema = record(f"R{level}", schema)
    return schema


def doubling(levels: int) -> Json:
    """A record whose fields double with every level: small as text, endless when decoded."""
    types: list[Json] = [record("R0", "int")]
    types += [record(f"R{level}", f"R{level - 1}", f"R{level - 1}") for level in range(1, levels)]
    return record("All", *types)


TREE: Json = record("Tree", {"type": "array", "items": "Tree"})
LIST: Json = record("List", ["null", "List"])


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (TREE, "recursive"),
        (LIST, "recursive"),
        (record("A", record("B", {"type": "map", "values": "A"})), "recursive"),
        (record("A", {"type": "array", "items": "null"}), "no bytes"),
        (record("A", {"type": "array", "items": record("E")}), "no bytes"),
        (
            record(
                "A",
                {
                    "type": "array",
                    "items": record("E", "null", {"type": "fixed", "name": "F", "size": 0}),
                },
            ),
            "no b",
        ),
        (record("A", *["int"] * 501), "500 fields"),
        (record("A", *[record(f"B{i}", *["int"] * 9) for i in range(60)]), "500 fields"),
        (nested(33), "32 levels"),
        (doubling(31), "500 fields"),
        (record("A", {"type": "array", "items": doubling(100)}), "500 fields"),
        (record("A", "Missing"), "not defined"),
        (record("A", record("B"), record("B")), "twice"),
        (record("A", []), "without branches"),
        (record("A", {"type": "fixed", "name": "F", "size": -1}), "no size"),
        (record("A", {"type": "fixed", "name": "F", "size": True}), "no size"),
        (record("A", {"type": "fixed", "name": "F", "size": 1 << 70}), "no size"),
        (
            {"type": "record", "name": "A", "fields": [{"name": "x", "type": "int"}] * 2},
            "two fields of one name",
        ),
        (
            {"type": "record", "name": "A", "fields": [{"name": "-lead", "type": "int"}]},
            "not a field's name",
        ),
        ({"type": "record", "name": "A"}, "not a list"),
        ({"type": "record", "fields": []}, "not a name"),
        ({"type": "enum", "name": "E", "symbols": [1]}, "not a name"),
        (record("A", None), "not a schema"),
        ({"type": "record", "name": "A", "fields": ["x"]}, "not a field"),
        (17, "not a schema"),
    ],
)
def test_what_decoders_die_of_is_refused_with_its_reason(schema: Json, says: str) -> None:
    """Each in milliseconds, before a byte of any record is looked at."""
    with pytest.raises(RefusedSchema, match=says):
        parse(schema)


def test_text_nested_absurdly_deep_is_refused_without_recursion() -> None:
    """A hundred thousand levels neither overflow the stack nor take long."""
    schema: Json = "int"
    for _ in range(100_000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(RefusedSchema, match="levels"):
        parse(schema)
    while isinstance(schema, dict):  # taken apart here: freeing it at once would recurse
        schema = schema.pop("items")


@pytest.mark.parametrize("schema", [nested(32), record("A", *["int"] * 500)])
def test_the_limits_themselves_are_allowed(schema: Json) -> None:
    """32 levels and 500 fields are still a schema."""
    parse(schema)


@pytest.mark.parametrize("schema_id", packaged.IDS)
def test_packaged_schemas_are_allowed(schema_id: int) -> None:
    """And each stands under the name and in the namespace that its id says."""
    assert packaged.schema(schema_id).name == f"sentinel.{packaged.IDS[schema_id].name}"


def test_names_are_found_in_the_namespace_of_their_record() -> None:
    """A name without dots is first one of the enclosing record's namespace."""
    schema = json.loads(
        '{"type": "record", "name": "a.A", "fields": [{"name": "x", "type": {"type": "fixed",'
        ' "name": "F", "size": 2}},{"name": "y", "type": "F"}, {"name": "z", "type": "a.F"}]}'
    )
    parsed = parse(schema)
    assert min_bytes(parsed) == 6


def test_a_schema_is_read_as_what_it_says() -> None:
    """Primitive types may be written in either form; unions and lists keep their order."""
    assert parse(
        {"type": "array", "items": ["null", {"type": "long", "logicalType": "timestamp-micros"}]}
    ) == Array(Union((Primitive("null"), Primitive("long", "timestamp-micros"))))
