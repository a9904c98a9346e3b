"""One lane of `detect`: a pure function of its records in offset order."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Final

import numpy as np
import numpy.typing as npt

from agents.detection.anomaly_log import AnomalyLog
from agents.detection.closing import Closing
from agents.detection.counting import count_series, count_users
from agents.detection.intake.reading import EventIntake
from agents.detection.intake.sorting import Interruption, SettingsSwitch, SortedBlock, Tick
from agents.detection.intake.watch import IntakeWatch
from agents.detection.lane_row import VERSION, LaneRow
from agents.detection.lane_time import LaneTime
from agents.detection.policy import PolicySet
from agents.detection.segment import Columns, Segment
from agents.detection.service_levels import last_events
from agents.detection.signals import retire
from agents.detection.state import LaneState, pages_of
from agents.detection.stretch import Stretch
from streams.control.records import Publication
from streams.lane.outgoing import Step
from streams.records.blocks import Block
from streams.samples import Sample
from streams.settings import Lanes
from streams.state.position import Refused, reset_command
from streams.state.rows import SingleRow
from streams.state.watermark import Stamps
from streams.topic_names import TopicNames

Int64s = npt.NDArray[np.int64]

_META: Final = b"meta"


class DetectLane:
    """Windows, detectors and their state for one partition of telemetry (streams.lane.program:
    `LaneProgram`).
    """

    def __init__(
        self,
        partition: int,
        limits: Lanes,
        names: TopicNames,
        intake: EventIntake,
        policy_sets: Callable[[str], PolicySet],
        seed: int,
    ) -> None:
        self.partition = partition
        self._intake, self._policy_sets = intake, policy_sets
        self._time = LaneTime(limits)
        self._stamps = Stamps()
        self._applied = Publication()
        self._sorted: SortedBlock | None = None
        """The block of the last `settings_named`, for the step that follows."""
        self._state = LaneState(limits, seed, partial(intake.read_failed, partition))
        self._watch = IntakeWatch(partition, limits, seed)
        self._log = AnomalyLog(partition, names.anomalies, limits, self._state.name)
        self._closing = Closing(
            partition, names.aggregates, limits, self._state, self._watch, self._log
        )
        self._own_row: Final = SingleRow(_META, lambda: self._row().to_bytes())
        self._adopt(policy_sets("0"))

    @property
    def wants_ticks(self) -> bool:
        """While a bucket is open, silence could still be noticed, or an incident needs the
        watermark to end.
        """
        if not self._time.has_events:
            return False
        if self._state.series.windows.open_buckets or not self._log.listeners.is_settled:
            return True
        return self._time.may_notice_silence

    @property
    def last_append(self) -> int | None:
        """Append time of the last event or tick, µs."""
        return self._time.clock.append or None

    @property
    def settings_version(self) -> str:
        """The version in effect."""
        return self._policies.version

    def settings_named(self, block: Block) -> set[str]:
        """Versions that take effect within the block, without those that are superseded within
        it: they need not be known.
        """
        self._sorted = self._sorting(block)
        return self._sorted.versions

    def step(self, block: Block) -> Step:
        """Process the block's records: windows, verdicts, dead letters, closed buckets."""
        sorted_out, self._sorted = self._sorting(block), None
        decoded = self._intake.decode(sorted_out, self._columns_for(sorted_out), self._stamps)
        self._stamps, self._applied = decoded.stamps, sorted_out.applied
        step = Step(
            now=decoded.bad.dead_letters, bad=len(decoded.bad.dead_letters), facts=decoded.bad.facts
        )
        columns = Columns(decoded.events)
        first, start = 0, block.start
        # A tick or a settings switch takes effect between the events before and after it, wherever
        # the block was cut.
        for interruption in decoded.interruptions:
            index = int(np.searchsorted(decoded.offsets, interruption.offset))
            within = (start, interruption.offset)
            self._records(self._time.advanced(decoded, columns, (first, index), within), step)
            self._interrupt(interruption, step)
            first, start = index, interruption.offset
        self._records(
            self._time.advanced(
                decoded, columns, (first, len(decoded.offsets)), (start, block.next_offset)
            ),
            step,
        )
        return step

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Changed pages of every table, and the lane's own row."""
        return chain(self._own_row.changes(), self._state.changes())

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Restore the rows of `changes`. Raises NewerState, and Refused when buckets had another
        width or lateness.
        """
        version = self._restore_own(rows[_META]) if _META in rows else VERSION
        # After the own row, which says the settings: they decide which tables there are.
        self._state.restore(pages_of({key: value for key, value in rows.items() if key != _META}))
        if version == 1:
            subjects = self._state.series.subjects
            names = [subjects.name(row) for row in subjects.sorted_rows().tolist()]
            self._watch.examine(names, self._time.closed_to)

    def samples(self, most: int) -> Iterator[Sample]:
        """Levels of service in the last closed bucket, and when each application was last seen
        (streams.samples: `Observed`).
        """
        series, applications = self._state.series, self._state.applications
        seen = last_events(series, applications, self._time.bucket_us, most)
        return chain(self._closing.levels.samples(), seen)

    def _sorting(self, block: Block) -> SortedBlock:
        """The block, sorted once for `settings_named` and `step`."""
        known = self._sorted
        if known is not None and known.block is block:
            return known
        return self._intake.sort(block, self._applied)

    def _columns_for(self, sorted_out: SortedBlock) -> tuple[str, ...]:
        """Columns that the settings in effect need, and those that take effect within the block."""
        policies = [self._policies, *map(self._policy_sets, sorted(sorted_out.versions))]
        return tuple(dict.fromkeys(column for policy in policies for column in policy.columns))

    def _records(self, stretch: Stretch, step: Step) -> None:
        """Process the records between two interruptions, cut again where buckets close: a close
        comes before the verdicts on the event that causes it.
        """
        start, offset = 0, stretch.start
        for index, bucket in stretch.closes:
            closing = int(stretch.offsets[index])
            self._part(stretch, (start, index), (offset, closing), step)
            self._close_to(bucket, closing, step)
            start, offset = index, closing
        self._part(stretch, (start, len(stretch.offsets)), (offset, stretch.end), step)

    def _part(
        self, stretch: Stretch, events: tuple[int, int], offsets: tuple[int, int], step: Step
    ) -> None:
        """Process the records between two closes, cut once more at reports of the intake: positions
        in `anomalies` rise with the offsets.
        """
        start, end = events
        at = slice(stretch.first + start, stretch.first + end)
        for report in self._watch.judged(
            stretch.decoded, at, offsets, stretch.on_time_in(start, end)
        ):
            index = int(np.searchsorted(stretch.offsets, report.offset))
            self._segment(stretch, start, index, step)
            self._log.report(report, stretch.time_of(report), step)
            start = index
        self._segment(stretch, start, end, step)

    def _segment(self, stretch: Stretch, start: int, end: int, step: Step) -> None:
        on_time, base = stretch.on_time_in(start, end), stretch.first
        kept = np.arange(start, end) if on_time is None else start + np.flatnonzero(on_time)
        step.late += end - start - len(kept)
        if not len(kept):
            return
        decoded, columns, buckets = stretch.decoded, stretch.columns, stretch.buckets
        at: slice | Int64s = slice(base + start, base + end) if on_time is None else kept + base
        events = columns.events[at]
        series = self._state.series.rows_of(events)
        if self._state.series.fresh:
            fresh = self._state.series.fresh
            self._watch.met(
                [self._state.series.subjects.name(row) for row in fresh],
                fresh,
                series,
                decoded,
                at,
                buckets[kept],
            )
        segment = Segment(
            columns=columns,
            at=at,
            names=self._state.series.subjects,
            offsets=decoded.offsets[at],
            times=decoded.times[at],
            buckets=buckets[kept],
            series=series,
            bucket_us=self._time.bucket_us,
        )
        self._at_once(segment, step)
        count_series(self._state.series, segment)
        self._state.failures.count(segment, partial(self._intake.copies, decoded.block))
        if self._policies.profiles_users:
            count_users(self._state.users, segment, events)
        newest = int(segment.buckets.max())
        self._time.last_event_bucket = max(self._time.last_event_bucket, newest)
        step.events += len(kept)

    def _at_once(self, segment: Segment, step: Step) -> None:
        found = [
            (finding, detector)
            for detector in self._policies.at_once
            for finding in detector.at_once(self._state.tables[detector.name], segment)
        ]
        # In the order of the events, whichever detector found something in them.
        found.sort(key=lambda pair: pair[0].position or 0)
        sample = partial(segment.text, "event_id")
        for finding, detector in found:
            offset = int(segment.offsets[finding.position or 0])
            self._log.finding(finding, (detector.name, detector.version), offset, step, sample)

    def _interrupt(self, interruption: Interruption, step: Step) -> None:
        match interruption:
            case Tick(offset, append_time, passed_us):
                bucket = self._time.ticked(append_time, passed_us)
                if bucket is not None:
                    self._close_to(bucket, offset, step)
            case SettingsSwitch(offset, version):
                self._switch(self._policy_sets(version), offset, step)

    def _switch(self, policies: PolicySet, offset: int, step: Step) -> None:
        """Put another version into effect. Signals that it does not judge end, with a record."""
        for change, detector in retire(self._state, self._policies, policies):
            self._log.change(change, detector, self._time.clock.time, offset, step)
        self._adopt(policies)

    def _adopt(self, policies: PolicySet) -> None:
        """Put a settings version into effect."""
        self._policies = policies
        self._state.adopt(policies)
        self._log.settings_version = policies.version

    def _close_to(self, bucket: int, offset: int, step: Step) -> None:
        """Close all buckets before `bucket`, at the record of that offset."""
        for closing in self._time.due(bucket, self._closing.still_open):
            self._closing.close(closing, offset, self._policies, step)
        self._time.closed_to = bucket
        self._closing.passed(bucket, offset, self._policies, step)

    def _row(self) -> LaneRow:
        return LaneRow(
            bucket_us=self._time.bucket_us,
            lateness_us=self._time.lateness_us,
            clock=self._time.clock,
            closed_to=self._time.closed_to,
            last_event_bucket=self._time.last_event_bucket,
            stamps=self._stamps,
            applied=self._applied,
            listeners=self._log.listeners.to_bytes(),
            watch=self._watch.to_bytes(),
        )

    def _restore_own(self, value: bytes) -> int:
        """Restore the lane's own row; returns its version."""
        row = LaneRow.from_bytes(value)
        if (row.bucket_us, row.lateness_us) != (self._time.bucket_us, self._time.lateness_us):
            # Bucket numbers would mean other times: every event would be late, or none for years.
            raise Refused(
                f"lane detect/{self.partition}: its state was made with lanes.bucket_s"
                f" {row.bucket_us / 1e6:g} and lanes.lateness_s {row.lateness_us / 1e6:g}; set them"
                f" back, or let it learn again: {reset_command('detect', self.partition)}"
            )
        self._time.clock, self._stamps, self._applied = row.clock, row.stamps, row.applied
        self._time.closed_to, self._time.last_event_bucket = row.closed_to, row.last_event_bucket
        self._adopt(self._policy_sets(row.applied.version))
        if row.listeners:
            self._log.listeners.restore(row.listeners)
        # A row of an earlier release has no listeners: it sent watermarks to every partition.
        elif self._time.has_begun:
            self._log.listeners.begin(self._time.closed_to * self._time.bucket_us)
        restore = self._watch.restore_shares if row.version == 1 else self._watch.restore
        restore(row.watch)
        return row.version
