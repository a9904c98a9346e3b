"""Anomalies of one application that are close in event time are one incident."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from agents.correlation import incident_table, source_lanes
from agents.correlation.ageing import Ageing
from agents.correlation.deadlines import Deadlines
from agents.correlation.incident_table import IncidentTable
from agents.correlation.open_incident import MAX_NOTE
from agents.correlation.settings import CorrelationSettings
from agents.correlation.signals import signal_key
from agents.correlation.source_lanes import NEVER, SourceLanes
from agents.correlation.step import Step
from schemas.records.anomalies import Anomaly, SignalChange, SignalStatus
from schemas.records.control import AuditOutcome, Command
from schemas.records.incidents import Incident, IncidentChange, IncidentState
from streams.state.chunks import NewerState

_MAX_STEP: Final = 0.25
"""Share of `active_lane_s` that one record moves append time by at most while ticks come each
second: a broker's clock that jumps makes no lane inactive.
"""


class Correlator:
    """The state of one lane of `anomalies`: a pure function of its records in offset order.

    Every call is one record of the lane, with its `offset` and `append_time` (µs), and returns the
    incidents that it makes, in the order to write them; their (offset, ordinal) rise.

    An anomaly joins the open incident of its application, or opens one, and its signal (the metric
    of the series or user, or the rule) is open until detect writes what became of it. An incident
    is opened, escalated (severity rises), updated (something new joined; at most each
    `update_every_s`), and resolved when no signal of it is open and event time (`SourceLanes`) is
    `quiet_s` past the last anomaly and the last end: `resolved_at` is that moment, whenever it was
    noticed. An anomaly after that moment opens the next incident. Silence resolves nothing: an
    incident without data stays open, says so, and is given up after `give_up_s` of append time. A
    person may close it; what is still wrong then opens no other incident before it has ended once.

    Ticks, appended while the lane is idle and `wants_ticks`, move append time only. While a source
    lane moves, event time follows.
    """

    def __init__(self, settings: CorrelationSettings, lane: int) -> None:
        self._lane: Final = lane
        self._max_step_us: Final = round(settings.active_lane_s * 1e6 * _MAX_STEP)
        self._sources: Final = SourceLanes(round(settings.active_lane_s * 1e6))
        self._deadlines: Final = Deadlines(settings, self._sources)
        self._table: Final = IncidentTable(settings)
        self._open, self._closed = self._table.open, self._table.closed
        self._ageing: Final = Ageing(settings, self._table, self._sources, self._deadlines)

    def on_anomaly(self, anomaly: Anomaly, *, offset: int, append_time: int) -> list[Incident]:
        """Process an anomaly. One at or below its source lane's highest (offset, ordinal) came
        before: only its append time counts.
        """
        step = self._begin(offset, append_time)
        # The order matters: a repeated anomaly must not count as heard of a closed signal.
        if self._sources.is_new(
            anomaly.lane, anomaly.offset, anomaly.ordinal
        ) and not self._table.is_closed(anomaly, append_time=step.append_time):
            self._join(anomaly, step)
        self._sources.settle()
        return step.made

    def on_change(self, change: SignalChange, *, offset: int, append_time: int) -> list[Incident]:
        """Process what became of a signal. A change at or below its source lane's highest (offset,
        ordinal) came before, and one of a signal that is not open here changes nothing.
        """
        step = self._begin(offset, append_time)
        if self._sources.is_new(change.lane, change.offset, change.ordinal):
            self._change(change, step)
        self._sources.settle()
        return step.made

    def on_close(
        self, command: Command, *, offset: int, append_time: int
    ) -> tuple[list[Incident], AuditOutcome, str]:
        """Close an incident for a person; returns the command's outcome too, and its reason."""
        step = self._begin(offset, append_time)
        outcome, detail = self._close(command, step)
        self._sources.settle()
        return step.made, outcome, detail

    def on_watermark(
        self, source_lane: int, source_offset: int, watermark: int, *, offset: int, append_time: int
    ) -> list[Incident]:
        """Process a watermark: a lane of `telemetry` has closed all up to `watermark` (µs), with
        its record at `source_offset`.

        One that is not above the lane's last came before, and moves nothing but append time.
        """
        step = self._begin(offset, append_time)
        self._sources.moved(source_lane, source_offset, watermark, append_time)
        self._ageing.pass_time(step)
        return step.made

    def on_tick(
        self, *, offset: int, append_time: int, passed: int | None = None
    ) -> list[Incident]:
        """Move append time, which is all that a tick does: the lane was idle, for at most `passed`
        µs.
        """
        step = Step(self._lane, offset, self._sources.appended(append_time, passed))
        self._ageing.pass_time(step)
        return step.made

    @property
    def sources(self) -> SourceLanes:
        """What is known of the lanes of `telemetry`."""
        return self._sources

    @property
    def wants_ticks(self) -> bool:
        """Whether something waits for time to pass: an open incident, or closed signals that are to
        be forgotten.
        """
        return bool(self._open or self._closed)

    @property
    def last_append(self) -> int | None:
        """Append time of the last record, µs; None before the first."""
        return None if self._sources.stamped == NEVER else self._sources.stamped

    @property
    def open_incidents(self) -> int:
        """How many incidents are open."""
        return len(self._open)

    def open_groups(self) -> Counter[tuple[str, str, str]]:
        """How many incidents are open, by tenant, application and severity."""
        return Counter(
            (each.tenant, each.application, str(each.severity))
            for each in self._open.view().values()
        )

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Restore a lane's state, once, before its first record: the rows of `changed` without
        tombstones.

        Raises NewerState when a newer version wrote them.
        """
        for key in rows:
            if not (incident_table.is_row(key) or source_lanes.is_row(key)):
                raise NewerState(
                    f"correlate's state has a row {key!r} that this program does not know"
                )
        self._table.restore(rows)
        self._sources.restore(rows.items())
        self._ageing.restored()

    def changed(self) -> list[tuple[bytes, bytes | None]]:
        """Key and value of every row that changed since the last call, None for one that is gone;
        never more than one a key.
        """
        return [*self._sources.changed(), *self._table.changes()]

    def _begin(self, offset: int, append_time: int) -> Step:
        """Begin the step of a record that does not say how much time passed.

        While ticks are wanted one comes each second, so that no record is more than a moment after
        the one before: a greater difference is a broker's clock that jumped, or an outage of
        workers, after which lanes count as silent later, never too early.
        """
        max_us = self._max_step_us if self.wants_ticks else None
        return Step(self._lane, offset, self._sources.appended(append_time, max_us))

    def _join(self, anomaly: Anomaly, step: Step) -> None:
        key, application = self._table.group(anomaly)
        incident = self._open.get(key)
        if incident is not None:
            # An anomaly after the end opens the next incident, also if no watermark has come yet
            # that would have ended this one.
            quiet_at = self._deadlines.quiet_at(incident)
            if quiet_at is not None and anomaly.event_time >= quiet_at:
                self._ageing.end(key, quiet_at, step)
                incident = None
        if incident is None:
            incident = self._table.insert(key, application, anomaly)
            incident.join(anomaly, step.append_time)
            incident.signals.anomaly(anomaly)
            step.write(incident, IncidentChange.OPENED)
        else:
            is_raised = incident.join(anomaly, step.append_time)
            if incident.signals.anomaly(anomaly):
                incident.note, incident.has_news = "", True
            if is_raised:
                step.write(incident, IncidentChange.ESCALATED)
            elif incident.last_event >= self._deadlines.update_at(incident):
                step.write(incident, IncidentChange.UPDATED)
        self._ageing.concerned(incident, step)

    def _change(self, change: SignalChange, step: Step) -> None:
        for key in self._table.holders(change):
            if (one := self._open.get(key)) is not None:
                if one.became(change, step.append_time):
                    if change.status is SignalStatus.NEW_LEVEL:
                        step.write(one, IncidentChange.NEW_LEVEL)
                    self._ageing.concerned(one, step)
                    return
            elif (kept := self._closed[key]).signals.changed(signal_key(change), change):
                kept.last_append = step.append_time
                if not kept.signals:
                    del self._closed[key]
                return

    def _close(self, command: Command, step: Step) -> tuple[AuditOutcome, str]:
        key = self._table.named(command)
        if key is None:
            return AuditOutcome.REFUSED, "no incident of this tenant with this id is open"
        incident = self._table.remove(key)
        if incident.signals:
            self._table.keep_closed(incident, step.append_time)
            self._ageing.kept_closed(step.append_time)
        comment = f": {command.comment}" if command.comment else ""
        incident.note = f"closed by {command.author or 'somebody'}{comment}"[:MAX_NOTE]
        at = max(
            incident.last_event, incident.ended_at, self._sources.time_of(incident.source_lane)
        )
        step.write(incident, IncidentChange.CLOSED, IncidentState.CLOSED, at)
        return AuditOutcome.APPLIED, ""
