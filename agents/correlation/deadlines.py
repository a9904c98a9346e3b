"""When an incident is due for a change that no record of its own makes."""

from typing import Final

from agents.correlation.open_incident import OpenIncident
from agents.correlation.settings import CorrelationSettings
from agents.correlation.source_lanes import NEVER, SourceLanes

FAR: Final = 2**63 - 1
"""Later than every time, µs."""


class Deadlines:
    """The deadlines of open incidents, µs: a function of the incident and of its source lanes."""

    def __init__(self, settings: CorrelationSettings, sources: SourceLanes) -> None:
        self._sources: Final = sources
        self._quiet_us: Final = round(settings.quiet_s * 1e6)
        self._update_us: Final = round(settings.update_every_s * 1e6)
        self._silence_us: Final = round((settings.quiet_s + settings.silence_s) * 1e6)
        self._give_up_us: Final = round(settings.give_up_s * 1e6)

    def quiet_at(self, incident: OpenIncident) -> int | None:
        """Event time at which it is over if nothing more comes; None while a signal is open."""
        return incident.quiet_at(self._quiet_us)

    def over_at(self, incident: OpenIncident) -> int | None:
        """`quiet_at`, if event time of the lane that the incident came from has passed it."""
        quiet_at, lane = self.quiet_at(incident), incident.source_lane
        time = max(self._sources.time_of(lane), self._sources.own_time_of(lane))
        return quiet_at if quiet_at is not None and time >= quiet_at else None

    def update_at(self, incident: OpenIncident) -> int:
        """Event time from which news of the incident is written; FAR while there is none."""
        return incident.recorded_at + self._update_us if incident.has_news else FAR

    def due_at(self, incident: OpenIncident) -> int:
        """Event time at which the incident changes if nothing more comes; FAR for never."""
        quiet_at, update_at = self.quiet_at(incident), self.update_at(incident)
        return update_at if quiet_at is None else min(quiet_at, update_at)

    def due_append_at(self, incident: OpenIncident) -> int:
        """Append time after which to look at the incident even if event time does not move."""
        if incident.no_data_append != NEVER:
            return self.given_up_at(incident.no_data_append)
        given_up_at = self.given_up_at(incident.last_append)
        if not incident.signals:
            # Its end waits for event time, which its own lane decides once no lane is active.
            return min(self._sources.still_at, given_up_at)
        heard = [
            self._heard_at(incident, lane) + self._silence_us for lane in incident.signals.lanes
        ]
        return min(heard, default=given_up_at)

    def is_given_up(self, incident: OpenIncident) -> bool:
        """Whether it has waited for data for too long.

        Signals that are only counted have no lane whose silence could be noticed: they wait since
        the last record that concerned the incident.
        """
        since = incident.no_data_append if incident.signals.are_listed else incident.last_append
        return since != NEVER and self._sources.append > self.given_up_at(since)

    def given_up_at(self, append_time: int) -> int:
        """Append time after which what was last heard of at this one is given up."""
        return append_time + self._give_up_us

    def silent_lanes(self, incident: OpenIncident) -> list[int]:
        """Lanes of its signals, those with data, of which nothing was heard for too long."""
        return [
            lane
            for lane in incident.signals.lanes
            if self._sources.append > self._heard_at(incident, lane) + self._silence_us
        ]

    def _heard_at(self, incident: OpenIncident, lane: int) -> int:
        """Append time at which the incident or this lane of it was last heard of."""
        return max(incident.last_append, self._sources.moved_at(lane))
