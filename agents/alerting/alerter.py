"""Decides which messages about which incidents go to which receivers, and in which order."""

from collections.abc import Mapping
from typing import Final

from agents.alerting.auditing import Asked, audit
from agents.alerting.decisions import Decision, Outcome
from agents.alerting.lane_state import LaneState, thread_key
from agents.alerting.messages import Delivery
from agents.alerting.paging import PageCount
from agents.alerting.queues import Queues, name_of
from agents.alerting.reasons import Reason
from agents.alerting.reminders import Reminders
from agents.alerting.routing import ENDS, QUIET_CHANGES, Route, Router, news
from agents.alerting.settings import AlertSettings, ReceiverSettings
from agents.alerting.thread import Thread
from agents.alerting.tracked_incident import Acknowledgement, TrackedIncident
from schemas.records.control import AuditOutcome, Command, CommandKind
from schemas.records.incidents import Incident, IncidentState
from schemas.records.notifications import NotificationOutcome

_MAX_AUTHOR: Final = 200
_MAX_COMMENT: Final = 2000


class Alerter:
    """The policy and state of one lane of `incidents`, on virtual time: each call gets `now`, the
    wall clock in µs.

    A call returns decisions, in order. Their notifications must be durable before their deliveries
    begin. A delivery is tried, by `retrying.after_attempt`, until it is Delivered or GiveUp, which
    `on_outcome` notes. Deliveries of one call, and those of different incidents, may run side by
    side. `on_wake` is to be called at `next_wake`.

    A receiver gets a message for the first record of an open incident that is routed to it, for
    each escalation, on request (`send_extended`) for each model, user or metric that joins, for
    every `repeat_interval_s` that the incident stays open, and for its acknowledgement and end; the
    last two only if it accepted a message that the incident is open. Messages about one incident
    reach a receiver one after the other.

    An incident goes into a summary instead if it is older than `alert_max_age_s` on arrival, or the
    receiver has `max_waiting` messages waiting, or had its `pages_per_hour`. A message that a
    silence holds back is sent when the silence ends, unless the incident has ended or is
    acknowledged by then. But the end of an incident that had a message of its own is sent as one at
    any age: it pages nobody, and the receiver still shows the incident as open.
    """

    def __init__(self, settings: AlertSettings, lane: int, pages: PageCount | None = None) -> None:
        self._router: Final = Router(settings.receivers)
        self._receivers: Final = {receiver.name: receiver for receiver in settings.receivers}
        self._max_age_us: Final = round(settings.alert_max_age_s * 1e6)
        state = self._state = LaneState(settings, lane, pages)
        self._journal, self._summaries, self._silences = (
            state.journal,
            state.summaries,
            state.silences,
        )
        self._paging, self._tracked, self._threads = state.paging, state.open, state.threads
        self._sources: Final = state.sources
        self.commands: Final = state.commands
        """How far the lane is in `commands`."""
        self._queues: Final = Queues(settings, state)
        self._reminders: Final = Reminders(settings, state)
        self._over: TrackedIncident | None = None
        """The incident that ended last: the message about its end names who acknowledged it."""

    def on_incident(self, incident: Incident, *, offset: int, now: int) -> list[Decision]:
        """Process the lane's record at `offset`; a repeated one, as `CorrelateLanes` knows it,
        changes nothing.
        """
        if not self._sources.is_new(incident, self._tracked.view().get(incident.id), now):
            return [Decision(Reason.DUPLICATE)]
        self._journal.turn(offset)
        # Before routing: an end leaves its acknowledgement in `_over` for the message about it.
        self._track(incident)
        routes = self._router.routes(incident)
        if self._is_unrouted(incident, routes):
            return [self._queues.unsent(incident, "", Reason.NOT_ROUTED, now)]
        follow = self._on_open if incident.state is IncidentState.OPEN else self._on_resolved
        return [decision for route in routes for decision in follow(incident, route, now)]

    @property
    def taken_back(self) -> int:
        """How often a record had named a position beyond the end of its correlate lane's log, since
        the start.
        """
        return self._sources.taken_back

    def on_command(self, asked: Asked, now: int) -> list[Decision]:
        """Obey a command; a repeated one, by its partition's offset, changes nothing.

        Every lane obeys silences; an acknowledgement is for the lane that has the incident, which
        is also the one that answers it.
        """
        if not self.commands.passed(asked.partition, asked.offset):
            return []
        command, decisions = asked.command, list[Decision]()
        match command.kind:
            case CommandKind.SILENCE:
                outcome, detail = self._silences.add(command, now)
            case CommandKind.EXPIRE:
                outcome, detail = self._silences.expire(command)
                decisions = self._release(now)
            case CommandKind.ACKNOWLEDGE:
                if not asked.is_answered_here:
                    return []
                outcome, detail, decisions = self._acknowledge(command, now)
            case CommandKind.CLOSE:
                outcome, detail = (
                    AuditOutcome.REFUSED,
                    "incidents are closed by a record in their lane of anomalies",
                )
        if asked.is_answered_here:
            decisions.append(Decision(Reason.COMMANDED, audit=audit(asked, outcome, detail, now)))
        return decisions

    def on_outcome(
        self, notification_id: str, outcome: Outcome, *, status: int | None, attempt: int, now: int
    ) -> list[Decision]:
        """Note the outcome of a delivery after `attempt` attempts, the last with this HTTP status.

        A delivery that had its outcome before changes nothing.
        """
        return self._queues.on_outcome(
            notification_id, outcome, status=status, attempt=attempt, now=now
        )

    def on_wake(self, now: int) -> list[Decision]:
        """Decide everything that is due; a call before `next_wake` does nothing."""
        decisions = self._queues.give_up_gone(now)
        if self._silences.forget_ended(now):
            decisions += self._release(now)
        decisions += self._repeat(now)
        decisions += [
            self._journal.begun(delivery, now) for delivery in self._summaries.begin_due(now)
        ]
        return decisions

    def next_wake(self) -> int | None:
        """When to call `on_wake`, µs: a time in the past means now, None that nothing waits."""
        if self._queues.has_gone:
            return 0
        times = (
            self._summaries.next_due(),
            self._silences.next_end(),
            self._reminders.next_repeat(),
        )
        return min((time for time in times if time is not None), default=None)

    def is_pending(self, notification_id: str) -> bool:
        """Whether this delivery was begun and has no outcome yet."""
        return self._queues.is_pending(notification_id)

    def pending(self) -> list[Delivery]:
        """The deliveries that were begun and have no outcome yet, oldest first.

        After `restore` they are to be begun again, under the same ids.
        """
        return self._queues.pending()

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Restore a lane's state, once, before its first record: the rows of `changed` without
        tombstones.

        Messages that wait for a receiver that is no longer configured are given up at the next
        wake. Raises NewerState when a newer version wrote the rows.
        """
        self._state.restore(rows)
        self._queues.restored()

    def changed(self) -> list[tuple[bytes, bytes | None]]:
        """Key and value of every row that changed since the last call, at most one for a key; None
        for a row that is gone.
        """
        return self._state.changes()

    def _on_open(self, incident: Incident, route: Route, now: int) -> list[Decision]:
        receiver = route.receiver
        # Only read: most records of an open incident send nothing, and change no thread.
        thread = self._threads.view().get(thread_key(incident.id, receiver.name))
        is_acknowledged = bool(self._acknowledged_by(incident))
        reason = news(incident, route, thread, is_acknowledged=is_acknowledged)
        if reason is Reason.UPDATED_NOT_SENT:
            self._summaries.refresh(incident, receiver.name)
            return [Decision(reason, receiver.name)]
        if reason in (Reason.BELOW_SEVERITY, Reason.NOT_MATCHED):
            return [self._queues.unsent(incident, receiver.name, reason, now)]
        if reason is Reason.NEW_LEVEL:
            if self._silences.of(incident, now) is not None:
                return [Decision(Reason.UPDATED_NOT_SENT, receiver.name)]
            # An update for receivers that know the incident, not a page: neither its age nor the
            # rate limit matters.
            return self._say(incident, receiver.name, reason, now)
        return self._page(incident, receiver, reason, now)

    def _is_unrouted(self, incident: Incident, routes: list[Route]) -> bool:
        """Whether this is news of an open incident that no receiver's `match` holds for, and that
        no receiver has a thread about.
        """
        if incident.state is not IncidentState.OPEN or incident.change in QUIET_CHANGES:
            return False
        return not any(
            route.is_matched or thread_key(incident.id, route.receiver.name) in self._threads
            for route in routes
        )

    def _page(
        self,
        incident: Incident,
        receiver: ReceiverSettings,
        reason: Reason,
        now: int,
        *,
        at_any_age: bool = False,
    ) -> list[Decision]:
        """Send that the incident is open, on its own or in a summary, unless a silence holds it
        back.
        """
        silence = self._silences.of(incident, now)
        if silence is not None:
            return self._hold(incident, receiver.name, reason, silence.id, now)
        listed = self._why_listed(incident, receiver, now, at_any_age=at_any_age)
        if listed is not None:
            return [self._queues.listed(incident, receiver.name, listed, now)]
        # A summary that lists it as well must not contradict the message.
        self._summaries.refresh(incident, receiver.name)
        if receiver.pages_per_hour is not None:
            self._paging.paged(receiver.name, now)
        return self._say(incident, receiver.name, reason, now)

    def _hold(
        self, incident: Incident, receiver: str, reason: Reason, silence_id: str, now: int
    ) -> list[Decision]:
        key = thread_key(incident.id, receiver)
        thread = self._threads.setdefault(key, Thread(incident.tenant, incident.id, receiver))
        is_new = thread.held != reason
        # A held message of more weight, such as the first one, is not replaced by a lesser one.
        if thread.held in ("", Reason.REPEATED, Reason.EXTENDED):
            thread.held = reason
        if not is_new and incident.change in QUIET_CHANGES:
            return [Decision(Reason.UPDATED_NOT_SENT, receiver)]
        name = name_of(incident, receiver, reason, thread)
        held = NotificationOutcome.SUPPRESSED
        return [
            self._journal.unsent(
                incident, receiver, held, Reason.SILENCED, now, name=name, detail=silence_id
            )
        ]

    def _release(self, now: int) -> list[Decision]:
        """Send what no silence holds back any more."""
        decisions: list[Decision] = []
        for thread in self._reminders.held():
            known = self._tracked.view().get(thread.incident_id)
            receiver = self._receivers.get(thread.receiver)
            if known is None or receiver is None or self._silences.of(known.incident, now):
                continue
            # It is old because a person held it back, not because this worker was away.
            decisions += self._page(
                known.incident, receiver, Reason(thread.held), now, at_any_age=True
            )
        return decisions

    def _repeat(self, now: int) -> list[Decision]:
        """Send again what is still open."""
        decisions: list[Decision] = []
        for thread in self._reminders.pop_repeats(now):
            incident = self._tracked.view()[thread.incident_id].incident
            # Counted also if a silence then holds it back: the next one is due an interval later.
            thread.said_at, thread.repeats = now, thread.repeats + 1
            decisions += self._page(
                incident, self._receivers[thread.receiver], Reason.REPEATED, now, at_any_age=True
            )
        return decisions

    def _acknowledge(self, command: Command, now: int) -> tuple[AuditOutcome, str, list[Decision]]:
        known = self._tracked.get(command.target)
        if known is None or known.incident.tenant != command.tenant:
            return AuditOutcome.REFUSED, "no incident of this tenant with this id is open", []
        # The first one counts: its author is named in every later message.
        if known.acknowledged_by:
            return AuditOutcome.REPEATED, f"already acknowledged by {known.acknowledged_by}", []
        known.acknowledgement = Acknowledgement(
            command.author[:_MAX_AUTHOR] or "somebody", command.at, command.comment[:_MAX_COMMENT]
        )
        decisions: list[Decision] = []
        for name in self._receivers:
            key = thread_key(known.incident.id, name)
            if (thread := self._threads.get(key)) is not None:
                # A person is on it: what a silence holds back need not be sent when that ends.
                thread.held = ""
                if thread.singly:
                    decisions += self._say(known.incident, name, Reason.ACKNOWLEDGED, now)
        return AuditOutcome.APPLIED, "", decisions

    def _track(self, incident: Incident) -> None:
        """Keep the newest record of the incident while it is open."""
        known = self._tracked.get(incident.id)
        if incident.state is not IncidentState.OPEN:
            self._over = self._tracked.pop(incident.id, None)
        elif known is None:
            self._tracked[incident.id] = TrackedIncident(incident)
        else:
            known.incident = incident

    def _acknowledged_by(self, incident: Incident) -> str:
        known = self._tracked.view().get(incident.id)
        return "" if known is None else known.acknowledged_by

    def _on_resolved(self, incident: Incident, route: Route, now: int) -> list[Decision]:
        receiver = route.receiver
        key = thread_key(incident.id, receiver.name)
        thread = self._threads.get(key)
        if thread is None:
            return [self._end_of_unsent(incident, route, now)]
        thread.resolved, held, thread.held = True, thread.held, ""
        # Only a silence knew of it: the receiver heard of neither start nor end.
        if held and not (thread.singly or thread.told or thread.summaries):
            del self._threads[key]
            return [self._queues.unsent(incident, receiver.name, Reason.RESOLVED_NOT_SENT, now)]
        collecting = self._summaries.collecting(incident.tenant, receiver.name) in thread.summaries
        if not thread.singly and (
            collecting or (self._is_old(incident, now) and receiver.send_resolved)
        ):
            return [self._queues.listed(incident, receiver.name, Reason.LISTED_AGAIN, now)]
        self._summaries.refresh(incident, receiver.name)
        if receiver.send_resolved:
            return self._say(incident, receiver.name, ENDS[incident.state], now)
        return [
            self._queues.unsent(incident, receiver.name, Reason.RESOLVED_NOT_WANTED, now),
            *self._queues.advance(key, now),
        ]

    def _end_of_unsent(self, incident: Incident, route: Route, now: int) -> Decision:
        receiver = route.receiver.name
        is_silenced = self._silences.of(incident, now) is not None
        # Compaction may have left only the last record of an incident that would have been listed
        # for its age: then its end is.
        if route.is_open and self._is_old(incident, now) and not is_silenced:
            return self._queues.listed(incident, receiver, Reason.LISTED_OLD, now)
        return self._queues.unsent(incident, receiver, Reason.RESOLVED_NOT_SENT, now)

    def _say(self, incident: Incident, receiver: str, reason: Reason, now: int) -> list[Decision]:
        known = self._tracked.view().get(incident.id)
        if known is None and self._over is not None and self._over.incident.id == incident.id:
            known = self._over
        acknowledged = None if known is None else known.acknowledgement
        return self._queues.say(incident, receiver, reason, now, acknowledged=acknowledged)

    def _why_listed(
        self, incident: Incident, receiver: ReceiverSettings, now: int, *, at_any_age: bool
    ) -> Reason | None:
        if not at_any_age and self._is_old(incident, now):
            return Reason.LISTED_OLD
        return self._queues.why_listed(receiver, now)

    def _is_old(self, incident: Incident, now: int) -> bool:
        return now - incident.updated_at > self._max_age_us
