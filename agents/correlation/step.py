"""The incidents that one record of a lane makes."""

from agents.correlation.open_incident import OpenIncident
from schemas.records.incidents import Incident, IncidentChange, IncidentState


class Step:
    """Numbers the incidents of one record: their ordinals count within it."""

    def __init__(self, lane: int, offset: int, append_time: int) -> None:
        self._lane, self._offset, self.append_time = lane, offset, append_time
        self.made: list[Incident] = []

    def write(
        self,
        incident: OpenIncident,
        change: IncidentChange,
        state: IncidentState = IncidentState.OPEN,
        ended_at: int | None = None,
    ) -> None:
        """Make the incident's next revision; `ended_at` is its end in event time, µs."""
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
