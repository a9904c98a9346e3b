"""Messages to receivers: a form that every later program reads."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.messages.message import (
    VERSION,
    IncidentMessage,
    IncidentPart,
    SummaryMessage,
    encode,
    parse,
)
from schemas.messages.parts import BadMessage

GOLDEN = Path(__file__).parents[1] / "alerting" / "golden"
BODIES = {
    f"{file.stem.removeprefix('messages-')} {number}": line
    for file in sorted(GOLDEN.glob("messages-*.jsonl"))
    for number, line in enumerate(file.read_text().splitlines())
}
NEEDED = ("id", "tenant", "application", "state", "severity", "title")


def opened() -> dict[str, Any]:
    """A message of release 0.1.0, as JSON."""
    loaded: dict[str, Any] = orjson.loads(BODIES["0.1.0 0"])
    return loaded


@pytest.mark.parametrize("name", BODIES)
def test_bodies_of_every_release_are_read(name: str) -> None:
    """A message may wait in a lane's state while the program is exchanged: nothing that it says is
    lost.
    """
    before = orjson.loads(BODIES[name])
    message = parse(BODIES[name])
    after = orjson.loads(encode(message))
    assert after.pop("version") == VERSION
    before.pop("version", None)
    assert isinstance(
        message, SummaryMessage if before["type"] == "incidents.summary" else IncidentMessage
    )
    assert {**after["data"], **before["data"]} == after["data"] | before["data"]
    for name_of, value in before["data"].items():
        if name_of == "incident":
            assert {field: after["data"]["incident"][field] for field in value} == value
        else:
            assert after["data"][name_of] == value


@pytest.mark.parametrize("field", NEEDED)
def test_a_field_that_no_message_can_do_without_is_named(field: str) -> None:
    """With the reason."""
    body = opened()
    del body["data"]["incident"][field]
    with pytest.raises(BadMessage, match=rf"^no value in field data\.incident\.{field}$"):
        parse(orjson.dumps(body))
    body["data"]["incident"][field] = 7
    with pytest.raises(BadMessage, match=rf"^not text in field data\.incident\.{field}$"):
        parse(orjson.dumps(body))


def test_other_fields_may_be_absent_and_unknown_ones_are_passed_over() -> None:
    """A message of a program before or after ours says less or more, and is a message."""
    body = opened()
    kept = {name: body["data"]["incident"][name] for name in NEEDED}
    body["data"]["incident"] = kept | {"verdict_of_tomorrow": [1]}
    message = parse(orjson.dumps(body | {"version": 99, "more": {}}))
    assert isinstance(message, IncidentMessage)
    assert message.incident == IncidentPart(**kept)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"no", "not JSON"),
        (b"[]", "not an object"),
        (b"{}", "no value in field type"),
        (b'{"type":"t","timestamp":"n"}', "no value in field data"),
        (b'{"type":"t","timestamp":"n","data":{}}', "no value in field data.tenant"),
        (
            b'{"type":"t","timestamp":"n","data":{"incidents":[1],"tenant":"a"}}',
            r"not an object in field data.incidents\[0\]",
        ),
    ],
)
def test_what_is_no_message_is_refused_by_its_field(body: bytes, fault: str) -> None:
    """Never by a KeyError."""
    with pytest.raises(BadMessage, match=fault):
        parse(body)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.sampled_from(sorted(opened()["data"]["incident"])), JSON)
def test_any_value_in_any_field_is_a_message_or_refused(field: str, value: Any) -> None:
    """There is no third."""
    body = opened()
    body["data"]["incident"][field] = value
    try:
        message = parse(orjson.dumps(body))
    except BadMessage as fault:
        refused = fault.field or ""
    else:
        refused = "data.incident."
        assert parse(encode(message)) == message
    assert refused.startswith("data.incident.")
