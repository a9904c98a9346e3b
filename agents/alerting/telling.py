"""Whether a receiver is told of a record of an open incident."""

from functools import cache
from typing import Final

from agents.alerting.conversation import Conversation
from agents.alerting.matching import Matcher
from agents.alerting.reasons import Reason
from agents.alerting.settings import ReceiverSettings
from agents.alerting.standing import reach
from schemas.records.anomalies import Severity
from schemas.records.incidents import Incident, IncidentChange, IncidentState

QUIET_CHANGES: Final = frozenset(
    {IncidentChange.UPDATED, IncidentChange.NO_DATA, IncidentChange.NEW_LEVEL}
)
"""Changes of an open incident that nobody is told who was not told of it."""

_RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}


ENDS: Final = {
    IncidentState.RESOLVED: Reason.RESOLVED,
    IncidentState.GIVEN_UP: Reason.GIVEN_UP,
    IncidentState.CLOSED: Reason.CLOSED,
}
"""Why an incident's end is told, by how it ended."""


def is_severe_enough(incident: Incident, receiver: ReceiverSettings) -> bool:
    """Whether the receiver hears of incidents as grave as this one is now."""
    return _RANK[incident.severity] >= _RANK[receiver.min_severity]


def concerns(incident: Incident, receiver: ReceiverSettings) -> bool:
    """Whether the receiver's `match` holds for the incident as it is now."""
    return all(_condition(text).concerns(incident) for text in receiver.match)


@cache
def _condition(text: str) -> Matcher:
    return Matcher.parse(text, knows_tenant=True)


def why_told(
    incident: Incident,
    receiver: ReceiverSettings,
    talk: Conversation | None,
    *,
    is_acknowledged: bool,
) -> Reason:
    """The reason to tell of it, or UPDATED_NOT_SENT, BELOW_SEVERITY or NOT_MATCHED; `talk` is what
    was told before, None for nothing.
    """
    if talk is None:
        why_not = Reason.NOT_MATCHED
        if concerns(incident, receiver):
            if is_severe_enough(incident, receiver):
                return Reason.OPENED
            why_not = Reason.BELOW_SEVERITY
        return Reason.UPDATED_NOT_SENT if incident.change in QUIET_CHANGES else why_not
    if incident.change is IncidentChange.ESCALATED:
        # To those who were told nothing yet, since a silence held it back, the rise is the
        # beginning.
        return Reason.OPENED if talk.held == Reason.OPENED else Reason.ESCALATED
    if talk.held:
        # It may have outgrown its silence, which was for less than it is now.
        return Reason(talk.held)
    if incident.change is IncidentChange.NEW_LEVEL and talk.singly:
        return Reason.NEW_LEVEL
    is_wanted = receiver.send_extended and talk.singly and not is_acknowledged
    # While another message waits, that one is news enough.
    has_grown = not talk.queue and reach(incident) > talk.reach
    return Reason.EXTENDED if is_wanted and has_grown else Reason.UPDATED_NOT_SENT
