"""Bad records of a block: as dead letters, as facts, and as faults of their applications."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from agents.detection.intake.faulty import NO_FAULTY, NO_TIME, Faulty, FaultyRecords
from schemas.errors import BadRecord
from schemas.telemetry.opening import opening_of
from streams.lane.facts import Fact, FactKind
from streams.lane.outgoing import Outgoing, dead_letter
from streams.records.blocks import Block

AHEAD: Final = "event time ahead of the clock"
BEHIND: Final = "append time behind the clock"
SKIPPED: Final = "kills the decoder"


@dataclass(frozen=True, slots=True)
class BadRecords:
    """The bad records of one block, in offset order."""

    dead_letters: list[Outgoing] = field(default_factory=list)
    facts: Counter[Fact] = field(default_factory=Counter)
    """Each with its reason."""
    refused: Faulty = NO_FAULTY
    """All but events ahead of the clock."""
    ahead: Faulty = NO_FAULTY
    """Events ahead of the clock."""


def bad_records(topic: str, block: Block, bad: list[tuple[int, BadRecord]]) -> BadRecords:
    """Dead letters for `topic`, and the faults. `bad` has the index in the block and the fault of
    each record, in any order.
    """
    if not bad:
        return BadRecords()
    letters: list[Outgoing] = []
    refused, ahead = FaultyRecords(), FaultyRecords()
    bad = sorted(bad, key=lambda pair: pair[0])
    indices = [index for index, _ in bad]
    append_times = block.append_times()[indices].tolist()
    for record, (_, error), appended in zip(
        block.records_at(indices), bad, append_times, strict=True
    ):
        letters.append(
            dead_letter(
                topic,
                record.key,
                record.value,
                block.topic,
                block.partition,
                record.offset,
                error.reason,
                error.field,
                error.schema_id,
                record.marks,
            )
        )
        # Even of a record that does not decode, the first fields can often be read.
        opening = opening_of(record.value)
        whose = name_of(record.key) if opening is None else (opening.tenant, opening.application)
        event_time = NO_TIME if opening is None else opening.event_time
        gathered = ahead if error.reason == AHEAD else refused
        gathered.add(record.offset, whose, what_is_wrong(error), appended, event_time)
    facts = Counter(Fact(FactKind.BAD_RECORD, error.reason) for _, error in bad)
    return BadRecords(letters, facts, refused.all(), ahead.all())


def name_of(key: bytes | None) -> tuple[str, str]:
    """Tenant and application by a record's key `tenant/application`, for records that cannot be
    read.

    >>> name_of(b"acme/shop"), name_of(b"acme"), name_of(None)
    (('acme', 'shop'), ('acme', ''), ('(unknown)', ''))
    """
    tenant, _, application = (key or b"").partition(b"/")
    return (
        tenant.decode(errors="replace")[:256] or "(unknown)",
        application.decode(errors="replace")[:256],
    )


def what_is_wrong(error: BadRecord) -> str:
    """The fault of a record in words, without what differs from record to record.

    >>> what_is_wrong(BadRecord("number out of range", "latency_us", 1, "negative"))
    'latency_us is negative'
    >>> what_is_wrong(BadRecord("empty text", "model"))
    'model: empty text'
    """
    if error.field is None:
        return str(error.reason)
    if error.detail is None:
        return f"{error.field}: {error.reason}"
    return f"{error.field} is {error.detail}"
