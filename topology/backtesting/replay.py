"""A trace through one lane of detect and the correlator behind it, in this process: the code that
workers run, with rows where they have records, and event time where they have the clock.
"""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import polars as pl

from agents.correlation.correlator import Correlator
from agents.correlation.settings import CorrelationSettings
from agents.detection.failed_calls import COLUMNS as FAILURE_COLUMNS
from agents.detection.lane import DetectLane
from agents.detection.policy import PolicySet, policies_of
from agents.detectors.settings import DetectionSettings
from agents.detectors.settings_codec import version_of
from schemas.records.aggregates import Aggregate
from schemas.records.anomalies import Anomaly, Direction, Severity, SignalChange
from schemas.records.incidents import Incident
from schemas.telemetry.tabular import TableReader
from streams.control.records import SIGNAL, WATERMARK, header
from streams.lane.outgoing import Outgoing, Step
from streams.settings import Lanes
from streams.topic_names import TopicNames
from topology.backtesting.trace_intake import TraceBatch, TraceBlock, TraceIntake

_NAMES: Final = TopicNames("")
_CORRELATE_TICK_US: Final = 60_000_000
"""How far a tick moves the correlator where nothing comes."""
_ALL_BUT: Final = 0.1
"""Share of the last bucket that may lie behind the last event, and it is judged all the same."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is remembered of an anomaly. Times are event time, µs."""

    id: str
    tenant: str
    application: str
    model: str | None
    user: str | None
    metric: str
    direction: Direction
    severity: Severity
    event_time: int

    @property
    def signal(self) -> tuple[str | None, ...]:
        """What it is about."""
        return (
            self.tenant,
            self.application,
            self.model,
            self.user,
            self.metric,
            self.direction.value,
        )


@dataclass(slots=True)
class Told:
    """An incident as it was opened, and as it was at last."""

    opened: Incident
    last: Incident


@dataclass(frozen=True, slots=True)
class Installation:
    """The settings that decide what is found."""

    detection: DetectionSettings = field(default_factory=DetectionSettings)
    lanes: Lanes = field(default_factory=Lanes)
    correlation: CorrelationSettings = field(default_factory=CorrelationSettings)

    def policies(self) -> PolicySet:
        """Raises Refused when a lane cannot serve one of the detectors."""
        return policies_of(version_of(self.detection), self.detection)


class Replay:
    """One lane that has all applications, and one correlator.

    Where the trace has no event for a bucket's width, time passes by ticks as it does in an idle
    lane, for as long as the lane or the correlator waits for it. An anomaly reaches the correlator
    when the watermark comes to it: `lanes.lateness_s` after its event time.
    """

    def __init__(self, installation: Installation) -> None:
        lanes = replace(installation.lanes, partitions=1)
        policies = installation.policies()
        self.reader: Final = TableReader((*policies.columns, *FAILURE_COLUMNS))
        self.settings_version: Final = policies.version
        self.anomalies: list[Found] = []
        self.incidents: dict[str, Told] = {}
        """By id, in the order of opening."""
        self.applications: dict[bytes, int] = {}
        """By key (tenant/application), the start of the first closed bucket with an event, µs."""
        self.events = 0
        self.late = 0
        self.end: int | None = None
        """The newest event time, µs; None before the first event."""
        self._bucket_us = lanes.bucket_s * 1_000_000
        self._lateness_us = round(lanes.lateness_s * 1e6)
        self._lane = DetectLane(0, lanes, _NAMES, TraceIntake(), lambda _: policies, seed=0)
        self._correlator = Correlator(installation.correlation, 0)
        self._offset = self._record = 0
        self._now = 0
        self._nothing = pl.DataFrame(schema=self.reader.dtypes)

    def feed(self, frame: pl.DataFrame) -> None:
        """Takes good rows, in the order of the trace."""
        if not frame.height:
            return
        batch = TraceBatch(frame, self._offset)
        reached = np.maximum.accumulate(np.maximum(batch.times, self.end or 0))
        before = np.concatenate([[self.end or reached[0]], reached[:-1]])
        gaps = np.flatnonzero(reached - before > self._bucket_us).tolist()
        start = 0
        for gap in [*gaps, frame.height]:
            for block in batch.blocks(start, gap):
                self._take(self._lane.step(block))
            self._offset = batch.start + gap
            if gap < frame.height:
                self._wait(int(before[gap]), int(reached[gap]))
            start = gap
        self.end = int(reached[-1])

    def finish(self) -> None:
        """Time passes once more, until all buckets are closed that the trace has the whole of: the
        last one would look as if traffic broke off.
        """
        if self.end is None:
            return
        passed = self._lateness_us + round(self._bucket_us * _ALL_BUT)
        self._tick(self.end + passed, passed)

    def _wait(self, begin: int, end: int) -> None:
        """Time passes between two events."""
        now = begin
        while self._lane.wants_ticks and now + self._bucket_us < end:
            now += self._bucket_us
            self._tick(now, self._bucket_us)
        now = max(now, self._now)
        while self._correlator.wants_ticks and now + _CORRELATE_TICK_US < end:
            now += _CORRELATE_TICK_US
            self._now = now
            made = self._correlator.on_tick(
                offset=self._next(), append_time=now, passed=_CORRELATE_TICK_US
            )
            self._tell(made)

    def _tick(self, append_time: int, passed_us: int) -> None:
        batch = TraceBatch(self._nothing, self._offset)
        self._take(self._lane.step(TraceBlock(batch, 0, 0, (append_time, passed_us))))

    def _take(self, step: Step) -> None:
        self.events += step.events
        self.late += step.late
        for _, key, values in step.with_state:
            if key not in self.applications:
                self.applications[key] = Aggregate.from_bytes(values[0]).window_start
        for one in step.now:
            self._tell(self._correlated(one))

    def _correlated(self, one: Outgoing) -> list[Incident]:
        """What the correlator makes of a record of the lane."""
        if one.value is not None:
            anomaly = Anomaly.from_bytes(one.value)
            self.anomalies.append(_found(anomaly))
            return self._correlator.on_anomaly(
                anomaly, offset=self._next(), append_time=self._known(anomaly.event_time)
            )
        changed = header(one.headers, SIGNAL)
        if changed is not None:
            change = SignalChange.from_bytes(changed)
            return self._correlator.on_change(
                change, offset=self._next(), append_time=self._known(change.event_time)
            )
        lane, offset, mark = map(int, (header(one.headers, WATERMARK) or b"").split())
        return self._correlator.on_watermark(
            lane, offset, mark, offset=self._next(), append_time=self._known(mark)
        )

    def _known(self, event_time: int) -> int:
        """When the correlator gets what is about this time; it never goes back."""
        self._now = max(self._now, event_time + self._lateness_us)
        return self._now

    def _next(self) -> int:
        self._record += 1
        return self._record

    def _tell(self, made: list[Incident]) -> None:
        for incident in made:
            known = self.incidents.get(incident.id)
            if known is None:
                self.incidents[incident.id] = Told(incident, incident)
            else:
                known.last = incident


def _found(anomaly: Anomaly) -> Found:
    return Found(
        anomaly.id,
        anomaly.tenant,
        anomaly.application,
        anomaly.model,
        anomaly.user,
        anomaly.metric,
        anomaly.direction,
        anomaly.severity,
        anomaly.event_time,
    )
