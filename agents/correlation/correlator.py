"""Anomalies of one application that are close in event time are one incident."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from agents.correlation import closed
from agents.correlation.closed import ClosedSignals
from agents.correlation.open_incident import MOST_NOTE, OpenIncident
from agents.correlation.settings import CorrelationSettings
from agents.correlation.signals import Signals, signal_key
from agents.correlation.source_lanes import NEVER, SourceLanes, is_row
from schemas.ids import record_id
from schemas.records.anomalies import INTAKE, Anomaly, SignalChange, SignalStatus
from schemas.records.control import AuditOutcome, Command
from schemas.records.incidents import Incident, IncidentChange, IncidentState
from schemas.units import utc
from streams.state.chunks import NewerState
from streams.state.rows import Rows, by_row_key

OTHER_APPLICATIONS: Final = "(other applications)"
"""Application of the one incident that a tenant's applications beyond `max_open` share."""

_FAR: Final = 2**63 - 1
_OPEN_KEY: Final = b"open/"
_BETWEEN: Final = 0.25
"""Share of `active_lane_s` that one record moves append time by at the most while ticks come each
second: a broker's clock that jumps silences no lane.
"""


class _Step:
    """The incidents that one record of the lane makes; their ordinals count within it."""

    def __init__(self, lane: int, offset: int, append_time: int) -> None:
        self._lane, self._offset, self.append_time = lane, offset, append_time
        self.made: list[Incident] = []

    def tell(
        self,
        incident: OpenIncident,
        change: IncidentChange,
        state: IncidentState = IncidentState.OPEN,
        ended_at: int | None = None,
    ) -> None:
        self.made.append(
            incident.record(
                change,
                state=state,
                ended_at=ended_at,
                lane=self._lane,
                offset=self._offset,
                ordinal=len(self.made),
            )
        )


class Correlator:
    """The state of one lane of `anomalies`: a pure function of its records in offset order.

    Every call is one record of the lane, with its `offset` and `append_time` (µs), and returns the
    incidents that it makes, in the order to write them; their (offset, ordinal) rise.

    An anomaly joins the open incident of its application, or opens one, and its signal (the metric
    of the series or user, or the rule) is open until detect says what became of it. An incident is
    opened, escalated (severity rises), updated (something new joined; at most each
    `update_every_s`), and resolved when no signal of it is open and event time (`SourceLanes`) is
    `quiet_s` past the last anomaly and the last end: `resolved_at` is that moment, whenever it was
    noticed. An anomaly after that moment opens the next incident. Silence resolves nothing: an
    incident without data stays open, says so, and is given up after `give_up_s` of append time. A
    person may close it; what is still wrong then opens no other incident before it has ended once.

    Ticks, appended while the lane is idle and `wants_ticks`, move append time only. While a source
    lane moves, event time follows.
    """

    def __init__(self, settings: CorrelationSettings, lane: int) -> None:
        self._settings: Final = settings
        self._lane: Final = lane
        self._quiet_us: Final = round(settings.quiet_s * 1e6)
        self._update_us: Final = round(settings.update_every_s * 1e6)
        self._silence_us: Final = round((settings.quiet_s + settings.silence_s) * 1e6)
        self._give_up_us: Final = round(settings.give_up_s * 1e6)
        self._sources: Final = SourceLanes(round(settings.active_lane_s * 1e6))
        self._most_between_us: Final = round(settings.active_lane_s * 1e6 * _BETWEEN)
        limits = settings.max_listed, settings.max_signals
        self._open: Final = Rows(
            by_row_key(
                _OPEN_KEY,
                OpenIncident.row,
                lambda value: OpenIncident.from_row(value, *limits, settings.thresholds),
            )
        )
        self._closed: Final = Rows(
            by_row_key(
                closed.KEY,
                ClosedSignals.row,
                lambda value: ClosedSignals.from_row(value, settings.max_signals),
            )
        )
        self._per_tenant: Counter[str] = Counter()
        # Nothing is due before these, in event time and in append time: most records look no
        # further.
        self._due = _FAR
        self._due_append = _FAR

    def on_anomaly(self, anomaly: Anomaly, *, offset: int, append_time: int) -> list[Incident]:
        """An anomaly came. One at or below its source lane's highest (offset, ordinal) came before:
        only its append time counts.
        """
        step = self._begun(offset, append_time)
        if self._sources.is_new(
            anomaly.lane, anomaly.offset, anomaly.ordinal
        ) and not self._is_closed(anomaly, step):
            self._take(anomaly, step)
        self._sources.settle()
        return step.made

    def on_change(self, change: SignalChange, *, offset: int, append_time: int) -> list[Incident]:
        """Something became of a signal. A change at or below its source lane's highest (offset,
        ordinal) came before, and one of a signal that is not open here changes nothing.
        """
        step = self._begun(offset, append_time)
        if self._sources.is_new(change.lane, change.offset, change.ordinal):
            self._change(change, step)
        self._sources.settle()
        return step.made

    def on_close(
        self, command: Command, *, offset: int, append_time: int
    ) -> tuple[list[Incident], AuditOutcome, str]:
        """A person ends an incident: what came of it, and why."""
        step = self._begun(offset, append_time)
        outcome, detail = self._close(command, step)
        self._sources.settle()
        return step.made, outcome, detail

    def on_watermark(
        self, source_lane: int, source_offset: int, watermark: int, *, offset: int, append_time: int
    ) -> list[Incident]:
        """A lane of `telemetry` has closed all up to `watermark` (µs), with its record at
        `source_offset`.

        One that came before moves nothing but append time: the watermark says so itself.
        """
        step = self._begun(offset, append_time)
        self._sources.moved(source_lane, source_offset, watermark, append_time)
        self._pass(step)
        return step.made

    def on_tick(
        self, *, offset: int, append_time: int, passed: int | None = None
    ) -> list[Incident]:
        """The lane was idle, for `passed` µs at the most; append time is all that a tick moves."""
        step = _Step(self._lane, offset, self._sources.appended(append_time, passed))
        self._pass(step)
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
        """Take over a lane's state, once, before its first record: keys and values as `changed`
        gave them, tombstones left out.

        Raises NewerState when a newer version wrote them.
        """
        for key in rows:
            if not (key.startswith((_OPEN_KEY, closed.KEY)) or is_row(key)):
                raise NewerState(
                    f"correlate's state has a row {key!r} that this program does not know"
                )
        self._open.restore(rows.items())
        self._closed.restore(rows.items())
        self._per_tenant.update(one.tenant for one in self._open.view().values())
        self._sources.restore((key, value) for key, value in rows.items() if is_row(key))
        self._due = self._due_append = NEVER

    def changed(self) -> list[tuple[bytes, bytes | None]]:
        """Key and value of every row that changed since the last call, None for one that is gone;
        never more than one a key.
        """
        return [*self._sources.changed(), *self._closed.changes(), *self._open.changes()]

    def _begun(self, offset: int, append_time: int) -> _Step:
        """Begins the step of a record that does not say how much time passed. While ticks are
        wanted one comes each second, so that no record is more than a moment after the one before:
        a greater difference is a broker's clock that jumped, or an outage of workers, after which
        lanes count as silent later, never too early.
        """
        most = self._most_between_us if self.wants_ticks else None
        return _Step(self._lane, offset, self._sources.appended(append_time, most))

    def _is_closed(self, anomaly: Anomaly, step: _Step) -> bool:
        """Whether the anomaly says again that something lasts whose incident was closed."""
        signal = signal_key(anomaly)
        for application in (anomaly.application, OTHER_APPLICATIONS):
            key = _key(anomaly.tenant, application, closed.KEY)
            known = self._closed.get(key)
            if (
                known is not None
                and not anomaly.first
                and (signal in known.signals or known.signals.unlisted)
            ):
                known.last_append = step.append_time
                return True
        return False

    def _take(self, anomaly: Anomaly, step: _Step) -> None:
        signal = signal_key(anomaly)
        key, application = self._place(anomaly, signal)
        incident = self._open.get(key)
        if incident is not None:
            quiet_at = incident.quiet_at(self._quiet_us)
            if quiet_at is not None and anomaly.event_time >= quiet_at:
                self._end(key, quiet_at, step)
                incident = None
        if incident is None:
            incident = self._opened(key, application, anomaly)
            incident.join(anomaly, step.append_time)
            incident.signals.anomaly(anomaly)
            step.tell(incident, IncidentChange.OPENED)
        else:
            is_raised = incident.join(anomaly, step.append_time)
            if incident.signals.anomaly(anomaly):
                incident.note, incident.untold = "", True
            if is_raised:
                step.tell(incident, IncidentChange.ESCALATED)
            elif incident.untold and incident.last_event >= incident.told_at + self._update_us:
                step.tell(incident, IncidentChange.UPDATED)
        self._concerns(incident, step)

    def _opened(self, key: bytes, application: str, anomaly: Anomaly) -> OpenIncident:
        incident = OpenIncident(
            id=record_id(anomaly.tenant, application, anomaly.id),
            tenant=anomaly.tenant,
            application=application,
            opened_at=anomaly.event_time,
            max_listed=self._settings.max_listed,
            thresholds=self._settings.thresholds,
            signals=Signals(self._settings.max_signals),
        )
        self._insert(key, incident)
        return incident

    def _place(self, anomaly: Anomaly, signal: bytes) -> tuple[bytes, str]:
        """Row and application of the incident that the anomaly belongs to."""
        key, others = _key_of(anomaly), _key(anomaly.tenant, OTHER_APPLICATIONS)
        if key in self._open:
            return key, anomaly.application
        shared = self._open.view().get(others)
        is_there = shared is not None and (
            signal in shared.signals or (shared.signals.unlisted and not anomaly.first)
        )
        if is_there or self._per_tenant[anomaly.tenant] >= self._settings.max_open:
            return others, OTHER_APPLICATIONS
        return key, anomaly.application

    def _change(self, change: SignalChange, step: _Step) -> None:
        signal, keys = (
            signal_key(change),
            [_key_of(change), _key(change.tenant, OTHER_APPLICATIONS)],
        )
        ended = [
            _key(change.tenant, name, closed.KEY)
            for name in (change.application, OTHER_APPLICATIONS)
        ]
        kept = [
            (key, one)
            for key in (*keys, *ended)
            if (one := self._open.get(key) or self._closed.get(key)) is not None
        ]
        # One that knows it by name comes before those that may have it among signals that they only
        # count.
        for key, one in sorted(kept, key=lambda pair: signal not in pair[1].signals):
            if isinstance(one, OpenIncident):
                if one.became(change, step.append_time):
                    if change.status is SignalStatus.NEW_LEVEL:
                        step.tell(one, IncidentChange.NEW_LEVEL)
                    self._concerns(one, step)
                    return
            elif one.signals.changed(signal, change):
                one.last_append = step.append_time
                if not one.signals:
                    del self._closed[key]
                return

    def _concerns(self, incident: OpenIncident, step: _Step) -> None:
        """A record concerned the incident: update whether it has data, and when it is due."""
        self._look_for_data(incident, step)
        self._due = min(self._due, self._due_of(incident))
        self._due_append = min(self._due_append, self._due_append_of(incident))

    def _look_for_data(self, incident: OpenIncident, step: _Step) -> None:
        """Tells when no data comes of anything that is still wrong; that it comes again is told
        with what it says.
        """
        since = incident.signals.no_data_since
        if since is None:
            incident.no_data_append = NEVER
        elif incident.no_data_append == NEVER:
            incident.no_data_append = step.append_time
            incident.note = f"no data since {utc(since)}"
            step.tell(incident, IncidentChange.NO_DATA)

    def _pass(self, step: _Step) -> None:
        """Move the time, and tell what has become due, in the order in which it became so."""
        self._sources.settle()
        if self._sources.time < self._due and self._sources.append <= self._due_append:
            return
        for _, _, _, key in sorted(
            (self._due_of(one), one.tenant, one.application, key)
            for key, one in self._open.view().items()
        ):
            self._pass_by(key, self._open[key], step)
        for key in sorted(
            key for key, one in self._closed.view().items() if self._is_given_up(one.last_append)
        ):
            del self._closed[key]
        still_open = self._open.view().values()
        self._due = min(map(self._due_of, still_open), default=_FAR)
        forgotten_at = min(
            (one.last_append for one in self._closed.view().values()),
            default=_FAR - self._give_up_us,
        )
        self._due_append = min(map(self._due_append_of, still_open), default=_FAR)
        self._due_append = min(self._due_append, forgotten_at + self._give_up_us)

    def _pass_by(self, key: bytes, incident: OpenIncident, step: _Step) -> None:
        """What time alone makes of the incident."""
        time, quiet_at = (
            self._sources.time_of(incident.source_lane),
            incident.quiet_at(self._quiet_us),
        )
        if (
            quiet_at is not None
            and max(time, self._sources.word_of(incident.source_lane)) >= quiet_at
        ):
            self._end(key, quiet_at, step)
        elif self._is_given_up(self._waits_since(incident)):
            self._give_up(key, incident, step)
        elif time >= self._due_of(incident):
            step.tell(incident, IncidentChange.UPDATED)
        if key in self._open:
            self._miss_data(incident, step)

    def _miss_data(self, incident: OpenIncident, step: _Step) -> None:
        """Notes that no data comes from lanes that have said nothing for long; of each signal by
        the lane that sees it.
        """
        for lane in incident.signals.lanes:
            if self._sources.append > self._heard_of(incident, lane) + self._silence_us:
                incident.signals.lose_data(
                    lane, max(self._sources.time_of(lane), incident.opened_at)
                )
                self._look_for_data(incident, step)

    def _waits_since(self, incident: OpenIncident) -> int:
        """Append time since which the incident waits in vain; NEVER while it does not. Signals that
        are only counted wait since the last record.
        """
        return incident.last_append if not incident.signals.are_listed else incident.no_data_append

    def _heard_of(self, incident: OpenIncident, lane: int) -> int:
        """Append time at which the incident or this lane of it was last heard of."""
        return max(incident.last_append, self._sources.moved_at(lane))

    def _is_given_up(self, append_time: int) -> bool:
        return append_time != NEVER and self._sources.append > append_time + self._give_up_us

    def _due_of(self, incident: OpenIncident) -> int:
        """Event time at which the incident is to be told again if nothing more comes."""
        quiet_at = incident.quiet_at(self._quiet_us)
        update_at = incident.told_at + self._update_us if incident.untold else _FAR
        return update_at if quiet_at is None else min(quiet_at, update_at)

    def _due_append_of(self, incident: OpenIncident) -> int:
        """Append time after which the incident is to be looked at though event time stands."""
        if incident.no_data_append != NEVER:
            return incident.no_data_append + self._give_up_us
        given_up_at = incident.last_append + self._give_up_us
        if not incident.signals:
            return min(self._sources.still_at, given_up_at)
        heard = [
            self._heard_of(incident, lane) + self._silence_us for lane in incident.signals.lanes
        ]
        return min(heard, default=given_up_at)

    def _close(self, command: Command, step: _Step) -> tuple[AuditOutcome, str]:
        found = [
            key
            for key, one in self._open.view().items()
            if (one.id, one.tenant) == (command.target, command.tenant)
        ]
        if not found:
            return AuditOutcome.REFUSED, "no incident of this tenant with this id is open"
        (key,) = found
        incident = self._open[key]
        kept = _key(incident.tenant, incident.application, closed.KEY)
        if incident.signals:
            known = self._closed.setdefault(
                kept, ClosedSignals(Signals(self._settings.max_signals), step.append_time)
            )
            known.signals.merge(incident.signals)
            known.last_append = step.append_time
            self._due_append = min(self._due_append, step.append_time + self._give_up_us)
        comment = f": {command.comment}" if command.comment else ""
        incident.note = f"closed by {command.author or 'somebody'}{comment}"[:MOST_NOTE]
        self._remove(key)
        at = max(
            incident.last_event, incident.ended_at, self._sources.time_of(incident.source_lane)
        )
        step.tell(incident, IncidentChange.CLOSED, IncidentState.CLOSED, at)
        return AuditOutcome.APPLIED, ""

    def _end(self, key: bytes, at: int, step: _Step) -> None:
        incident = self._remove(key)
        state, change = incident.end
        step.tell(incident, change, state, at)

    def _give_up(self, key: bytes, incident: OpenIncident, step: _Step) -> None:
        self._remove(key)
        days = self._settings.give_up_s / 86_400
        incident.note = f"given up: no data for {days:.3g} days"
        step.tell(
            incident,
            IncidentChange.GIVEN_UP,
            IncidentState.GIVEN_UP,
            max(step.append_time, incident.last_event),
        )

    def _insert(self, key: bytes, incident: OpenIncident) -> None:
        self._open[key] = incident
        self._per_tenant[incident.tenant] += 1

    def _remove(self, key: bytes) -> OpenIncident:
        incident = self._open.pop(key)
        self._per_tenant[incident.tenant] -= 1
        if not self._per_tenant[incident.tenant]:
            del self._per_tenant[incident.tenant]
        return incident


def _key(tenant: str, application: str, kind: bytes = _OPEN_KEY) -> bytes:
    return kind + record_id(tenant, application).encode()


def _key_of(record: Anomaly | SignalChange) -> bytes:
    """The row of what a record is about. Records that do not count make an incident of their own,
    beside that of their application's calls: it may last for weeks, and a fault that joined it
    would not be told as a new one.
    """
    if record.detector == INTAKE:
        return _OPEN_KEY + record_id(record.tenant, record.application, INTAKE).encode()
    return _key(record.tenant, record.application)
