"""Timelines of one lane of `incidents` on virtual time: what arrives and what becomes of
deliveries, in seconds, and what is decided.
"""

from dataclasses import replace

from agents.alerting.alerter import Alerter
from agents.alerting.auditing import Asked
from agents.alerting.decisions import Decision
from agents.alerting.messages import Delivery
from agents.alerting.reasons import Attempt, Reason
from agents.alerting.retrying import Delivered, GiveUp
from agents.alerting.settings import AlertSettings, ReceiverSettings
from schemas.records.anomalies import Severity
from schemas.records.control import Audit, Command, CommandKind
from schemas.records.incidents import Incident, IncidentChange, IncidentState
from schemas.records.notifications import Notification, NotificationOutcome

START_S = 1_700_000_000
PAGER = ReceiverSettings(name="pager")
ONE_RECEIVER = AlertSettings(receivers=(PAGER,))


def micros(second: float) -> int:
    """µs of a second of the timeline."""
    return round((START_S + second) * 1e6)


def incident(
    name: str,
    change: IncidentChange,
    second: float,
    *,
    revision: int | None = None,
    severity: Severity = Severity.HIGH,
    tenant: str = "acme",
) -> Incident:
    """A record of incident `name` with news of this second. Its place in its correlate lane is set
    by the desk.
    """
    usual = {"opened": 1, "escalated": 2, "updated": 3, "resolved": 4}
    is_over = change is IncidentChange.RESOLVED
    return Incident(
        id=name,
        tenant=tenant,
        application="chat-api",
        state=IncidentState.RESOLVED if is_over else IncidentState.OPEN,
        revision=revision or usual[change],
        change=change,
        severity=severity,
        title="latency of chat-api/gpt-4o 3.1x expected",
        opened_at=micros(0),
        updated_at=micros(second),
        resolved_at=micros(second) if is_over else None,
        anomaly_count=3,
        models=("gpt-4o",),
        users=(),
        metrics=("latency",),
        detectors=("deviation",),
        anomaly_ids=("a1",),
        settings_version="0",
        lane=7,
        offset=0,
        ordinal=0,
    )


def silence(
    name: str,
    *matchers: str,
    ends: float,
    starts: float | None = None,
    tenant: str = "acme",
    at: float = 0,
) -> Command:
    """A command that silences until this second."""
    start = None if starts is None else micros(starts)
    return asked(CommandKind.SILENCE, name, "", at, tenant, matchers, start, micros(ends))


def expire(name: str, *, tenant: str = "acme", at: float = 0) -> Command:
    """A command that ends silence `name` now."""
    return asked(CommandKind.EXPIRE, f"expire {name}", name, at, tenant)


def acknowledge(name: str, *, tenant: str = "acme", author: str = "ann") -> Command:
    """A command that says that somebody cares for incident `name`."""
    return asked(CommandKind.ACKNOWLEDGE, f"acknowledge {name}", name, 0, tenant, author=author)


def asked(
    kind: CommandKind,
    name: str,
    target: str,
    at: float,
    tenant: str,
    matchers: tuple[str, ...] = (),
    starts_at: int | None = None,
    ends_at: int | None = None,
    author: str = "ann",
) -> Command:
    """A command in full."""
    return Command(
        id=name,
        tenant=tenant,
        kind=kind,
        author=author,
        at=micros(at),
        target=target,
        matchers=matchers,
        starts_at=starts_at,
        ends_at=ends_at,
        comment="",
    )


class Desk:
    """An alerter, its stored rows and its virtual clock, and all that it decided."""

    def __init__(self, settings: AlertSettings = ONE_RECEIVER) -> None:
        self.settings = settings
        self.core = Alerter(settings, lane=2)
        self.rows: dict[bytes, bytes] = {}
        self.now = 0.0
        self.offset = 0
        self.commands = 0
        self.decided: list[tuple[float, Decision]] = []

    def at(self, second: float, *records: Incident) -> list[Decision]:
        """The clock comes to this second, waking the alerter on its way as it asked for, and then
        these records arrive.
        """
        self.pass_to(second)
        made: list[Decision] = []
        for record in records:
            placed = replace(record, offset=self.offset, ordinal=0)
            made += self.core.on_incident(placed, offset=self.offset, now=micros(second))
            self.offset += 1
        return self._kept(made)

    def ask(
        self, second: float, command: Command, *, is_answered_here: bool = True
    ) -> list[Decision]:
        """The clock comes to this second, and this command."""
        self.pass_to(second)
        place = Asked(command, 0, self.commands, is_answered_here)
        self.commands += 1
        return self._kept(self.core.on_command(place, micros(second)))

    def pass_to(self, second: float) -> list[Decision]:
        """The clock comes to this second; what the alerter decided when it was woken on the way."""
        made: list[Decision] = []
        while (wake := self.core.next_wake()) is not None and wake <= micros(second):
            self.now = max(self.now, wake / 1e6 - START_S)
            made += self._kept(self.core.on_wake(micros(self.now)))
        self.now = second
        return made

    def delivered(self, delivery: Delivery) -> list[Decision]:
        """The receiver takes it."""
        done = Delivered("HTTP 204")
        return self._kept(
            self.core.on_outcome(
                delivery.notification_id, done, status=204, attempt=1, now=micros(self.now)
            )
        )

    def failed(self, delivery: Delivery) -> list[Decision]:
        """The receiver does not, for good."""
        given_up = GiveUp(Attempt.GONE, "HTTP 410")
        return self._kept(
            self.core.on_outcome(
                delivery.notification_id, given_up, status=410, attempt=3, now=micros(self.now)
            )
        )

    def flush(self) -> None:
        """Keep the rows that changed, as a compacted topic would."""
        for key, value in self.core.changed():
            if value is None:
                self.rows.pop(key, None)  # a row may come and go between two flushes
            else:
                self.rows[key] = value

    def restart(self, settings: AlertSettings | None = None) -> None:
        """A new process that knows the kept rows alone."""
        self.settings = settings or self.settings
        self.core = Alerter(self.settings, lane=2)
        self.core.restore(self.rows)

    @property
    def notifications(self) -> list[Notification]:
        """All records, in order."""
        return [
            decision.notification
            for _, decision in self.decided
            if decision.notification is not None
        ]

    def _kept(self, made: list[Decision]) -> list[Decision]:
        self.decided += [(self.now, decision) for decision in made]
        return made


def audits(decisions: list[Decision]) -> list[Audit]:
    """What came of commands."""
    return [decision.audit for decision in decisions if decision.audit is not None]


def reasons(decisions: list[Decision]) -> list[Reason]:
    """Why, in order."""
    return [decision.reason for decision in decisions]


def deliveries(decisions: list[Decision]) -> list[Delivery]:
    """What is to be handed over, in order."""
    return [decision.delivery for decision in decisions if decision.delivery is not None]


def outcomes(decisions: list[Decision]) -> list[NotificationOutcome]:
    """What their records say."""
    return [
        decision.notification.outcome for decision in decisions if decision.notification is not None
    ]
