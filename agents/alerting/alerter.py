"""Which message about which incident goes to whom, and in which order."""

import struct
from collections import Counter
from collections.abc import Mapping
from typing import Final

from agents.alerting.conversation import Conversation
from agents.alerting.decisions import Decision, Outcome
from agents.alerting.ledger import Ledger
from agents.alerting.messages import Delivery, incident_message, message_id
from agents.alerting.reasons import Reason
from agents.alerting.retrying import Delivered
from agents.alerting.settings import AlertSettings, ReceiverSettings
from agents.alerting.summaries import Summaries, is_row
from schemas.records import Incident, IncidentChange, IncidentState, NotificationOutcome, Severity
from streams.pages import NewerState, seal, unseal

_VERSION: Final = 1
_PAIR: Final = struct.Struct("<qq")
_LEDGER_KEY: Final = b"ledger"
_SOURCE_KEY: Final = b"source/"
_TOLD_KEY: Final = b"told/"
_RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}


class Alerter:
    """The state of one lane of `incidents`, on virtual time: every call is handed `now`, the wall clock in µs.

    A call returns decisions, in order. Their notifications are to be durable before their deliveries begin; a delivery is tried, by
    `retrying.after_attempt`, until it is Delivered or GiveUp, which `on_outcome` is told. Deliveries of one call, and those of different incidents,
    may run side by side. At `next_wake`, `on_wake` is to be called.

    Told are the first record of an incident that is open and severe enough, each rise of its severity, and its end, the last only to those that
    took a message that it is open. Messages about one incident reach a receiver one after the other. What is older than `alert_max_age_s` on
    arrival, or meets a receiver with `max_waiting` messages, goes into a summary instead. But the end of an incident that was told singly is told
    singly at any age: it pages nobody, and the receiver still shows the incident as open.
    """

    def __init__(self, settings: AlertSettings, lane: int) -> None:
        self._settings: Final = settings
        self._receivers: Final = frozenset(receiver.name for receiver in settings.receivers)
        self._max_age_us: Final = round(settings.alert_max_age_s * 1e6)
        self._ledger: Final = Ledger(lane)
        self._summaries: Final = Summaries(settings)
        self._talks: dict[bytes, Conversation] = {}
        self._sources: dict[int, tuple[int, int]] = {}
        self._touched: set[bytes] = set()
        self._waiting: Counter[str] = Counter()
        self._in_flight: dict[str, bytes] = {}
        self._gone: frozenset[str] = frozenset()

    def on_incident(self, incident: Incident, *, offset: int, now: int) -> list[Decision]:
        """A record of the lane came, from `offset`.

        One at or below the highest (offset, ordinal) of its correlate lane came before: nothing happens.
        """
        place = (incident.offset, incident.ordinal)
        if place <= self._sources.get(incident.lane, (-1, -1)):
            return [Decision(Reason.DUPLICATE)]
        self._sources[incident.lane] = place
        self._touched |= {_source_key(incident.lane), _LEDGER_KEY}
        self._ledger.turn(offset)
        decisions: list[Decision] = []
        for receiver in self._settings.receivers:
            if incident.state is IncidentState.RESOLVED:
                decisions += self._on_resolved(incident, receiver, now)
            else:
                decisions += self._on_open(incident, receiver, now)
        return decisions

    def on_outcome(
        self, notification_id: str, outcome: Outcome, *, status: int | None, attempt: int, now: int
    ) -> list[Decision]:
        """The fate of a delivery is known, after `attempt` attempts, the last with this HTTP status.

        A delivery whose fate was known before changes nothing.
        """
        key = self._in_flight.pop(notification_id, None)
        if key is None:
            summary = self._summaries.settle(notification_id)
            return [] if summary is None else self._after_summary(summary, outcome, status, attempt, now)
        talk = self._talks[key]
        delivery = talk.queue.pop(0)
        self._waiting[talk.receiver] -= 1
        talk.sending = False
        if delivery.reason is not Reason.RESOLVED:
            talk.told |= isinstance(outcome, Delivered)
        self._touched.add(_LEDGER_KEY)
        ended = self._ledger.ended(delivery, outcome, status=status, attempt=attempt, now=now)
        return [ended, *self._advance(key, now)]

    def on_wake(self, now: int) -> list[Decision]:
        """Time has come to `next_wake`, or past it: summaries that are due are decided. A call too early does nothing."""
        decisions = self._give_up_gone(now) if self._gone else []
        decisions += [self._ledger.begun(delivery, now) for delivery in self._summaries.take_due(now)]
        if decisions:
            self._touched.add(_LEDGER_KEY)
        return decisions

    def next_wake(self) -> int | None:
        """When to call `on_wake`, µs; a time that has passed means now, None that nothing waits for time."""
        return 0 if self._gone else self._summaries.next_due()

    def pending(self) -> list[Delivery]:
        """The deliveries that were begun and have no outcome yet, oldest first.

        After `restore` they are to be begun again, under the same ids.
        """
        begun = [self._talks[key].queue[0] for key in self._in_flight.values()]
        begun += [summary for summary in self._summaries.sending() if summary.receiver in self._receivers]
        return sorted(begun, key=lambda d: (d.decided_at, d.notification_id))

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Take over a lane's state, once, before its first record: keys and values as `changed` gave them, tombstones left out.

        Messages that wait for a receiver that is no longer configured are given up at the next wake. Raises NewerState when a newer version wrote
        the rows.
        """
        for key, value in rows.items():
            if key.startswith(_TOLD_KEY):
                self._talks[key] = Conversation.from_row(value)
            elif key.startswith(_SOURCE_KEY):
                self._sources[int(key.removeprefix(_SOURCE_KEY))] = _pair(value)
            elif key == _LEDGER_KEY:
                self._ledger.restore(value)
            elif not is_row(key):
                raise NewerState(f"alert's state has a row {key!r} that this program does not know")
        self._summaries.restore((key, value) for key, value in rows.items() if is_row(key))
        self._gone = self._summaries.receivers().union(t.receiver for t in self._talks.values()) - self._receivers
        for key, talk in self._talks.items():
            self._waiting[talk.receiver] += len(talk.queue)
            if talk.sending and talk.receiver in self._receivers:
                self._in_flight[talk.queue[0].notification_id] = key

    def changed(self) -> list[tuple[bytes, bytes | None]]:
        """Key and value of every row that changed since the last call, None for one that is gone; never more than one a key."""
        rows = [(key, self._row(key)) for key in sorted(self._touched)]
        self._touched.clear()
        return rows + self._summaries.changed()

    def _on_open(self, incident: Incident, receiver: ReceiverSettings, now: int) -> list[Decision]:
        talk = self._talks.get(_talk_key(incident, receiver.name))
        if talk is not None and incident.change is not IncidentChange.ESCALATED:
            self._summaries.refresh(incident, receiver.name)
            return [Decision(Reason.UPDATED_NOT_SENT, receiver.name)]
        if _RANK[incident.severity] < _RANK[receiver.min_severity]:
            if incident.change is IncidentChange.UPDATED:
                return [Decision(Reason.UPDATED_NOT_SENT, receiver.name)]
            return [self._unsent(incident, receiver.name, Reason.BELOW_SEVERITY, now)]
        listed = self._why_listed(incident, receiver.name, now)
        if listed is not None:
            return [self._listed(incident, receiver.name, listed, now)]
        self._summaries.refresh(incident, receiver.name)
        return self._say(incident, receiver.name, Reason.OPENED if talk is None else Reason.ESCALATED, now)

    def _on_resolved(self, incident: Incident, receiver: ReceiverSettings, now: int) -> list[Decision]:
        key = _talk_key(incident, receiver.name)
        talk = self._talks.get(key)
        if talk is None:
            # Nobody was told. Compaction may have left only the end of what would have been listed, so an old one is.
            if self._is_old(incident, now) and _RANK[incident.severity] >= _RANK[receiver.min_severity]:
                return [self._listed(incident, receiver.name, Reason.LISTED_OLD, now)]
            return [self._unsent(incident, receiver.name, Reason.RESOLVED_NOT_SENT, now)]
        talk.resolved = True
        collecting = talk.summary and talk.summary == self._summaries.collecting(incident.tenant, receiver.name)
        if not talk.singly and (collecting or (self._is_old(incident, now) and receiver.send_resolved)):
            return [self._listed(incident, receiver.name, Reason.LISTED_AGAIN, now)]
        self._summaries.refresh(incident, receiver.name)
        if receiver.send_resolved:
            return self._say(incident, receiver.name, Reason.RESOLVED, now)
        return [self._unsent(incident, receiver.name, Reason.RESOLVED_NOT_WANTED, now), *self._advance(key, now)]

    def _why_listed(self, incident: Incident, receiver: str, now: int) -> Reason | None:
        if self._is_old(incident, now):
            return Reason.LISTED_OLD
        return Reason.LISTED_BACKLOG if self._waiting[receiver] >= self._settings.max_waiting else None

    def _is_old(self, incident: Incident, now: int) -> bool:
        return now - incident.updated_at > self._max_age_us

    def _say(self, incident: Incident, receiver: str, reason: Reason, now: int) -> list[Decision]:
        """Queue a message of its own, and begin it if its turn has come."""
        key = _talk_key(incident, receiver)
        talk = self._talks.setdefault(key, Conversation(incident.tenant, incident.id, receiver))
        talk.singly = True
        talk.queue.append(
            Delivery(
                notification_id=message_id(incident, receiver),
                tenant=incident.tenant,
                incident_id=incident.id,
                incident_revision=incident.revision,
                receiver=receiver,
                reason=reason,
                body=incident_message(incident, reason, self._settings.page_url),
                decided_at=now,
            )
        )
        self._waiting[receiver] += 1
        return self._advance(key, now) or [Decision(Reason.WAITS_FOR_EARLIER, receiver)]

    def _advance(self, key: bytes, now: int) -> list[Decision]:
        """Begin what can begin now, drop the end that nobody waits for, forget a conversation that is over."""
        talk = self._talks[key]
        self._touched.add(key)
        decisions: list[Decision] = []
        while (head := talk.next()) is not None:
            if head.reason is Reason.RESOLVED and not talk.told:
                del talk.queue[0]
                self._waiting[talk.receiver] -= 1
                decisions.append(
                    self._ledger.dropped(head, NotificationOutcome.SUPPRESSED, Reason.RESOLVED_NOT_SENT, now)
                )
                continue
            talk.sending = True
            talk.queue[0] = head = head.begun(now)
            self._in_flight[head.notification_id] = key
            decisions.append(self._ledger.begun(head, now))
        if talk.is_over:
            del self._talks[key]
        return decisions

    def _listed(self, incident: Incident, receiver: str, reason: Reason, now: int) -> Decision:
        """List the incident in a summary; its conversation goes on only while it is open or more is queued."""
        key = _talk_key(incident, receiver)
        talk = self._talks.get(key)
        listed_in = self._summaries.add(incident, receiver, is_first=talk is None, now=now)
        self._touched.add(key)
        if talk is None and incident.state is IncidentState.OPEN:
            talk = self._talks[key] = Conversation(incident.tenant, incident.id, receiver)
        if talk is not None:
            talk.summary = listed_in or talk.summary
            if talk.is_over:
                del self._talks[key]
        return self._ledger.unsent(incident, receiver, NotificationOutcome.SUMMARISED, reason, now)

    def _after_summary(
        self, summary: Delivery, outcome: Outcome, status: int | None, attempt: int, now: int
    ) -> list[Decision]:
        """Those that the summary told of may go on."""
        self._touched.add(_LEDGER_KEY)
        decisions = [self._ledger.ended(summary, outcome, status=status, attempt=attempt, now=now)]
        for key, talk in sorted(self._talks.items()):
            if talk.summary == summary.notification_id:
                talk.summary = ""
                talk.told |= isinstance(outcome, Delivered)
                decisions += self._advance(key, now)
        return decisions

    def _give_up_gone(self, now: int) -> list[Decision]:
        """Give up what waits for receivers that are no longer configured."""
        given_up: list[Delivery] = []
        for key, talk in sorted(self._talks.items()):
            if talk.receiver in self._gone:
                given_up += talk.queue
                self._touched.add(key)
                del self._talks[key]
        given_up += self._summaries.drop(self._gone)
        self._gone = frozenset()
        return [self._ledger.dropped(d, NotificationOutcome.FAILED, Reason.RECEIVER_GONE, now) for d in given_up]

    def _unsent(self, incident: Incident, receiver: str, reason: Reason, now: int) -> Decision:
        return self._ledger.unsent(incident, receiver, NotificationOutcome.SUPPRESSED, reason, now)

    def _row(self, key: bytes) -> bytes | None:
        if key == _LEDGER_KEY:
            return self._ledger.row()
        if key.startswith(_SOURCE_KEY):
            return seal(_VERSION, _PAIR.pack(*self._sources[int(key.removeprefix(_SOURCE_KEY))]))
        return self._talks[key].row() if key in self._talks else None


def _pair(value: bytes) -> tuple[int, int]:
    first, second = _PAIR.unpack(unseal(value, _VERSION, "correlate lanes")[1])
    return first, second


def _source_key(lane: int) -> bytes:
    return b"%s%d" % (_SOURCE_KEY, lane)


def _talk_key(incident: Incident, receiver: str) -> bytes:
    return b"%s%s/%s" % (_TOLD_KEY, incident.id.encode(), receiver.encode())
