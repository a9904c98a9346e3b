"""From a block of raw records to the columns of its good events; everything else is sorted out
here, once.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from agents.detection.failures import COLUMNS as FAILURE_COLUMNS
from agents.detection.intake.faults import NO_FAULTY, NO_TIME, Faulty, FaultyRecords
from schemas.avro.framing import GUID_HEADER, with_prefix
from schemas.errors import BadRecord
from schemas.native.packed import Packed
from schemas.secrets import Secret
from schemas.telemetry.columns import Decoded, Decoder
from schemas.telemetry.events import Events
from schemas.telemetry.opening import opening_of
from streams.control.records import NUMBER, SETTINGS, TICK, Publication, header, passed, publication
from streams.lane.facts import Fact, FactKind
from streams.lane.outgoing import Outgoing, dead_letter
from streams.process.crash_note import CrashNote
from streams.records.blocks import Block
from streams.settings import Lanes
from streams.state.watermark import Stamps
from streams.topic_names import TopicNames

Int64s = npt.NDArray[np.int64]

AHEAD: Final = "event time ahead of the clock"
BEHIND: Final = "append time behind the clock"
UNSIGNED: Final = "control record without a valid signature"
SUPERSEDED: Final = "control record not newer than the settings in effect"
SKIPPED: Final = "kills the decoder"


@dataclass(frozen=True, slots=True)
class Taken:
    """What a block holds. Arrays are of its good events, in offset order, shape (n,)."""

    events: Events
    offsets: Int64s
    times: Int64s
    """Event time, µs."""
    append_times: Int64s
    """µs."""
    dead_letters: list[Outgoing]
    facts: Counter[Fact]
    """Why each of them is one."""
    refused: Faulty
    """Bad records, but for those ahead of the clock."""
    ahead: Faulty
    """Events ahead of the clock, which are bad too."""
    ticks: list[tuple[int, int, int, int | None]]
    """Number of events before it, offset, append time in µs, and the µs that passed as its worker
    says.
    """
    versions: list[tuple[int, int, str]]
    """Number of events before it, offset, settings version that takes effect there."""
    applied: Publication
    """The settings in effect after the block."""
    block: Block
    """Where it was taken from."""
    stamps: Stamps
    """What is known of the clocks after the block."""


class Intake:
    """Sorts the records of telemetry. Frozen policy, but for the offsets to skip, which the
    settings log knows.
    """

    def __init__(
        self,
        names: TopicNames,
        limits: Lanes,
        decoder: Decoder,
        control_key: Secret,
        skipped: Callable[[str, int], set[int]],
        note: CrashNote | None = None,
    ) -> None:
        self._names, self._decoder = names, decoder
        self._key, self._skipped, self._note = control_key, skipped, note
        self._max_ahead_us = int(limits.max_ahead_s * 1_000_000)

    def settings_named(self, block: Block, applied: Publication) -> set[str]:
        """Versions that take effect within the block, where `applied` is in effect before it."""
        sorted_out = _SortedOut(applied)
        for index, record in block.headed.items():
            if header(record.headers, SETTINGS) is not None:
                self._control(block, index, record, sorted_out)
        return {version for _, version in sorted_out.versions}

    def take(
        self, block: Block, columns: tuple[str, ...], stamps: Stamps, applied: Publication
    ) -> Taken:
        """Decodes; what is bad becomes a dead letter with its reason. `stamps` is what was known of
        the clocks before the block, `applied` the settings in effect there.
        """
        values = block.values
        sorted_out = _SortedOut(applied)
        if block.headed:
            values = own = list(values)
            for index, record in block.headed.items():
                self._special(block, index, record, own, sorted_out)
        for index, record in block.broken.items():
            assert record.fault is not None
            sorted_out.indices.add(index)
            sorted_out.bad.append((index, record.fault))
        skips = self._skipped(self._names.telemetry, block.partition)
        if skips:
            self._skip(block, skips, sorted_out)
        positions: Int64s | None = None
        if sorted_out.indices:
            keep = np.ones(len(values), bool)
            keep[list(sorted_out.indices)] = False
            positions = np.flatnonzero(keep)
            values = [values[position] for position in positions.tolist()]
        return self._decoded(block, values, positions, sorted_out, columns, stamps)

    def read_failed(
        self, partition: int, values: Sequence[bytes | None], start: int, end: int
    ) -> tuple[Events, Int64s]:
        """Columns of failed calls at offsets from `start` to before `end`: the events, and of each
        the index of its record.
        """
        decoded = self._decode((partition, start, end), values, FAILURE_COLUMNS)
        return decoded.events, decoded.index

    def _decode(
        self, place: tuple[int, int, int], values: Sequence[bytes | None], columns: tuple[str, ...]
    ) -> Decoded:
        if self._note is None:
            return self._decoder.decode(values, columns)
        with self._note.decoding(*place):
            return self._decoder.decode(values, columns)

    def _decoded(
        self,
        block: Block,
        values: Sequence[bytes | None],
        positions: Int64s | None,
        sorted_out: "_SortedOut",
        columns: tuple[str, ...],
        stamps: Stamps,
    ) -> Taken:
        decoded = self._decode((block.partition, block.start, block.next_offset), values, columns)
        index, events = decoded.index, decoded.events
        records = index if positions is None else positions[index]
        whole = len(records) == len(block)
        times = events.integers("event_time")
        offsets, append_times = block.offsets(), block.append_times()
        if not whole:
            offsets, append_times = offsets[records], append_times[records]
        bad = [
            (int(position if positions is None else positions[position]), error)
            for position, error in decoded.bad
        ]
        ahead, behind, stamps = stamps.judged(times, append_times, self._max_ahead_us)
        if ahead is not None and behind is not None:
            bad += [
                (int(record), BadRecord(AHEAD, "event_time")) for record in records[ahead & ~behind]
            ]
            bad += [(int(record), BadRecord(BEHIND)) for record in records[behind]]
            keep = np.flatnonzero(~ahead)
            events, times, offsets, append_times = (
                events[keep],
                times[keep],
                offsets[keep],
                append_times[keep],
            )
        sorted_out.bad += bad
        letters, refused, too_early = self._dead_letters(block, sorted_out.bad)
        return Taken(
            events=events,
            offsets=offsets,
            times=times,
            append_times=append_times,
            dead_letters=letters,
            facts=Counter(Fact(FactKind.BAD_RECORD, error.reason) for _, error in sorted_out.bad),
            refused=refused,
            ahead=too_early,
            ticks=[
                (int(np.searchsorted(offsets, at)), at, append, said)
                for at, append, said in sorted_out.ticks
            ],
            versions=[
                (int(np.searchsorted(offsets, at)), at, version)
                for at, version in sorted_out.versions
            ],
            applied=sorted_out.applied,
            block=block,
            stamps=stamps,
        )

    def _special(
        self,
        block: Block,
        index: int,
        record: Any,
        values: list[bytes | None],
        sorted_out: "_SortedOut",
    ) -> None:
        if record.value is None and header(record.headers, TICK) is not None:
            sorted_out.indices.add(index)
            sorted_out.ticks.append(
                (record.offset, record.timestamp * 1000, passed(record.headers))
            )
        elif header(record.headers, SETTINGS) is not None:
            sorted_out.indices.add(index)
            self._control(block, index, record, sorted_out)
        elif record.value is not None and header(record.headers, GUID_HEADER) is not None:
            try:
                values[index] = with_prefix(record.value, record.headers, {})
            except BadRecord as error:
                sorted_out.indices.add(index)
                sorted_out.bad.append((index, error))

    def _skip(self, block: Block, skips: set[int], sorted_out: "_SortedOut") -> None:
        offsets = block.offsets()
        for offset in skips:
            index = int(np.searchsorted(offsets, offset))
            if index < len(offsets) and offsets[index] == offset:
                sorted_out.indices.add(index)
                sorted_out.bad.append((index, BadRecord(SKIPPED)))

    def _control(self, block: Block, index: int, record: Any, sorted_out: "_SortedOut") -> None:
        """A control record takes effect only if it is newer than the one that did before: who may
        write here can append a copy of an old one.
        """
        made = publication(self._names.telemetry, block.partition, self._key, record)
        if made is None:
            sorted_out.bad.append((index, BadRecord(UNSIGNED)))
        elif made.supersedes(sorted_out.applied):
            sorted_out.applied = made
            sorted_out.versions.append((record.offset, made.version))
        else:
            sorted_out.bad.append((index, BadRecord(SUPERSEDED, NUMBER)))

    def _dead_letters(
        self, block: Block, bad: list[tuple[int, BadRecord]]
    ) -> tuple[list[Outgoing], Faulty, Faulty]:
        """Letters, those refused, and those ahead of the clock."""
        if not bad:
            return [], NO_FAULTY, NO_FAULTY
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
                    self._names.dead_letters,
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
            opening = opening_of(record.value)
            whose = (
                name_of(record.key) if opening is None else (opening.tenant, opening.application)
            )
            event_time = NO_TIME if opening is None else opening.event_time
            gathered = ahead if error.reason == AHEAD else refused
            gathered.add(record.offset, whose, what_is_wrong(error), appended, event_time)
        return letters, refused.all(), ahead.all()


def copies(block: Block, offsets: Int64s) -> list[bytes | None]:
    """The values of the records at these offsets, ascending, which are few."""
    values, places = block.values, block.places(offsets)
    return (
        list(values[places])
        if isinstance(values, Packed)
        else [values[place] for place in places.tolist()]
    )


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

    >>> what_is_wrong(BadRecord("number out of range", "latency_us", 1, "negative")), what_is_wrong(BadRecord("empty text", "model"))
    ('latency_us is negative', 'model: empty text')
    """
    if error.field is None:
        return str(error.reason)
    return (
        f"{error.field}: {error.reason}"
        if error.detail is None
        else f"{error.field} is {error.detail}"
    )


class _SortedOut:
    """Records that are no events: their indices in the block, and what each is."""

    __slots__ = ("applied", "bad", "indices", "ticks", "versions")

    def __init__(self, applied: Publication) -> None:
        self.applied = applied
        self.indices: set[int] = set()
        self.bad: list[tuple[int, BadRecord]] = []
        self.ticks: list[tuple[int, int, int | None]] = []
        self.versions: list[tuple[int, str]] = []
