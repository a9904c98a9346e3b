"""What leaves a lane."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from streams.lane.effects import Effect
from streams.lane.facts import Fact

Headers = tuple[tuple[str, bytes], ...]

REASON: Final = "sentinel-reason"
"""Header of a dead letter: why."""
SIZE: Final = "sentinel-size"
"""Header of a dead letter whose value was cut: its size before, bytes."""
KEY_SIZE: Final = "sentinel-key-size"
"""The same of its key."""

_MAX_VALUE: Final = 3_500_000
_MAX_KEY: Final = 65_536
"""Maximum sizes of a dead letter's value and key, bytes: together less than the sender's limit. A
record that was fetched compressed may be larger.
"""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be produced. `partition` None means by murmur2 of the key."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None


@dataclass(slots=True)
class Step:
    """The result of processing a block."""

    now: list[Outgoing] = field(default_factory=list)
    """Produced and acknowledged before the lane continues: verdicts, dead letters, watermarks."""
    with_state: list[tuple[str, bytes, list[bytes]]] = field(default_factory=list)
    """Topic, key and values that the next flush's transaction carries, to the partition of the
    lane's own number.
    """
    flush: bool = False
    """The state must be durable before anything else happens."""
    effects: list[Effect] = field(default_factory=list)
    """Run by the outbox once all of this is durable; kept in state until the outcome is known."""
    late: int = 0
    bad: int = 0
    events: int = 0
    facts: Counter[Fact] = field(default_factory=Counter)
    """Everything else that metrics count; the lane set counts it, so a step imports no metric."""


def dead_letter(
    topic: str,
    record_key: bytes | None,
    value: bytes | None,
    origin: str,
    partition: int,
    offset: int,
    reason: str,
    field_name: str | None = None,
    schema_id: int | None = None,
    marks: Headers = (),
) -> Outgoing:
    """The raw bytes as they were read, with reason and origin in headers. A null value stays null.

    What is too large to be sent is cut; then a header has its size. `marks` are headers that it has
    beside these.
    """
    headers: list[tuple[str, bytes]] = [
        (REASON, reason.encode()[:512]),
        ("sentinel-topic", origin.encode()),
        ("sentinel-partition", b"%d" % partition),
        ("sentinel-offset", b"%d" % offset),
        *marks,
    ]
    if field_name is not None:
        headers.append(("sentinel-field", field_name.encode()))
    if schema_id is not None:
        headers.append(("sentinel-schema-id", b"%d" % schema_id))
    if value is not None and len(value) > _MAX_VALUE:
        headers.append((SIZE, b"%d" % len(value)))
        value = value[:_MAX_VALUE]
    if record_key is not None and len(record_key) > _MAX_KEY:
        headers.append((KEY_SIZE, b"%d" % len(record_key)))
        record_key = record_key[:_MAX_KEY]
    return Outgoing(
        topic,
        record_key if value is not None or record_key is not None else b"",
        value,
        tuple(headers),
    )
