"""Messages in transit: to each receiver one after the other about an incident, or together in a
summary.
"""

from collections import Counter
from typing import Final

from agents.alerting.decisions import Decision, Outcome
from agents.alerting.lane_state import LaneState, thread_key
from agents.alerting.messages import Delivery, incident_message, message_id
from agents.alerting.reasons import Reason
from agents.alerting.retrying import Delivered
from agents.alerting.settings import AlertSettings, ReceiverSettings
from agents.alerting.thread import ANSWERS, Thread
from agents.alerting.tracked_incident import Acknowledgement, reach
from schemas.records.incidents import Incident, IncidentState
from schemas.records.notifications import NotificationOutcome


class Queues:
    """The messages that wait for each receiver, and those in flight: `Alerter` decides which
    messages there are, this class when each begins.
    """

    def __init__(self, settings: AlertSettings, state: LaneState) -> None:
        self._settings: Final = settings
        self._receivers: Final = frozenset(receiver.name for receiver in settings.receivers)
        self._state: Final = state
        self._journal, self._summaries, self._paging = state.journal, state.summaries, state.paging
        self._threads: Final = state.threads
        self._waiting: Counter[str] = Counter()
        self._in_flight: dict[str, bytes] = {}
        self._listed: dict[str, set[bytes]] = {}
        """Keys of the threads that a summary without an outcome lists, by its id; some of them may
        be over.
        """
        self._gone: frozenset[str] = frozenset()

    @property
    def has_gone(self) -> bool:
        """Whether something waits for a receiver that is no longer configured."""
        return bool(self._gone)

    def restored(self) -> None:
        """The state was restored: find the messages in flight."""
        self._gone = self._state.receivers() - self._receivers
        for key, thread in self._threads.view().items():
            self._waiting[thread.receiver] += len(thread.queue)
            for summary in thread.summaries:
                self._listed.setdefault(summary, set()).add(key)
            # What is for a receiver that is gone is given up, not begun again.
            if thread.sending and thread.receiver in self._receivers:
                self._in_flight[thread.queue[0].notification_id] = key

    def why_listed(self, receiver: ReceiverSettings, now: int) -> Reason | None:
        """Why an incident must go into a summary now; None for a message of its own."""
        if self._waiting[receiver.name] >= self._settings.max_waiting:
            return Reason.LISTED_BACKLOG
        return (
            Reason.LISTED_CAP
            if self._paging.is_full(receiver.name, receiver.pages_per_hour, now)
            else None
        )

    def say(
        self,
        incident: Incident,
        receiver: str,
        reason: Reason,
        now: int,
        *,
        acknowledged: Acknowledgement | None,
    ) -> list[Decision]:
        """Queue a message about one incident, and begin it if nothing is before it."""
        key = thread_key(incident.id, receiver)
        thread = self._threads.setdefault(key, Thread(incident.tenant, incident.id, receiver))
        thread.singly = True
        # Only a message that says that it is open delays the next repeat.
        if reason not in ANSWERS:
            thread.held, thread.said_at, thread.reach = "", now, reach(incident)
        thread.queue.append(
            Delivery(
                notification_id=name_of(incident, receiver, reason, thread),
                tenant=incident.tenant,
                incident_id=incident.id,
                incident_revision=incident.revision,
                receiver=receiver,
                reason=reason,
                body=incident_message(
                    incident,
                    reason,
                    self._settings.page_url,
                    self._settings.trace_url,
                    acknowledged,
                ),
                decided_at=now,
            )
        )
        self._waiting[receiver] += 1
        return self.advance(key, now) or [Decision(Reason.WAITS_FOR_EARLIER, receiver)]

    def advance(self, key: bytes, now: int) -> list[Decision]:
        """Begin the thread's next message if it can, drop an end whose start nobody accepted, and
        forget a thread that is over.
        """
        thread = self._threads[key]
        decisions: list[Decision] = []
        while (head := thread.next()) is not None:
            # All messages that said it is open failed: the receiver has nothing to close.
            if head.reason in ANSWERS and not thread.told:
                del thread.queue[0]
                self._waiting[thread.receiver] -= 1
                decisions.append(
                    self._journal.dropped(
                        head, NotificationOutcome.SUPPRESSED, Reason.RESOLVED_NOT_SENT, now
                    )
                )
                continue
            thread.sending = True
            # Its deadline counts from its turn, not from when it had to wait.
            thread.queue[0] = head = head.begun(now, thread.thread)
            self._in_flight[head.notification_id] = key
            decisions.append(self._journal.begun(head, now))
        if thread.is_over:
            del self._threads[key]
        return decisions

    def listed(self, incident: Incident, receiver: str, reason: Reason, now: int) -> Decision:
        """List the incident in a summary; its thread continues only while it is open or more is
        queued.
        """
        key = thread_key(incident.id, receiver)
        thread = self._threads.get(key)
        not_before = (
            self._cap_summary_from(incident, receiver, now) if reason is Reason.LISTED_CAP else 0
        )
        # A thread that only holds a message back has sent its receiver nothing yet.
        is_first = thread is None or bool(thread.held and not thread.told and not thread.singly)
        listed_in = self._summaries.add(
            incident, receiver, is_first=is_first, now=now, not_before=not_before
        )
        if thread is None and incident.state is IncidentState.OPEN:
            thread = self._threads[key] = Thread(incident.tenant, incident.id, receiver)
        if thread is not None:
            thread.held = ""
            if listed_in is not None and listed_in not in thread.summaries:
                thread.summaries.append(listed_in)
                self._listed.setdefault(listed_in, set()).add(key)
            if thread.is_over:
                del self._threads[key]
        return self._journal.unsent(incident, receiver, NotificationOutcome.SUMMARISED, reason, now)

    def unsent(self, incident: Incident, receiver: str, reason: Reason, now: int) -> Decision:
        """Record the decision not to send."""
        return self._journal.unsent(incident, receiver, NotificationOutcome.SUPPRESSED, reason, now)

    def on_outcome(
        self, notification_id: str, outcome: Outcome, *, status: int | None, attempt: int, now: int
    ) -> list[Decision]:
        """As `Alerter.on_outcome`."""
        key = self._in_flight.pop(notification_id, None)
        if key is None:
            summary = self._summaries.settle(notification_id)
            # Neither in flight nor a summary: its outcome was noted before.
            return (
                []
                if summary is None
                else self._after_summary(summary, outcome, status, attempt, now)
            )
        thread = self._threads[key]
        # Only the first of a queue is ever in delivery.
        delivery = thread.queue.pop(0)
        self._waiting[thread.receiver] -= 1
        thread.sending = False
        if delivery.reason not in ANSWERS:
            thread.told |= isinstance(outcome, Delivered)
        if isinstance(outcome, Delivered) and outcome.thread:
            thread.thread = outcome.thread
        ended = self._journal.ended(delivery, outcome, status=status, attempt=attempt, now=now)
        return [ended, *self.advance(key, now)]

    def is_pending(self, notification_id: str) -> bool:
        """Whether this delivery was begun and has no outcome yet."""
        return notification_id in self._in_flight or self._summaries.is_sending(notification_id)

    def pending(self) -> list[Delivery]:
        """As `Alerter.pending`."""
        begun = [self._threads.view()[key].queue[0] for key in self._in_flight.values()]
        begun += [
            summary for summary in self._summaries.sending() if summary.receiver in self._receivers
        ]
        # In the same order after every restart.
        return sorted(begun, key=lambda d: (d.decided_at, d.notification_id))

    def give_up_gone(self, now: int) -> list[Decision]:
        """Give up the messages to receivers that are no longer configured."""
        if not self._gone:
            return []
        given_up: list[Delivery] = []
        for key, thread in sorted(self._threads.view().items()):
            if thread.receiver in self._gone:
                given_up += thread.queue
                del self._threads[key]
        # Summaries that still collect go with their rows: no message was begun.
        given_up += self._summaries.drop(self._gone)
        self._paging.drop(self._gone)
        self._gone = frozenset()
        return [
            self._journal.dropped(d, NotificationOutcome.FAILED, Reason.RECEIVER_GONE, now)
            for d in given_up
        ]

    def _after_summary(
        self, summary: Delivery, outcome: Outcome, status: int | None, attempt: int, now: int
    ) -> list[Decision]:
        """Continue the threads that the summary listed."""
        decisions = [self._journal.ended(summary, outcome, status=status, attempt=attempt, now=now)]
        for key in sorted(self._listed.pop(summary.notification_id, ())):
            thread = self._threads.get(key)
            if thread is not None and summary.notification_id in thread.summaries:
                thread.summaries.remove(summary.notification_id)
                thread.told |= isinstance(outcome, Delivered)
                decisions += self.advance(key, now)
        return decisions

    def _cap_summary_from(self, incident: Incident, receiver: str, now: int) -> int:
        """Earliest time, µs, of the summary for this incident: a receiver over its rate limit gets
        one summary an hour.
        """
        start = self._paging.summary_from(receiver, incident.tenant, now)
        if self._summaries.collecting(incident.tenant, receiver) is None:
            self._paging.summed(receiver, incident.tenant, start)
            return start
        return 0


def name_of(incident: Incident, receiver: str, reason: Reason, thread: Thread) -> str:
    """The id of a message. A revision has one message; repeats and an acknowledgement of the same
    revision have ids of their own.
    """
    if reason is Reason.REPEATED:
        return message_id(incident, receiver, reason, thread.repeats)
    return message_id(incident, receiver, *([reason] if reason is Reason.ACKNOWLEDGED else []))
