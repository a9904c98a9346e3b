"""Event time of one lane: its clock, and which buckets are closed."""

from collections.abc import Iterable
from typing import Final

import numpy as np

from agents.detection.intake.reading import DecodedBlock
from agents.detection.segment import Columns, closes
from agents.detection.stretch import Stretch
from streams.settings import Lanes
from streams.state.watermark import Clock

NO_BUCKET: Final = -(1 << 62)

SILENT_BUCKETS: Final = 60
"""Buckets that are still closed after the last one with an event, so that silence is noticed; after
them an idle lane needs no more ticks.
"""


class LaneTime:
    """A lane's time, moved by its records only, in offset order."""

    def __init__(self, limits: Lanes) -> None:
        self.bucket_us: Final = limits.bucket_s * 1_000_000
        self.lateness_us: Final = int(limits.lateness_s * 1_000_000)
        self.clock = Clock()
        self.closed_to = NO_BUCKET
        """The first bucket that is open."""
        self.last_event_bucket = NO_BUCKET

    @property
    def has_begun(self) -> bool:
        """Whether there is a first open bucket: the first event makes it."""
        return self.closed_to != NO_BUCKET

    @property
    def has_events(self) -> bool:
        """Whether any event was counted."""
        return self.last_event_bucket != NO_BUCKET

    @property
    def may_notice_silence(self) -> bool:
        """Whether buckets are still closed even though no events come."""
        return self.closed_to <= self.last_event_bucket + SILENT_BUCKETS

    def advanced(
        self,
        decoded: DecodedBlock,
        columns: Columns,
        events: tuple[int, int],
        offsets: tuple[int, int],
    ) -> Stretch:
        """Move the clock by the events from one index to before another."""
        at, before = slice(*events), self.clock
        times = decoded.times[at]
        moved, self.clock = before.advanced(times, decoded.append_times[at])
        open_from = (moved - self.lateness_us) // self.bucket_us
        if not self.has_begun and len(open_from):
            # Nothing before the first event is closed: a lane begins where its records do.
            self.closed_to = int(open_from[0])
        buckets = times // self.bucket_us
        on_time = buckets >= np.maximum(open_from, self.closed_to)
        return Stretch(
            decoded=decoded,
            columns=columns,
            first=at.start,
            start=offsets[0],
            end=offsets[1],
            before=before,
            offsets=decoded.offsets[at],
            buckets=buckets,
            on_time=None if on_time.all() else on_time,
            closes=closes(open_from, self.closed_to),
        )

    def ticked(self, append_time: int, passed_us: int | None) -> int | None:
        """Move the clock by a tick; returns the first bucket that stays open if one closes."""
        self.clock = self.clock.ticked(append_time, passed_us)
        bucket = (self.clock.time - self.lateness_us) // self.bucket_us
        return bucket if self.has_begun and bucket > self.closed_to else None

    def due(self, bucket: int, still_open: Iterable[int]) -> list[int]:
        """The buckets before `bucket` that are to be closed, ascending: those that hold events
        (`still_open`), and empty ones until silence was noticed.
        """
        horizon = self.last_event_bucket + SILENT_BUCKETS
        # A jump of years in event time closes no more than the silent ones.
        within = range(self.closed_to, min(bucket, horizon + 1))
        return sorted({*within, *(one for one in still_open if one < bucket)})
