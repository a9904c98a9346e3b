"""Anomalies of one application that are close in event time are one incident."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from agents.correlation.open_incident import OpenIncident
from agents.correlation.settings import CorrelationSettings
from agents.correlation.source_lanes import NEVER, SourceLanes, is_row
from schemas.ids import record_id
from schemas.records import Anomaly, Incident, IncidentChange
from streams.pages import NewerState

OTHER_APPLICATIONS: Final = "(other applications)"
"""Application of the one incident that a tenant's applications beyond `max_open` share."""

_FAR: Final = 2**63 - 1
_OPEN_KEY: Final = b"open/"


class _Step:
    """The incidents that one record of the lane makes; their ordinals count within it."""

    def __init__(self, lane: int, offset: int) -> None:
        self._lane, self._offset = lane, offset
        self.made: list[Incident] = []

    def tell(self, incident: OpenIncident, change: IncidentChange, resolved_at: int | None = None) -> None:
        self.made.append(
            incident.record(
                change, resolved_at=resolved_at, lane=self._lane, offset=self._offset, ordinal=len(self.made)
            )
        )


class Correlator:
    """The state of one lane of `anomalies`: a pure function of its records in offset order.

    Every call is one record of the lane, with its `offset` and `append_time` (µs), and returns the incidents that it makes, in the order to write
    them; their (offset, ordinal) rise.

    An anomaly joins the open incident of its application while it is less than `quiet_s` later than the last one; a later one ends that incident
    and opens the next. A late anomaly joins too, or opens an incident of its own. An incident is opened, escalated (severity rises), updated
    (something new joined; at most each `update_every_s`), and resolved when event time (`SourceLanes`) is `quiet_s` past its last anomaly:
    `resolved_at` is that moment, whenever it was noticed. Only watermarks and ticks let time do its work, so a thousand late anomalies in a row
    are one incident, not a thousand.

    Ticks, appended while the lane is idle and `wants_ticks`, move append time only. While a source lane moves, event time follows. When none
    moves, event time stands, and an incident is resolved once its last anomaly was appended `quiet_s + silence_s` ago.
    """

    def __init__(self, settings: CorrelationSettings, lane: int) -> None:
        self._settings: Final = settings
        self._lane: Final = lane
        self._quiet_us: Final = round(settings.quiet_s * 1e6)
        self._update_us: Final = round(settings.update_every_s * 1e6)
        self._silence_us: Final = round((settings.quiet_s + settings.silence_s) * 1e6)
        self._sources: Final = SourceLanes(round(settings.active_lane_s * 1e6))
        self._open: dict[bytes, OpenIncident] = {}
        self._per_tenant: Counter[str] = Counter()
        self._touched: set[bytes] = set()
        # Nothing is due before these, in event time and in append time: most records look no further.
        self._due = _FAR
        self._due_append = _FAR

    def on_anomaly(self, anomaly: Anomaly, *, offset: int, append_time: int) -> list[Incident]:
        """An anomaly came. One at or below its source lane's highest (offset, ordinal) came before: only its append time counts."""
        step = _Step(self._lane, offset)
        if self._sources.is_new(anomaly.lane, anomaly.offset, anomaly.ordinal):
            self._take(anomaly, append_time, step)
        self._sources.passed(append_time)
        return step.made

    def on_watermark(
        self, source_lane: int, source_offset: int, watermark: int, *, offset: int, append_time: int
    ) -> list[Incident]:
        """A lane of `telemetry` has closed all up to `watermark` (µs), with its record at `source_offset`.

        One that came before moves nothing but append time: the watermark says so itself, the offset only says where it was made.
        """
        step = _Step(self._lane, offset)
        self._sources.moved(source_lane, watermark, append_time)
        self._pass(append_time, step)
        return step.made

    def on_tick(self, *, offset: int, append_time: int) -> list[Incident]:
        """The lane was idle; append time is all that a tick says."""
        step = _Step(self._lane, offset)
        self._pass(append_time, step)
        return step.made

    @property
    def wants_ticks(self) -> bool:
        """Whether something waits for time to pass: without an open incident an idle lane needs no ticks."""
        return bool(self._open)

    @property
    def open_incidents(self) -> int:
        """How many incidents are open."""
        return len(self._open)

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Take over a lane's state, once, before its first record: keys and values as `changed` gave them, tombstones left out.

        Raises NewerState when a newer version wrote them.
        """
        for key, value in rows.items():
            if key.startswith(_OPEN_KEY):
                self._insert(key, OpenIncident.from_row(value, self._settings.max_listed, self._settings.thresholds))
            elif not is_row(key):
                raise NewerState(f"correlate's state has a row {key!r} that this program does not know")
        self._sources.restore((key, value) for key, value in rows.items() if is_row(key))
        self._due = self._due_append = NEVER

    def changed(self) -> list[tuple[bytes, bytes | None]]:
        """Key and value of every row that changed since the last call, None for one that is gone; never more than one a key."""
        rows: list[tuple[bytes, bytes | None]] = [*self._sources.changed()]
        rows += [(key, self._open[key].row() if key in self._open else None) for key in sorted(self._touched)]
        self._touched.clear()
        return rows

    def _take(self, anomaly: Anomaly, append_time: int, step: _Step) -> None:
        key, application = self._place(anomaly)
        incident = self._open.get(key)
        if incident is not None and anomaly.event_time >= incident.last_event + self._quiet_us:
            self._resolve(key, step)
            incident = None
        if incident is None:
            incident = OpenIncident(
                id=record_id(anomaly.tenant, application, anomaly.id),
                tenant=anomaly.tenant,
                application=application,
                opened_at=anomaly.event_time,
                max_listed=self._settings.max_listed,
                thresholds=self._settings.thresholds,
            )
            self._insert(key, incident)
            incident.join(anomaly, append_time)
            step.tell(incident, IncidentChange.OPENED)
        elif incident.join(anomaly, append_time):
            step.tell(incident, IncidentChange.ESCALATED)
        elif incident.untold and incident.last_event >= incident.told_at + self._update_us:
            step.tell(incident, IncidentChange.UPDATED)
        self._touched.add(key)
        self._due = min(self._due, self._due_of(incident))
        self._due_append = min(self._due_append, incident.last_append + self._silence_us)

    def _place(self, anomaly: Anomaly) -> tuple[bytes, str]:
        """Row and application of the incident that the anomaly belongs to."""
        key = _key(anomaly.tenant, anomaly.application)
        if key not in self._open and self._per_tenant[anomaly.tenant] >= self._settings.max_open:
            return _key(anomaly.tenant, OTHER_APPLICATIONS), OTHER_APPLICATIONS
        return key, anomaly.application

    def _pass(self, append_time: int, step: _Step) -> None:
        """Move the time, and tell what has become due, in the order in which it became so."""
        self._sources.passed(append_time)
        silent = self._sources.silent
        if self._sources.time < self._due and not (silent and self._sources.append > self._due_append):
            return
        due = sorted(
            (self._due_of(incident), incident.tenant, incident.application, key, change)
            for key, incident in self._open.items()
            if (change := self._change_of(incident, silent)) is not None
        )
        for _, _, _, key, change in due:
            if change is IncidentChange.RESOLVED:
                self._resolve(key, step)
            else:
                step.tell(self._open[key], change)
                self._touched.add(key)
        self._due = min(map(self._due_of, self._open.values()), default=_FAR)
        self._due_append = min((i.last_append for i in self._open.values()), default=_FAR - self._silence_us)
        self._due_append += self._silence_us

    def _change_of(self, incident: OpenIncident, silent: bool) -> IncidentChange | None:
        """What time alone makes of the incident; None while it stays as it is."""
        time = self._sources.time_of(incident.source_lane)
        unheard = silent and self._sources.append > incident.last_append + self._silence_us
        if unheard or time >= incident.last_event + self._quiet_us:
            return IncidentChange.RESOLVED
        return IncidentChange.UPDATED if time >= self._due_of(incident) else None

    def _due_of(self, incident: OpenIncident) -> int:
        """Event time at which the incident is to be told again if nothing more comes."""
        quiet = incident.last_event + self._quiet_us
        return min(quiet, incident.told_at + self._update_us) if incident.untold else quiet

    def _insert(self, key: bytes, incident: OpenIncident) -> None:
        self._open[key] = incident
        self._per_tenant[incident.tenant] += 1

    def _resolve(self, key: bytes, step: _Step) -> None:
        incident = self._open.pop(key)
        self._touched.add(key)
        self._per_tenant[incident.tenant] -= 1
        if not self._per_tenant[incident.tenant]:
            del self._per_tenant[incident.tenant]
        step.tell(incident, IncidentChange.RESOLVED, resolved_at=incident.last_event + self._quiet_us)


def _key(tenant: str, application: str) -> bytes:
    return _OPEN_KEY + record_id(tenant, application).encode()
