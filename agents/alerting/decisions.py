"""Decisions of alert: a reason, usually with its record, sometimes with a message to deliver."""

from dataclasses import dataclass

from agents.alerting.messages import Delivery
from agents.alerting.reasons import Reason
from agents.alerting.retrying import Delivered, GiveUp
from schemas.records.control import Audit
from schemas.records.notifications import Notification


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision about one incident and one receiver, or about a summary.

    `notification` is to be durable on `notifications` before `delivery` is begun. `receiver` is
    empty where the decision is the same for all.
    """

    reason: Reason
    receiver: str = ""
    notification: Notification | None = None
    delivery: Delivery | None = None
    audit: Audit | None = None
    """The outcome of a command."""


Outcome = Delivered | GiveUp
"""How the attempts to deliver one message ended."""


@dataclass(frozen=True, slots=True)
class DeliveryEnded:
    """The outcome of a delivery, with the HTTP status of the last attempt if one came."""

    outcome: Outcome
    status: int | None
