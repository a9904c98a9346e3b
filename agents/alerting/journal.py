"""Writes the records of alert's decisions, each with its own position in the lane."""

import struct
from collections.abc import Iterable
from typing import Final

from agents.alerting.decisions import Decision, Outcome
from agents.alerting.messages import Delivery, message_id
from agents.alerting.reasons import Reason
from agents.alerting.retrying import Delivered
from schemas.records.incidents import Incident
from schemas.records.notifications import Notification, NotificationOutcome
from streams.state.chunks import seal, unseal
from streams.state.rows import SingleRow

_VERSION: Final = 1
_KEY: Final = b"ledger"
_POSITION: Final = struct.Struct("<qq")


class NotificationJournal:
    """Makes notifications. A notification has the offset of the lane's last record, and an ordinal
    that counts the notifications since that record.
    """

    def __init__(self, lane: int) -> None:
        self._lane: Final = lane
        # Decisions before the first record, as after a command, have this offset.
        self._offset = -1
        self._ordinal = 0
        self._row: Final = SingleRow(_KEY, self._to_row)
        # A lane that never wrote a notification stores no position.
        self._row.settle()

    def turn(self, offset: int) -> None:
        """Begin with the lane's next record."""
        self._offset, self._ordinal = offset, 0

    def begun(self, delivery: Delivery, now: int) -> Decision:
        """Record that a message is to be delivered."""
        record = self._write(delivery, NotificationOutcome.DECIDED, delivery.reason, now)
        return Decision(delivery.reason, delivery.receiver, record, delivery)

    def ended(
        self, delivery: Delivery, outcome: Outcome, *, status: int | None, attempt: int, now: int
    ) -> Decision:
        """Record the outcome of a delivery; the reason is that of the last attempt."""
        is_delivered = isinstance(outcome, Delivered)
        kind = NotificationOutcome.DELIVERED if is_delivered else NotificationOutcome.FAILED
        record = self._write(delivery, kind, outcome.reason, now, attempt, status, outcome.detail)
        return Decision(
            Reason.DELIVERED if is_delivered else Reason.FAILED, delivery.receiver, record
        )

    def dropped(
        self,
        delivery: Delivery,
        outcome: NotificationOutcome,
        reason: Reason,
        now: int,
        detail: str = "",
    ) -> Decision:
        """Record that a decided message is not delivered after all."""
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
        """Record that a revision of an incident has no message of its own.

        `name` is the id that the message would have had, if not the usual one.
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
        # One record of the lane can have many notifications: the ordinal tells them apart.
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

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Continue from its row of these, as `changes` returned it. Raises NewerState."""
        for key, value in rows:
            if is_row(key):
                self._offset, self._ordinal = _POSITION.unpack(
                    unseal(value, _VERSION, "journal")[1]
                )
                self._row.settle()

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """Its row, if it changed since the last call."""
        return self._row.changes()

    def _to_row(self) -> bytes:
        return seal(_VERSION, _POSITION.pack(self._offset, self._ordinal))


def is_row(key: bytes) -> bool:
    """Whether the row under this key belongs to NotificationJournal."""
    return key == _KEY
