"""Notifications: decisions to send a message, and the outcomes of sending it."""

from dataclasses import dataclass
from enum import StrEnum

from schemas.avro.coding import Record


class NotificationOutcome(StrEnum):
    """Results of a decision or a delivery."""

    DECIDED = "decided"
    DELIVERED = "delivered"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    SUMMARISED = "summarised"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification(Record):
    """One decision about a message to one receiver, or one outcome of sending it."""

    id: str
    tenant: str
    incident_id: str
    incident_revision: int
    receiver: str
    outcome: NotificationOutcome
    reason: str
    attempt: int
    at: int
    status_code: int | None = None
    detail: str
    body: str
    lane: int
    offset: int
    ordinal: int
