"""The records of alert's decisions: each with a place of its own in the lane."""

import struct
from typing import Final

from agents.alerting.decisions import Decision, Outcome
from agents.alerting.messages import Delivery, message_id
from agents.alerting.reasons import Reason
from agents.alerting.retrying import Delivered
from schemas.records.incidents import Incident
from schemas.records.notifications import Notification, NotificationOutcome
from streams.state.chunks import seal, unseal

_VERSION: Final = 1
_POSITION: Final = struct.Struct("<qq")


class NotificationJournal:
    """Makes notifications. A notification's offset is that of the lane's last record, its ordinal
    counts those written since that record came.
    """

    def __init__(self, lane: int) -> None:
        self._lane: Final = lane
        self._offset = -1
        self._ordinal = 0

    def turn(self, offset: int) -> None:
        """The lane's next record is processed."""
        self._offset, self._ordinal = offset, 0

    def begun(self, delivery: Delivery, now: int) -> Decision:
        """A message is to be handed over."""
        record = self._write(delivery, NotificationOutcome.DECIDED, delivery.reason, now)
        return Decision(delivery.reason, delivery.receiver, record, delivery)

    def ended(
        self, delivery: Delivery, outcome: Outcome, *, status: int | None, attempt: int, now: int
    ) -> Decision:
        """Record the outcome of a delivery; the reason is that of the last attempt."""
        is_taken = isinstance(outcome, Delivered)
        kind = NotificationOutcome.DELIVERED if is_taken else NotificationOutcome.FAILED
        record = self._write(delivery, kind, outcome.reason, now, attempt, status, outcome.detail)
        return Decision(Reason.DELIVERED if is_taken else Reason.FAILED, delivery.receiver, record)

    def dropped(
        self,
        delivery: Delivery,
        outcome: NotificationOutcome,
        reason: Reason,
        now: int,
        detail: str = "",
    ) -> Decision:
        """A message is not handed over after all."""
        return Decision(
            reason, delivery.receiver, self._write(delivery, outcome, reason, now, detail=detail)
        )

    def unsent(
        self,
        incident: Incident,
        receiver: str,
        outcome: NotificationOutcome,
        reason: Reason,
        now: int,
        *,
        name: str = "",
        detail: str = "",
    ) -> Decision:
        """A revision of an incident makes no message of its own; `name` is the id of the message
        that it would have been, if not the usual one.
        """
        name = name or message_id(incident, receiver)
        about = Delivery(
            name, incident.tenant, incident.id, incident.revision, receiver, reason, "", now
        )
        return self.dropped(about, outcome, reason, now, detail)

    def _write(
        self,
        delivery: Delivery,
        outcome: NotificationOutcome,
        reason: str,
        now: int,
        attempt: int = 0,
        status: int | None = None,
        detail: str = "",
    ) -> Notification:
        self._ordinal += 1
        return Notification(
            id=delivery.notification_id,
            tenant=delivery.tenant,
            incident_id=delivery.incident_id,
            incident_revision=delivery.incident_revision,
            receiver=delivery.receiver,
            outcome=outcome,
            reason=reason,
            attempt=attempt,
            at=now,
            status_code=status,
            detail=detail,
            body=delivery.body,
            lane=self._lane,
            offset=self._offset,
            ordinal=self._ordinal - 1,
        )

    def row(self) -> bytes:
        """Where the journal stands, as a row of a lane's state."""
        return seal(_VERSION, _POSITION.pack(self._offset, self._ordinal))

    def restore(self, row: bytes) -> None:
        """Go on where `row` says. Raises NewerState."""
        self._offset, self._ordinal = _POSITION.unpack(unseal(row, _VERSION, "journal")[1])
