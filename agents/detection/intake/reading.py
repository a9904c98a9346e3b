"""Intake: from a block of raw records to the columns of its good events."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from agents.detection.failed_calls import COLUMNS as FAILURE_COLUMNS
from agents.detection.intake.bad_records import (
    AHEAD,
    BEHIND,
    SKIPPED,
    BadRecords,
    bad_records,
)
from agents.detection.intake.sorting import Interruption, SortedBlock, sorted_block
from schemas.errors import BadRecord
from schemas.native.packed import Packed
from schemas.secrets import Secret
from schemas.telemetry.columns import Decoded, Decoder
from schemas.telemetry.events import Events
from streams.control.records import Publication
from streams.process.crash_note import CrashNote
from streams.records.blocks import Block
from streams.settings import Lanes
from streams.state.watermark import Stamps
from streams.topic_names import TopicNames

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class DecodedBlock:
    """A block after intake. Arrays are of its good events, in offset order, shape (n,)."""

    events: Events
    offsets: Int64s
    times: Int64s
    """Event time, µs."""
    append_times: Int64s
    """µs."""
    bad: BadRecords
    interruptions: Sequence[Interruption]
    """Ticks and settings switches between the events, in offset order."""
    block: Block
    """The raw records."""
    stamps: Stamps
    """What is known of the brokers' clocks after the block."""


class EventIntake(Protocol):
    """Where a lane has its events from: blocks of the topic (`Intake`), or rows of a file of
    history (`topology.backtesting`).
    """

    def sort(self, block: Block, applied: Publication) -> SortedBlock:
        """Sort the block's records; `applied` is in effect before it."""
        ...

    def decode(
        self, sorted_out: SortedBlock, columns: tuple[str, ...], stamps: Stamps
    ) -> DecodedBlock:
        """The good events of a sorted block with these columns, and the bad records. `stamps` is
        what was known of the brokers' clocks before the block.
        """
        ...

    def copies(self, block: Block, offsets: Int64s) -> list[bytes | None]:
        """The records at these offsets, ascending, which are few, for `read_failed`."""
        ...

    def read_failed(
        self, partition: int, values: Sequence[bytes | None], start: int, end: int
    ) -> tuple[Events, Int64s]:
        """Columns of failed calls at offsets from `start` to before `end`, of `copies`: the events,
        and of each the index of its record.
        """
        ...


class Intake:
    """Reads telemetry in two steps: `sort` finds which settings a block needs, `decode` reads the
    columns that these need.

    Frozen policy, except for the offsets to skip, which the settings log knows.
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

    def sort(self, block: Block, applied: Publication) -> SortedBlock:
        """Sort the block's records; `applied` is in effect before it."""
        return sorted_block(block, self._names.telemetry, self._key, applied)

    def decode(
        self, sorted_out: SortedBlock, columns: tuple[str, ...], stamps: Stamps
    ) -> DecodedBlock:
        """Decode the events; bad ones become dead letters with their reason. `stamps` is what was
        known of the brokers' clocks before the block.
        """
        block, bad = sorted_out.block, list(sorted_out.bad)
        left_out = sorted_out.no_events | self._skips(block, bad)
        values, positions = sorted_out.values, np.arange(len(block))
        if left_out:
            positions = np.delete(positions, sorted(left_out))
            values = [values[position] for position in positions.tolist()]
        span = (block.partition, block.start, block.next_offset)
        decoded = self._decoded(span, values, columns)
        bad += [(int(positions[position]), error) for position, error in decoded.bad]
        events, records = decoded.events, positions[decoded.index]
        offsets, append_times = block.offsets(), block.append_times()
        if len(records) != len(block):
            offsets, append_times = offsets[records], append_times[records]
        times = events.integers("event_time")
        ahead, behind, stamps = stamps.judged(times, append_times, self._max_ahead_us)
        if ahead is not None and behind is not None:
            # Where the broker's clock is behind, the producer's is not at fault.
            early, unjudged = records[ahead & ~behind], records[behind]
            bad += [(int(record), BadRecord(AHEAD, "event_time")) for record in early]
            bad += [(int(record), BadRecord(BEHIND)) for record in unjudged]
            keep = np.flatnonzero(~ahead)
            events, times = events[keep], times[keep]
            offsets, append_times = offsets[keep], append_times[keep]
        return DecodedBlock(
            events=events,
            offsets=offsets,
            times=times,
            append_times=append_times,
            bad=bad_records(self._names.dead_letters, block, bad),
            interruptions=sorted_out.interruptions,
            block=block,
            stamps=stamps,
        )

    def copies(self, block: Block, offsets: Int64s) -> list[bytes | None]:
        """The values of the records at these offsets, ascending, which are few."""
        values, places = block.values, block.places(offsets)
        return (
            list(values[places])
            if isinstance(values, Packed)
            else [values[place] for place in places.tolist()]
        )

    def read_failed(
        self, partition: int, values: Sequence[bytes | None], start: int, end: int
    ) -> tuple[Events, Int64s]:
        """Columns of failed calls at offsets from `start` to before `end`: the events, and of each
        the index of its record.
        """
        decoded = self._decoded((partition, start, end), values, FAILURE_COLUMNS)
        return decoded.events, decoded.index

    def _decoded(
        self, span: tuple[int, int, int], values: Sequence[bytes | None], columns: tuple[str, ...]
    ) -> Decoded:
        if self._note is None:
            return self._decoder.decode(values, columns)
        # If the decoder kills the process, the next one finds in the note where it was.
        with self._note.decoding(*span):
            return self._decoder.decode(values, columns)

    def _skips(self, block: Block, bad: list[tuple[int, BadRecord]]) -> set[int]:
        """Indices of the records that operators want skipped, which are added to `bad`."""
        found: set[int] = set()
        offsets = block.offsets()
        for offset in self._skipped(self._names.telemetry, block.partition):
            index = int(np.searchsorted(offsets, offset))
            if index < len(offsets) and offsets[index] == offset:
                found.add(index)
                bad.append((index, BadRecord(SKIPPED)))
        return found
