"""Which receivers get an incident, and what each of them is sent about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from agents.alerting.matching import Matcher
from agents.alerting.reasons import Reason
from agents.alerting.settings import ReceiverSettings
from agents.alerting.thread import Thread
from agents.alerting.tracked_incident import reach
from schemas.records.anomalies import Severity
from schemas.records.incidents import Incident, IncidentChange, IncidentState

QUIET_CHANGES: Final = frozenset(
    {IncidentChange.UPDATED, IncidentChange.NO_DATA, IncidentChange.NEW_LEVEL}
)
"""Changes of an open incident that are no news to a receiver without a message about it."""

ENDS: Final = {
    IncidentState.RESOLVED: Reason.RESOLVED,
    IncidentState.GIVEN_UP: Reason.GIVEN_UP,
    IncidentState.CLOSED: Reason.CLOSED,
}
"""Reason of the message about an incident's end, by how it ended."""

_RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class Route:
    """Whether one receiver gets an incident as it is now, and why."""

    receiver: ReceiverSettings
    reason: Reason
    """OPENED where it does; otherwise NOT_MATCHED or BELOW_SEVERITY."""

    @property
    def is_open(self) -> bool:
        """Whether the receiver gets the incident."""
        return self.reason is Reason.OPENED

    @property
    def is_matched(self) -> bool:
        """Whether the incident is one of the receiver's, severe enough or not."""
        return self.reason is not Reason.NOT_MATCHED


class Router:
    """The one place that decides which receivers get an incident; pure, and the same for all lanes.

    Silences, rate limits and what a receiver has been sent before come after it.
    """

    def __init__(self, receivers: Iterable[ReceiverSettings]) -> None:
        # Parsed once: an incident is routed with every record about it.
        self._receivers: Final = [
            (receiver, [Matcher.parse(text, knows_tenant=True) for text in receiver.match])
            for receiver in receivers
        ]

    def routes(self, incident: Incident) -> list[Route]:
        """A route for every receiver, in the order of the settings."""
        return [
            Route(receiver, _reason(incident, receiver, matchers))
            for receiver, matchers in self._receivers
        ]


def _reason(incident: Incident, receiver: ReceiverSettings, matchers: list[Matcher]) -> Reason:
    if not all(matcher.concerns(incident) for matcher in matchers):
        return Reason.NOT_MATCHED
    if _RANK[incident.severity] < _RANK[receiver.min_severity]:
        return Reason.BELOW_SEVERITY
    return Reason.OPENED


def news(
    incident: Incident, route: Route, thread: Thread | None, *, is_acknowledged: bool
) -> Reason:
    """The reason to send a message about an open incident, or that not to: UPDATED_NOT_SENT,
    BELOW_SEVERITY or NOT_MATCHED.

    `thread` is what the receiver was sent before, None for nothing. A receiver with a thread stays
    in it, whatever its route is by now.
    """
    if thread is None:
        if not route.is_open and incident.change in QUIET_CHANGES:
            return Reason.UPDATED_NOT_SENT
        return route.reason
    if incident.change is IncidentChange.ESCALATED:
        # A receiver whose first message a silence holds back has not heard of the incident: to it
        # the rise is the beginning.
        return Reason.OPENED if thread.held == Reason.OPENED else Reason.ESCALATED
    if thread.held:
        # It may have outgrown its silence, which was for less than it is now.
        return Reason(thread.held)
    if incident.change is IncidentChange.NEW_LEVEL and thread.singly:
        return Reason.NEW_LEVEL
    is_wanted = route.receiver.send_extended and thread.singly and not is_acknowledged
    # While another message waits, that one is news enough.
    has_grown = not thread.queue and reach(incident) > thread.reach
    return Reason.EXTENDED if is_wanted and has_grown else Reason.UPDATED_NOT_SENT
