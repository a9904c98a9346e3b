"""What a lane of detect reads in a backtest: rows of a trace, where a worker has records of Kafka.

A row's number is its offset, and its event time is when it was appended: a trace does not say.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from agents.detection.failed_calls import COLUMNS as FAILURE_COLUMNS
from agents.detection.intake.bad_records import BadRecords
from agents.detection.intake.reading import DecodedBlock
from agents.detection.intake.sorting import SortedBlock, Tick
from schemas.telemetry.events import Events, FrameEvents
from schemas.telemetry.tabular import events_of
from streams.control.records import Publication
from streams.records.blocks import STEP_RECORDS, Block
from streams.records.contents import Content
from streams.state.watermark import Stamps

Int64s = npt.NDArray[np.int64]

_PLACE: Final = ("telemetry", 0)
_FAILED: Final = {
    "event_id": pl.String,
    "trace_id": pl.String,
    "status": pl.Int64,
    "error_type": pl.String,
    "http_status": pl.Int64,
}
assert tuple(_FAILED) == FAILURE_COLUMNS


@dataclass(slots=True)
class TraceBatch:
    """Good rows of a trace that are read at once; steps of a lane are parts of it."""

    frame: pl.DataFrame
    start: int
    """Offset of the first row; the others follow without a gap."""
    times: Int64s = field(init=False)
    """Event time, µs."""
    _events: dict[tuple[str, ...], Events] = field(default_factory=dict)
    _failed: tuple[Int64s, list[tuple[object, ...]]] | None = None

    def __post_init__(self) -> None:
        self.times = self.frame["event_time"].to_numpy()

    def events(self, columns: tuple[str, ...]) -> Events:
        """All of its events with these columns; made once."""
        made = self._events.get(columns)
        if made is None:
            made = self._events[columns] = events_of(self.frame, columns)
        return made

    def failed(self, offsets: Int64s) -> list[tuple[object, ...]]:
        """`FAILURE_COLUMNS` of the failed calls at these offsets, ascending."""
        if self._failed is None:
            # All of the batch once: a query to polars costs a tenth of a millisecond.
            failed = np.flatnonzero(self.frame.get_column("status").to_numpy())
            columns = [self.frame.get_column(name) for name in FAILURE_COLUMNS]
            cells = [column.gather(failed).to_list() for column in columns]
            self._failed = failed + self.start, list(zip(*cells, strict=True))
        at, rows = self._failed
        return [rows[place] for place in np.searchsorted(at, offsets).tolist()]

    def blocks(self, first: int, last: int) -> Iterator["TraceBlock"]:
        """The rows from one place to before another, in steps."""
        for start in range(first, last, STEP_RECORDS):
            yield TraceBlock(self, start, min(start + STEP_RECORDS, last))


class TraceBlock(Block):
    """Neighbouring rows of a batch, or none and a tick before the first of them."""

    __slots__ = ("batch", "first", "last", "tick")

    def __init__(
        self, batch: TraceBatch, first: int, last: int, tick: tuple[int, int] | None = None
    ) -> None:
        """`tick` is its append time and what passed, µs."""
        start = batch.start + first
        super().__init__(_PLACE, start, start + last - first, Content([], {}, {}, []))
        self.batch, self.first, self.last = batch, first, last
        self.tick = None if tick is None else Tick(start, *tick)


class TraceIntake:
    """Gives a lane the rows of a trace (agents.detection.intake.reading: `EventIntake`). Bad rows
    were set apart before; a lane does not see them.
    """

    def sort(self, block: Block, applied: Publication) -> SortedBlock:
        """A trace has no control records."""
        assert isinstance(block, TraceBlock)
        ticks = [] if block.tick is None else [block.tick]
        return SortedBlock(block, applied, [], interruptions=[*ticks])

    def decode(
        self, sorted_out: SortedBlock, columns: tuple[str, ...], stamps: Stamps
    ) -> DecodedBlock:
        """The rows of the block."""
        block = sorted_out.block
        assert isinstance(block, TraceBlock)
        at = slice(block.first, block.last)
        times = block.batch.times[at]
        return DecodedBlock(
            events=block.batch.events(columns)[at],
            offsets=np.arange(block.start, block.next_offset, dtype=np.int64),
            times=times,
            append_times=times,
            bad=BadRecords(),
            interruptions=sorted_out.interruptions,
            block=block,
            stamps=stamps,
        )

    def copies(self, block: Block, offsets: Int64s) -> list[bytes | None]:
        """What `read_failed` reads of these rows, as JSON."""
        assert isinstance(block, TraceBlock)
        return [orjson.dumps(row) for row in block.batch.failed(offsets)]

    def read_failed(
        self, partition: int, values: Sequence[bytes | None], start: int, end: int
    ) -> tuple[Events, Int64s]:
        """The failed calls among `copies`: all of them."""
        rows = [orjson.loads(value) for value in values if value is not None]
        frame = pl.DataFrame(rows, schema=_FAILED, orient="row")
        return FrameEvents(frame), np.arange(frame.height, dtype=np.int64)
