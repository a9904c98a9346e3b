"""Which message about which incident goes to whom, and in which order."""

from collections.abc import Mapping
from typing import Final

from agents.alerting import tracked_incident
from agents.alerting.auditing import Asked, audit
from agents.alerting.decisions import Decision, Outcome
from agents.alerting.lane_state import JOURNAL_KEY, THREAD_KEY, LaneState, commands_key, thread_key
from agents.alerting.messages import Delivery
from agents.alerting.paging import PageCount
from agents.alerting.queues import Queues, name_of
from agents.alerting.reasons import Reason
from agents.alerting.routing import ENDS, QUIET_CHANGES, Route, Router, news
from agents.alerting.schedule import Schedule
from agents.alerting.settings import AlertSettings, ReceiverSettings
from agents.alerting.thread import Thread
from agents.alerting.tracked_incident import Acknowledgement, TrackedIncident
from schemas.records.control import AuditOutcome, Command, CommandKind
from schemas.records.incidents import Incident, IncidentState
from schemas.records.notifications import NotificationOutcome

_MOST_AUTHOR: Final = 200
_MOST_COMMENT: Final = 2000


class Alerter:
    """The state of one lane of `incidents`, on virtual time: every call is handed `now`, the wall
    clock in µs.

    A call returns decisions, in order. Their notifications are to be durable before their
    deliveries begin; a delivery is tried, by `retrying.after_attempt`, until it is Delivered or
    GiveUp, which `on_outcome` is told. Deliveries of one call, and those of different incidents,
    may run side by side. At `next_wake`, `on_wake` is to be called.

    Told are the first record of an incident that is open and severe enough, each rise of its
    severity, to those that want it each model, user or metric that joins, after `repeat_interval_s`
    that it is still open, and its acknowledgement and end, the last two only to those that took a
    message that it is open. Messages about one incident reach a receiver one after the other. What
    is older than `alert_max_age_s` on arrival, or meets a receiver with `max_waiting` messages, or
    had its `pages_per_hour`, goes into a summary instead. What a silence holds back is told when
    the silence ends, unless the incident is over or acknowledged by then. But the end of an
    incident that was told singly is told singly at any age: it pages nobody, and the receiver still
    shows the incident as open.
    """

    def __init__(self, settings: AlertSettings, lane: int, pages: PageCount | None = None) -> None:
        self._router: Final = Router(settings.receivers)
        self._receivers: Final = {receiver.name: receiver for receiver in settings.receivers}
        self._repeat_us: Final = round((settings.repeat_interval_s or 0) * 1e6)
        self._max_age_us: Final = round(settings.alert_max_age_s * 1e6)
        state = self._state = LaneState(settings, lane, pages)
        self._journal, self._summaries, self._silences = (
            state.journal,
            state.summaries,
            state.silences,
        )
        self._paging, self._tracked, self._threads = state.paging, state.open, state.threads
        self._sources, self._commands, self._touched = state.sources, state.commands, state.touched
        self._queues: Final = Queues(settings, state)
        self._over: TrackedIncident | None = None
        """Of the incident that ended last: who cared for it is told with its end."""
        self._repeats: Final[Schedule[bytes]] = Schedule()
        self._held: Final[set[bytes]] = set()
        """Keys of the threads in which a silence holds a message back."""

    def on_incident(self, incident: Incident, *, offset: int, now: int) -> list[Decision]:
        """A record of the lane came, from `offset`.

        One that came before, as `CorrelateLanes` knows it: nothing happens.
        """
        if not self._sources.is_new(incident, self._tracked.get(incident.id), now):
            return [Decision(Reason.DUPLICATE)]
        self._touched.add(JOURNAL_KEY)
        self._journal.turn(offset)
        self._stand(incident)
        routes = self._router.routes(incident)
        if self._is_unrouted(incident, routes):
            return [self._queues.unsent(incident, "", Reason.NOT_ROUTED, now)]
        follow = self._on_open if incident.state is IncidentState.OPEN else self._on_resolved
        return [decision for route in routes for decision in follow(incident, route, now)]

    @property
    def taken_back(self) -> int:
        """How often a lane of correlate was seen to be before what a record had named, since the
        start.
        """
        return self._sources.taken_back

    def on_command(self, asked: Asked, now: int) -> list[Decision]:
        """A command came. One at or below the highest offset of its partition came before: nothing
        happens.

        Every lane obeys silences; an acknowledgement is for the lane that has the incident, which
        is the one that answers it.
        """
        if not self.passed(asked.partition, asked.offset):
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

    def passed(self, partition: int, offset: int) -> bool:
        """The record of `commands` at this place is dealt with; false if it was before."""
        if offset < self.commands_from(partition):
            return False
        self._commands[partition] = offset + 1
        self._touched.add(commands_key(partition))
        return True

    def commands_made_anew(self, partition: int) -> None:
        """The partition of `commands` is another one now, whose records are all new."""
        self._commands[partition] = 0
        self._touched.add(commands_key(partition))

    def commands_from(self, partition: int) -> int:
        """Offset of the first record of this partition of `commands` that is not dealt with."""
        return self._commands.get(partition, 0)

    def on_outcome(
        self, notification_id: str, outcome: Outcome, *, status: int | None, attempt: int, now: int
    ) -> list[Decision]:
        """The fate of a delivery is known, after `attempt` attempts, the last with this HTTP
        status.

        A delivery whose fate was known before changes nothing.
        """
        return self._queues.on_outcome(
            notification_id, outcome, status=status, attempt=attempt, now=now
        )

    def on_wake(self, now: int) -> list[Decision]:
        """Time has come to `next_wake`, or past it: what is due is decided. A call too early does
        nothing.
        """
        decisions = self._queues.give_up_gone(now)
        if self._silences.forget_ended(now):
            decisions += self._release(now)
        decisions += self._repeat(now)
        decisions += [
            self._journal.begun(delivery, now) for delivery in self._summaries.take_due(now)
        ]
        if decisions:
            self._touched.add(JOURNAL_KEY)
        return decisions

    def next_wake(self) -> int | None:
        """When to call `on_wake`, µs; a time that has passed means now, None that nothing waits for
        time.
        """
        if self._queues.has_gone:
            return 0
        self._look_at_news()
        times = (self._summaries.next_due(), self._silences.next_end(), self._repeats.next())
        return min((time for time in times if time is not None), default=None)

    def is_pending(self, notification_id: str) -> bool:
        """Whether this delivery was begun and its fate is not known."""
        return self._queues.is_pending(notification_id)

    def pending(self) -> list[Delivery]:
        """The deliveries that were begun and have no outcome yet, oldest first.

        After `restore` they are to be begun again, under the same ids.
        """
        return self._queues.pending()

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Take over a lane's state, once, before its first record: keys and values as `changed`
        gave them, tombstones left out.

        Messages that wait for a receiver that is no longer configured are given up at the next
        wake. Raises NewerState when a newer version wrote the rows.
        """
        self._state.restore(rows)
        self._queues.restored()
        self._touched.news.update(self._threads)

    def changed(self) -> list[tuple[bytes, bytes | None]]:
        """Key and value of every row that changed since the last call, None for one that is gone;
        never more than one a key.
        """
        return self._state.changed()

    def _on_open(self, incident: Incident, route: Route, now: int) -> list[Decision]:
        receiver = route.receiver
        thread = self._threads.get(thread_key(incident, receiver.name))
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
            # An update to those who know, no page: whether it is old, or too much within an hour,
            # does not matter.
            return self._say(incident, receiver.name, reason, now)
        return self._tell(incident, receiver, reason, now)

    def _is_unrouted(self, incident: Incident, routes: list[Route]) -> bool:
        """Whether this is news of an open incident that no receiver's `match` holds for, and that
        no receiver has a thread about.
        """
        if incident.state is not IncidentState.OPEN or incident.change in QUIET_CHANGES:
            return False
        return not any(
            route.is_matched or thread_key(incident, route.receiver.name) in self._threads
            for route in routes
        )

    def _tell(
        self,
        incident: Incident,
        receiver: ReceiverSettings,
        reason: Reason,
        now: int,
        *,
        at_any_age: bool = False,
    ) -> list[Decision]:
        """Say that the incident is open, singly or in a summary, unless a silence holds it back."""
        silence = self._silences.of(incident, now)
        if silence is not None:
            return self._hold(incident, receiver.name, reason, silence.id, now)
        listed = self._why_listed(incident, receiver, now, at_any_age=at_any_age)
        if listed is not None:
            return [self._queues.listed(incident, receiver.name, listed, now)]
        self._summaries.refresh(incident, receiver.name)
        if receiver.pages_per_hour is not None:
            self._paging.paged(receiver.name, now)
        return self._say(incident, receiver.name, reason, now)

    def _hold(
        self, incident: Incident, receiver: str, reason: Reason, silence_id: str, now: int
    ) -> list[Decision]:
        key = thread_key(incident, receiver)
        thread = self._threads.setdefault(key, Thread(incident.tenant, incident.id, receiver))
        is_new = thread.held != reason
        if thread.held in ("", Reason.REPEATED, Reason.EXTENDED):
            thread.held = reason
        self._touched.add(key)
        if not is_new and incident.change in QUIET_CHANGES:
            return [Decision(Reason.UPDATED_NOT_SENT, receiver)]
        self._touched.add(JOURNAL_KEY)
        name = name_of(incident, receiver, reason, thread)
        held = NotificationOutcome.SUPPRESSED
        return [
            self._journal.unsent(
                incident, receiver, held, Reason.SILENCED, now, name=name, detail=silence_id
            )
        ]

    def _release(self, now: int) -> list[Decision]:
        """Tell what no silence holds back any more."""
        decisions: list[Decision] = []
        self._look_at_news()
        for thread in [self._threads[key] for key in sorted(self._held)]:
            known, receiver = (
                self._tracked.get(thread.incident_id),
                self._receivers.get(thread.receiver),
            )
            if (
                thread.held
                and known is not None
                and receiver is not None
                and not self._silences.of(known.incident, now)
            ):
                self._touched.add(JOURNAL_KEY)
                # It is old because a person held it back, not because we were away.
                decisions += self._tell(
                    known.incident, receiver, Reason(thread.held), now, at_any_age=True
                )
        return decisions

    def _repeat(self, now: int) -> list[Decision]:
        """Tell again what is still open."""
        decisions: list[Decision] = []
        self._look_at_news()
        for key in self._repeats.take_due(now):
            thread = self._threads[key]
            incident = self._tracked[thread.incident_id].incident
            thread.said_at, thread.repeats = now, thread.repeats + 1
            self._touched |= {thread_key(incident, thread.receiver), JOURNAL_KEY}
            decisions += self._tell(
                incident, self._receivers[thread.receiver], Reason.REPEATED, now, at_any_age=True
            )
        return decisions

    def _look_at_news(self) -> None:
        """What time has to do with each thread that changed, or whose incident did."""
        for key in self._touched.news:
            if key.startswith(THREAD_KEY):
                self._look_at(key)
            elif key.startswith(tracked_incident.KEY):
                for receiver in self._receivers:
                    self._look_at(
                        b"%s%s/%s"
                        % (THREAD_KEY, key.removeprefix(tracked_incident.KEY), receiver.encode())
                    )
        self._touched.news.clear()

    def _look_at(self, key: bytes) -> None:
        thread = self._threads.get(key)
        self._repeats.put(key, None if thread is None else self._repeat_at(thread))
        if thread is not None and thread.held:
            self._held.add(key)
        else:
            self._held.discard(key)

    def _repeat_at(self, thread: Thread) -> int | None:
        """When the receiver is to be told again that the incident is open; None while that is not
        for time to decide.
        """
        known = self._tracked.get(thread.incident_id)
        waits = (
            thread.queue or thread.held or thread.summaries or thread.resolved or not thread.singly
        )
        if (
            not self._repeat_us
            or known is None
            or known.acknowledged_by
            or waits
            # It was told that this is the new level; nobody need be told again that it is still so.
            or known.incident.new_level_since is not None
            or thread.receiver not in self._receivers
        ):
            return None
        return thread.said_at + self._repeat_us

    def _acknowledge(self, command: Command, now: int) -> tuple[AuditOutcome, str, list[Decision]]:
        known = self._tracked.get(command.target)
        if known is None or known.incident.tenant != command.tenant:
            return AuditOutcome.REFUSED, "no incident of this tenant with this id is open", []
        if known.acknowledged_by:
            return AuditOutcome.REPEATED, f"{known.acknowledged_by} was first", []
        known.acknowledgement = Acknowledgement(
            command.author[:_MOST_AUTHOR] or "somebody", command.at, command.comment[:_MOST_COMMENT]
        )
        self._touched |= {tracked_incident.KEY + command.target.encode(), JOURNAL_KEY}
        decisions: list[Decision] = []
        for name in self._receivers:
            key = thread_key(known.incident, name)
            if (thread := self._threads.get(key)) is not None:
                # Somebody cares for it: nobody needs to be told when the silence ends.
                thread.held = ""
                self._touched.add(key)
                if thread.singly:
                    decisions += self._say(known.incident, name, Reason.ACKNOWLEDGED, now)
        return AuditOutcome.APPLIED, "", decisions

    def _stand(self, incident: Incident) -> None:
        """Remember how the incident stands, while it is open."""
        self._touched.add(tracked_incident.KEY + incident.id.encode())
        known = self._tracked.get(incident.id)
        if incident.state is not IncidentState.OPEN:
            self._over = self._tracked.pop(incident.id, None)
        elif known is None:
            self._tracked[incident.id] = TrackedIncident(incident)
        else:
            known.incident = incident

    def _acknowledged_by(self, incident: Incident) -> str:
        known = self._tracked.get(incident.id)
        return "" if known is None else known.acknowledged_by

    def _on_resolved(self, incident: Incident, route: Route, now: int) -> list[Decision]:
        receiver = route.receiver
        key = thread_key(incident, receiver.name)
        thread = self._threads.get(key)
        if thread is None:
            # Nobody was told. Compaction may have left only the end of what would have been listed,
            # so an old one is.
            if (
                self._silences.of(incident, now) is None
                and self._is_old(incident, now)
                and route.is_open
            ):
                return [self._queues.listed(incident, receiver.name, Reason.LISTED_OLD, now)]
            return [self._queues.unsent(incident, receiver.name, Reason.RESOLVED_NOT_SENT, now)]
        thread.resolved, held, thread.held = True, thread.held, ""
        if held and not (thread.singly or thread.told or thread.summaries):
            del self._threads[key]
            self._touched.add(key)
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

    def _say(self, incident: Incident, receiver: str, reason: Reason, now: int) -> list[Decision]:
        known = self._tracked.get(incident.id)
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
