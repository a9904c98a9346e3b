"""What passing time makes of open incidents: updates, missing data, ends."""

from typing import Final

from agents.correlation.deadlines import FAR, Deadlines
from agents.correlation.incident_table import IncidentTable
from agents.correlation.open_incident import OpenIncident
from agents.correlation.settings import CorrelationSettings
from agents.correlation.source_lanes import NEVER, SourceLanes
from agents.correlation.step import Step
from schemas.records.incidents import IncidentChange, IncidentState
from schemas.units import utc


class Ageing:
    """Looks at a lane's incidents when time has moved and one of them is due."""

    def __init__(
        self,
        settings: CorrelationSettings,
        table: IncidentTable,
        sources: SourceLanes,
        deadlines: Deadlines,
    ) -> None:
        self._give_up_days: Final = settings.give_up_s / 86_400
        self._table, self._sources, self._deadlines = table, sources, deadlines
        self._open, self._closed = table.open, table.closed
        # Nothing is due before these, in event time and in append time: most records look no
        # further.
        self._due = FAR
        self._due_append = FAR

    def restored(self) -> None:
        """The state was restored: the next watermark or tick looks at every incident."""
        self._due = self._due_append = NEVER

    def kept_closed(self, append_time: int) -> None:
        """Signals of an incident that was closed at this append time are to be forgotten once."""
        self._due_append = min(self._due_append, self._deadlines.given_up_at(append_time))

    def concerned(self, incident: OpenIncident, step: Step) -> None:
        """A record concerned the incident: update whether it has data, and when it is due."""
        self._look_for_data(incident, step)
        self._due = min(self._due, self._deadlines.due_at(incident))
        self._due_append = min(self._due_append, self._deadlines.due_append_at(incident))

    def pass_time(self, step: Step) -> None:
        """Move the time, and write what has become due, in the order in which it became so."""
        self._sources.settle()
        if self._sources.time < self._due and self._sources.append <= self._due_append:
            return
        # Tenant and application decide between incidents that are due at the same time, so that a
        # restored lane, which has its rows in another order, writes the same.
        for _, _, _, key in sorted(
            (self._deadlines.due_at(one), one.tenant, one.application, key)
            for key, one in self._open.view().items()
        ):
            self._pass_by(key, step)
        for key, one in sorted(self._closed.view().items(), key=lambda pair: pair[0]):
            if self._sources.append > self._deadlines.given_up_at(one.last_append):
                del self._closed[key]
        # From all that is left: deadlines that have passed must not come up again.
        self._find_due()

    def end(self, key: bytes, at: int, step: Step) -> None:
        """End an incident of which no signal is open, at this event time, µs."""
        incident = self._table.remove(key)
        state, change = incident.end
        step.write(incident, change, state, at)

    def _pass_by(self, key: bytes, step: Step) -> None:
        """Write what time alone makes of the incident."""
        # Most are only read: a flush encodes what the table handed out, here all there is.
        incident = self._open.view()[key]
        over_at = self._deadlines.over_at(incident)
        if over_at is not None:
            self.end(key, over_at, step)
            return
        if self._deadlines.is_given_up(incident):
            self._give_up(key, step)
            return
        if self._sources.time_of(incident.source_lane) >= self._deadlines.due_at(incident):
            step.write(self._open[key], IncidentChange.UPDATED)
        self._miss_data(key, step)

    def _miss_data(self, key: bytes, step: Step) -> None:
        """Note that no data comes from lanes of the incident that have written nothing for long."""
        silent = self._deadlines.silent_lanes(self._open.view()[key])
        if not silent:
            return
        incident = self._open[key]
        for lane in silent:
            since = max(self._sources.time_of(lane), incident.opened_at)
            incident.signals.lose_data(lane, since)
        self._look_for_data(incident, step)

    def _look_for_data(self, incident: OpenIncident, step: Step) -> None:
        """Write when no data comes of anything that is still wrong. That it comes again is written
        with what it says.
        """
        since = incident.signals.no_data_since
        if since is None:
            # Data came again: the time until it is given up starts again with the next silence.
            incident.no_data_append = NEVER
        elif incident.no_data_append == NEVER:
            incident.no_data_append = step.append_time
            incident.note = f"no data since {utc(since)}"
            step.write(incident, IncidentChange.NO_DATA)

    def _find_due(self) -> None:
        still_open = self._open.view().values()
        self._due = min(map(self._deadlines.due_at, still_open), default=FAR)
        self._due_append = min(
            (
                *map(self._deadlines.due_append_at, still_open),
                *(
                    self._deadlines.given_up_at(one.last_append)
                    for one in self._closed.view().values()
                ),
            ),
            default=FAR,
        )

    def _give_up(self, key: bytes, step: Step) -> None:
        incident = self._table.remove(key)
        incident.note = f"given up: no data for {self._give_up_days:.3g} days"
        at = max(step.append_time, incident.last_event)
        step.write(incident, IncidentChange.GIVEN_UP, IncidentState.GIVEN_UP, at)
