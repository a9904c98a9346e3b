"""One lane of `detect`: a pure function of its records in offset order."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Final

import numpy as np
import numpy.typing as npt

from agents.detection.aggregates import aggregate_records
from agents.detection.anomaly_log import AnomalyLog
from agents.detection.counting import count_series, count_users
from agents.detection.failures import Failed
from agents.detection.intake.reading import DecodedBlock, Intake, copies
from agents.detection.intake.reports import Report
from agents.detection.intake.sorting import Interruption, SettingsSwitch, SortedBlock, Tick
from agents.detection.intake.watch import IntakeWatch
from agents.detection.lane_row import VERSION, LaneRow
from agents.detection.policy import PolicySet
from agents.detection.population import Population
from agents.detection.segment import Columns, Segment, closes
from agents.detection.service_levels import ServiceLevels, last_events
from agents.detection.signals import give_up, open_tenants, retire, watched_users
from agents.detection.state import LaneState, pages_of
from agents.detection.stretch import Stretch
from agents.detection.verdicts import anomaly, failed_calls, signal_change
from agents.detectors.contract import Change, Finding, Kind, Verdicts
from streams.control.records import Publication
from streams.lane.outgoing import Step
from streams.records.blocks import Block
from streams.samples import Sample
from streams.settings import Lanes
from streams.state.position import Refused, reset_command
from streams.state.watermark import Clock, Stamps
from streams.topic_names import TopicNames

Int64s = npt.NDArray[np.int64]

_META: Final = b"meta"

_NO_BUCKET: Final = -(1 << 62)

SILENT_BUCKETS: Final = 60
"""Buckets that are still closed after the last one that held an event, so that silence is noticed;
then an idle lane stands still.
"""

_EXPIRY_EVERY: Final = 60
"""Buckets between two looks for subjects that expired."""


class DetectLane:
    """Windows, detectors and their state for one partition of telemetry (streams.lane.program:
    `LaneProgram`).
    """

    def __init__(
        self,
        partition: int,
        limits: Lanes,
        names: TopicNames,
        intake: Intake,
        policy_sets: Callable[[str], PolicySet],
        seed: int,
    ) -> None:
        self.partition = partition
        self._limits, self._names, self._intake, self._policy_sets = (
            limits,
            names,
            intake,
            policy_sets,
        )
        self._bucket_us = limits.bucket_s * 1_000_000
        self._lateness_us = int(limits.lateness_s * 1_000_000)
        self._state = LaneState(limits, seed, partial(intake.read_failed, partition))
        self._clock = Clock()
        self._stamps = Stamps()
        self._applied = Publication()
        self._sorted: SortedBlock | None = None
        """The block that `settings_named` was asked about, for the step that follows."""
        self._closed_to = _NO_BUCKET
        self._last_event_bucket = _NO_BUCKET
        self._watch = IntakeWatch(partition, limits, seed)
        self._log = AnomalyLog(partition, names.anomalies, limits)
        self._levels = ServiceLevels(limits.measured_series)
        self._meta_changed = False
        self._adopt(policy_sets("0"))

    @property
    def wants_ticks(self) -> bool:
        """While a bucket is open, silence could still be noticed, or an incident waits for the
        watermark to be over.
        """
        if self._last_event_bucket == _NO_BUCKET:
            return False
        if self._state.series.windows.open_buckets or not self._log.listeners.is_settled:
            return True
        return self._closed_to <= self._last_event_bucket + SILENT_BUCKETS

    @property
    def last_append(self) -> int | None:
        """Append time of the last event or tick, µs."""
        return self._clock.append or None

    @property
    def settings_version(self) -> str:
        """The version in effect."""
        return self._policies.version

    def settings_named(self, block: Block) -> set[str]:
        """Versions that take effect within the block; none that is superseded already, which nobody
        need have any more.
        """
        self._sorted = self._sorting(block)
        return self._sorted.versions

    def step(self, block: Block) -> Step:
        """Takes the block's records: windows, verdicts, dead letters, closed buckets."""
        sorted_out, self._sorted = self._sorting(block), None
        taken = self._intake.decode(sorted_out, self._columns_for(sorted_out), self._stamps)
        self._stamps, self._applied = taken.stamps, sorted_out.applied
        step = Step(
            now=taken.bad.dead_letters, bad=len(taken.bad.dead_letters), facts=taken.bad.facts
        )
        columns = Columns(taken.events)
        first, start = 0, block.start
        for interruption in taken.interruptions:
            index = int(np.searchsorted(taken.offsets, interruption.offset))
            within = (start, interruption.offset)
            self._records(self._stretch(taken, columns, (first, index), within), step)
            self._interrupt(interruption, step)
            first, start = index, interruption.offset
        self._records(
            self._stretch(taken, columns, (first, len(taken.offsets)), (start, block.next_offset)),
            step,
        )
        self._meta_changed = True
        return step

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Changed pages of every table, and the lane's own row."""
        own: list[tuple[bytes, bytes | None]] = (
            [(_META, self._own_row().to_bytes())] if self._meta_changed else []
        )
        self._meta_changed = False
        return chain(own, self._state.changes())

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Takes what `changes` gave. Raises NewerState, and Refused when buckets had another width
        or lateness.
        """
        version = self._restore_own(rows[_META]) if _META in rows else VERSION
        self._state.restore(pages_of({key: value for key, value in rows.items() if key != _META}))
        if version == 1:
            subjects = self._state.series.subjects
            names = [subjects.name(row) for row in subjects.sorted_rows().tolist()]
            self._watch.examine(names, self._closed_to)

    def samples(self, most: int) -> Iterator[Sample]:
        """Levels of service in the last closed bucket, and when each application was last seen
        (streams.samples: `Observed`).
        """
        seen = last_events(self._state.series, self._state.applications, self._bucket_us, most)
        return chain(self._levels.samples(), seen)

    def _sorting(self, block: Block) -> SortedBlock:
        """The block's records told apart, once for `settings_named` and `step`."""
        known = self._sorted
        if known is not None and known.block is block:
            return known
        return self._intake.sort(block, self._applied)

    def _columns_for(self, sorted_out: SortedBlock) -> tuple[str, ...]:
        """What the settings in effect need, and those that come into effect within the block."""
        policies = [self._policies, *map(self._policy_sets, sorted(sorted_out.versions))]
        return tuple(dict.fromkeys(column for policy in policies for column in policy.columns))

    def _records(self, stretch: Stretch, step: Step) -> None:
        """Records between two interruptions, cut again where buckets close: there a close comes
        before what is said of the event that makes it.
        """
        start, offset = 0, stretch.start
        for index, bucket in stretch.closes:
            closing = int(stretch.offsets[index])
            self._part(stretch, (start, index), (offset, closing), step)
            self._close_to(bucket, closing, step)
            start, offset = index, closing
        self._part(stretch, (start, len(stretch.offsets)), (offset, stretch.end), step)

    def _stretch(
        self,
        taken: DecodedBlock,
        columns: Columns,
        events: tuple[int, int],
        offsets: tuple[int, int],
    ) -> Stretch:
        """Moves the clock by the events from one index to before another."""
        at, before = slice(*events), self._clock
        times = taken.times[at]
        moved, self._clock = before.advanced(times, taken.append_times[at])
        open_from = (moved - self._lateness_us) // self._bucket_us
        if self._closed_to == _NO_BUCKET and len(open_from):
            self._closed_to = int(open_from[0])
        buckets = times // self._bucket_us
        on_time = buckets >= np.maximum(open_from, self._closed_to)
        return Stretch(
            taken=taken,
            columns=columns,
            first=at.start,
            start=offsets[0],
            end=offsets[1],
            before=before,
            offsets=taken.offsets[at],
            buckets=buckets,
            on_time=None if on_time.all() else on_time,
            closes=closes(open_from, self._closed_to),
        )

    def _part(
        self, stretch: Stretch, events: tuple[int, int], offsets: tuple[int, int], step: Step
    ) -> None:
        """Between two closes, cut once more where something is said of what comes in."""
        start, end = events
        at = slice(stretch.first + start, stretch.first + end)
        for report in self._watch.judged(
            stretch.taken, at, offsets, stretch.on_time_in(start, end)
        ):
            index = int(np.searchsorted(stretch.offsets, report.offset))
            self._segment(stretch, start, index, step)
            self._report(report, stretch.time_of(report), step)
            start = index
        self._segment(stretch, start, end, step)

    def _segment(self, stretch: Stretch, start: int, end: int, step: Step) -> None:
        on_time, base = stretch.on_time_in(start, end), stretch.first
        places = np.arange(start, end) if on_time is None else start + np.flatnonzero(on_time)
        step.late += end - start - len(places)
        if not len(places):
            return
        taken, columns, buckets = stretch.taken, stretch.columns, stretch.buckets
        at: slice | Int64s = slice(base + start, base + end) if on_time is None else places + base
        events = columns.events[at]
        series = self._state.series.rows_of(events)
        if self._state.series.fresh:
            fresh = self._state.series.fresh
            self._watch.met(
                [self._state.series.subjects.name(row) for row in fresh],
                fresh,
                series,
                taken,
                at,
                buckets[places],
            )
        segment = Segment(
            columns=columns,
            at=at,
            names=self._state.series.subjects,
            offsets=taken.offsets[at],
            times=taken.times[at],
            buckets=buckets[places],
            series=series,
            bucket_us=self._bucket_us,
        )
        self._at_once(segment, step)
        count_series(self._state.series, segment)
        self._state.failures.count(segment, partial(copies, taken.block))
        if self._policies.profiles_users:
            count_users(self._state.users, segment, events)
        self._last_event_bucket = max(self._last_event_bucket, int(segment.buckets.max()))
        step.events += len(places)

    def _at_once(self, segment: Segment, step: Step) -> None:
        found = [
            (finding, detector)
            for detector in self._policies.at_once
            for finding in detector.at_once(self._state.tables[detector.name], segment)
        ]
        found.sort(key=lambda pair: pair[0].position or 0)
        for finding, detector in found:
            offset = int(segment.offsets[finding.position or 0])
            self._tell(finding, (detector.name, detector.version), offset, segment, step)

    def _tell(
        self,
        finding: Finding,
        detector: tuple[str, int],
        offset: int,
        segment: Segment | None,
        step: Step,
        failed: Failed | None = None,
    ) -> None:
        def sample(position: int) -> str:
            return "" if segment is None else segment.text("event_id", position)

        name, place = self._state.name(finding), self._log.next_place(offset)
        told = anomaly(finding, name, detector, self._policies.version, place, sample, failed)
        self._log.say(told, step)

    def _tell_change(
        self, change: Change, detector: str, event_time: int, offset: int, step: Step
    ) -> None:
        """Says what became of a signal, in the order of the lane's anomalies."""
        name, place = self._state.name(change.signal), self._log.next_place(offset)
        said = signal_change(change, name, detector, self._policies.version, event_time, place)
        self._log.say(said, step)

    def _report(self, report: Report, time: int, step: Step) -> None:
        self._log.report(report, time, self._bucket_us, self._policies.version, step)

    def _interrupt(self, interruption: Interruption, step: Step) -> None:
        match interruption:
            case Tick(offset, append_time, passed_us):
                self._clock = self._clock.ticked(append_time, passed_us)
                bucket = (self._clock.time - self._lateness_us) // self._bucket_us
                if self._closed_to != _NO_BUCKET and bucket > self._closed_to:
                    self._close_to(bucket, offset, step)
            case SettingsSwitch(offset, version):
                self._switch(self._policy_sets(version), offset, step)

    def _switch(self, policies: PolicySet, offset: int, step: Step) -> None:
        """Puts another version into effect; signals that it judges no more end, and say so."""
        for change, detector in retire(self._state, self._policies, policies):
            self._tell_change(change, detector, self._clock.time, offset, step)
        self._adopt(policies)

    def _adopt(self, policies: PolicySet) -> None:
        """Puts a settings version into effect."""
        self._policies = policies
        self._state.adopt(policies)
        self._meta_changed = True

    def _close_to(self, bucket: int, offset: int, step: Step) -> None:
        """Closes all buckets before `bucket`, at the record of that offset."""
        horizon = self._last_event_bucket + SILENT_BUCKETS
        still_open = {
            *self._state.series.windows.open_buckets,
            *self._state.users.windows.open_buckets,
        }
        within = range(self._closed_to, min(bucket, horizon + 1))
        for closing in sorted({*within, *(one for one in still_open if one < bucket)}):
            self._close(closing, offset, step)
        self._closed_to = bucket
        for report in self._watch.passed(bucket, offset, self._policies):
            self._report(report, bucket * self._bucket_us, step)
        self._log.closed(offset, bucket * self._bucket_us, self._tenants_with_signals, step)

    def _tenants_with_signals(self) -> Iterator[str]:
        """Tenants of which something is wrong and was not said to be over; repeated."""
        return chain(self._watch.open_tenants(), open_tenants(self._state, self._policies))

    def _close(self, bucket: int, offset: int, step: Step) -> None:
        closed = self._state.series.close(
            bucket, self._bucket_us, everyone=bool(self._policies.detectors())
        )
        watched = watched_users(self._state, self._policies, bucket)
        active = self._state.users.close(bucket, self._bucket_us, everyone=False, watched=watched)
        failures = self._state.failures.close(bucket)
        self._state.reserve_applications()
        for report in self._watch.closed(
            bucket,
            offset,
            self._state.applications,
            closed.applications,
            closed.numbers["requests"],
            step,
        ):
            self._report(report, closed.end, step)
        verdicts: list[tuple[Verdicts, str, int]] = []
        bands = None
        for detector in self._policies.at_close:
            if detector.kind is Kind.SERIES:
                said = detector.at_close(self._state.tables[detector.name], closed)
                bands = said.bands if said.bands is not None else bands
            else:
                said = detector.at_close(self._state.tables[detector.name], active)
            verdicts.append((said, detector.name, detector.version))
        for said, name, version in verdicts:
            for finding in said.findings:
                self._tell(
                    finding, (name, version), offset, None, step, failed_calls(finding, failures)
                )
            for change in said.changes:
                self._tell_change(change, name, closed.end, offset, step)
        for rules in self._policies.at_once:
            for change in rules.settle(self._state.tables[rules.name], closed):
                self._tell_change(change, rules.name, closed.end, offset, step)
        step.with_state.extend(
            aggregate_records(
                self._names.aggregates,
                closed,
                bands,
                self._state.series.subjects,
                self._policies.version,
                self.partition,
            )
        )
        self._levels.closed(closed, self._state.series.subjects)
        if bucket % _EXPIRY_EVERY == 0:
            before = bucket - self._limits.subject_expiry_s // self._limits.bucket_s
            self._state.expire(
                before, lambda of, idle: self._forgettable(of, idle, bucket, offset, step)
            )
            self._watch.forget_rows()

    def _forgettable(
        self, population: Population, idle: Int64s, bucket: int, offset: int, step: Step
    ) -> Int64s:
        """Of subjects that are due to be forgotten, those that may be."""
        gone, given_up = give_up(
            self._state, self._policies, population, idle, bucket, self._bucket_us
        )
        for change, detector in given_up:
            self._tell_change(change, detector, (bucket + 1) * self._bucket_us, offset, step)
        return gone

    def _own_row(self) -> LaneRow:
        return LaneRow(
            bucket_us=self._bucket_us,
            lateness_us=self._lateness_us,
            clock=self._clock,
            closed_to=self._closed_to,
            last_event_bucket=self._last_event_bucket,
            stamps=self._stamps,
            applied=self._applied,
            listeners=self._log.listeners.to_bytes(),
            watch=self._watch.to_bytes(),
        )

    def _restore_own(self, value: bytes) -> int:
        """The version that the row had."""
        row = LaneRow.from_bytes(value)
        if (row.bucket_us, row.lateness_us) != (self._bucket_us, self._lateness_us):
            # Bucket numbers would mean other times: every event would be late, or none for years.
            raise Refused(
                f"lane detect/{self.partition}: its state was made with lanes.bucket_s"
                f" {row.bucket_us / 1e6:g} and lanes.lateness_s {row.lateness_us / 1e6:g}; set them"
                f" back, or let it learn anew: {reset_command('detect', self.partition)}"
            )
        self._clock, self._stamps, self._applied = row.clock, row.stamps, row.applied
        self._closed_to, self._last_event_bucket = row.closed_to, row.last_event_bucket
        self._adopt(self._policy_sets(row.applied.version))
        if row.listeners:
            self._log.listeners.restore(row.listeners)
        elif self._closed_to != _NO_BUCKET:
            self._log.listeners.begin(self._closed_to * self._bucket_us)
        restore = self._watch.restore_shares if row.version == 1 else self._watch.restore
        restore(row.watch)
        return row.version
