"""Sorting of a block's records: what are events, what interrupts them, and what is bad.

One pass over the records with headers, before anything is decoded: each control record's signature
is verified here, once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from schemas.avro.framing import GUID_HEADER, with_prefix
from schemas.errors import BadRecord
from schemas.secrets import Secret
from streams.control.records import NUMBER, SETTINGS, TICK, Publication, header, passed, publication
from streams.records.blocks import Block
from streams.records.cutting import Record

UNSIGNED: Final = "control record without a valid signature"
SUPERSEDED: Final = "control record not newer than the settings in effect"


@dataclass(frozen=True, slots=True)
class Tick:
    """A worker's record that time passed on an idle partition."""

    offset: int
    append_time: int
    """µs."""
    passed_us: int | None
    """What passed as its worker measured it; None if the record does not say."""


@dataclass(frozen=True, slots=True)
class SettingsSwitch:
    """A settings version that takes effect at this offset."""

    offset: int
    version: str


Interruption = Tick | SettingsSwitch
"""A record between a block's events that changes the lane."""


@dataclass(slots=True)
class SortedBlock:
    """A block whose records are sorted, but not decoded."""

    block: Block
    applied: Publication
    """The settings in effect after the block."""
    values: Sequence[bytes | None]
    """The value of each record; a schema that a header names is a prefix here."""
    no_events: set[int] = field(default_factory=set)
    """Indices of the records that are not to be decoded."""
    interruptions: list[Interruption] = field(default_factory=list)
    """In offset order."""
    bad: list[tuple[int, BadRecord]] = field(default_factory=list)
    """Index of each bad record found so far, with its fault."""

    @property
    def versions(self) -> set[str]:
        """Settings versions that take effect within the block."""
        return {one.version for one in self.interruptions if isinstance(one, SettingsSwitch)}


def sorted_block(block: Block, topic: str, key: Secret, applied: Publication) -> SortedBlock:
    """Sort a block of `topic`; `applied` is in effect before it, `key` signs control records."""
    # A copy only where a value may change; plain blocks stay packed.
    values = list(block.values) if block.headed else block.values
    found = SortedBlock(block, applied, values)
    for index, record in block.headed.items():
        if record.value is None and header(record.headers, TICK) is not None:
            found.no_events.add(index)
            found.interruptions.append(
                Tick(record.offset, record.timestamp * 1000, passed(record.headers))
            )
        elif header(record.headers, SETTINGS) is not None:
            found.no_events.add(index)
            _control(found, index, record, publication(topic, block.partition, key, record))
        elif record.value is not None and header(record.headers, GUID_HEADER) is not None:
            _framed(found, index, record)
    for index, record in block.broken.items():
        assert record.fault is not None
        found.no_events.add(index)
        found.bad.append((index, record.fault))
    found.interruptions.sort(key=lambda one: one.offset)
    return found


def _control(found: SortedBlock, index: int, record: Record, made: Publication | None) -> None:
    """Apply a control record only if it is newer than the one in effect: anyone who may write
    telemetry can append a copy of an old one.
    """
    if made is None:
        found.bad.append((index, BadRecord(UNSIGNED)))
    elif made.supersedes(found.applied):
        found.applied = made
        found.interruptions.append(SettingsSwitch(record.offset, made.version))
    else:
        found.bad.append((index, BadRecord(SUPERSEDED, NUMBER)))


def _framed(found: SortedBlock, index: int, record: Record) -> None:
    """Turn a schema that a header names into the prefix that the decoder reads."""
    assert isinstance(found.values, list)
    assert record.value is not None
    try:
        found.values[index] = with_prefix(record.value, record.headers, {})
    except BadRecord as error:
        found.no_events.add(index)
        found.bad.append((index, error))
