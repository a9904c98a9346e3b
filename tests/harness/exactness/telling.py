"""Incidents against an undisturbed correlate, and messages against the incidents."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agents.alerting.messages import incident_message, message_id
from agents.alerting.reasons import Reason
from agents.correlation.open_incident import OpenIncident
from schemas.records.anomalies import Anomaly
from schemas.records.incidents import Incident, IncidentChange, IncidentState
from schemas.records.notifications import Notification, NotificationOutcome
from streams.state.position import KEY
from tests.harness.exactness.plan import CORRELATION, PARTITIONS, Plan
from tests.harness.exactness.running import RECEIVER, Ran
from tests.harness.exactness.settling import positions
from tests.harness.reference.reading import Reader
from tests.harness.reference.tally import Tally, tallied
from tests.harness.reference.undisturbed import Place, correlate_lane

_REASONS = {
    IncidentChange.OPENED: Reason.OPENED,
    IncidentChange.ESCALATED: Reason.ESCALATED,
    IncidentChange.RESOLVED: Reason.RESOLVED,
}
"""Changes that are told; all incidents are grave enough, and none is too old."""


@dataclass(frozen=True, slots=True)
class Incidents:
    """Distinct incidents' records by the partition they stand in, in the order in which a reader
    takes them.
    """

    tallies: list[Tally]
    read: list[list[Incident]]


def incidents(plan: Plan, reader: Reader) -> Incidents:
    """Incidents and correlate's state to the byte; every anomaly counted in one incident, and
    once.
    """
    expected: dict[Place, bytes] = {}
    state = Tally("correlate-state")
    for partition, until in enumerate(positions(plan, reader, "correlate")):
        lane = correlate_lane(partition, CORRELATION, plan.names)
        for record in reader.stored(plan.names.anomalies, partition, until):
            lane.take([record])
        expected.update(lane.outputs.incidents)
        rows = reader.table(plan.names.state("correlate"), partition)
        rows.pop(KEY, None)
        state.add(tallied("correlate-state", lane.rows(), rows.items(), once=True))
    found: list[tuple[Place, bytes]] = []
    read: list[list[Incident]] = []
    for partition in range(PARTITIONS):
        here = [
            record.value
            for record in reader.stored(plan.names.incidents, partition)
            if record.value
        ]
        every = [Incident.from_bytes(value) for value in here]
        found += [(_place(incident), value) for incident, value in zip(every, here, strict=True)]
        read.append(_as_read(every))
    distinct = {_place(incident): b"" for each in read for incident in each}
    seen = tallied(
        "incidents, as read",
        dict.fromkeys(expected, b""),
        [(place, b"") for place in distinct],
        once=True,
    )
    return Incidents(
        [
            tallied("incidents", expected, found, once=False),
            seen,
            state,
            _counted(plan, reader, read),
        ],
        read,
    )


def messages(
    plan: Plan, reader: Reader, ran: Ran, read: Sequence[Sequence[Incident]]
) -> list[Tally]:
    """Decided, delivered and received messages against those that the incidents ask for; and what
    alert remembers.
    """
    expected = {
        message_id(incident, RECEIVER): (
            incident_message(incident, _REASONS[incident.change]).encode()
        )
        for each in read
        for incident in each
        if incident.change in _REASONS
    }
    notifications = [
        note for partition in range(PARTITIONS) for note in _notifications(plan, reader, partition)
    ]
    decided = [
        (note.id, note.body.encode())
        for note in notifications
        if note.outcome is NotificationOutcome.DECIDED
    ]
    delivered = [
        (note.id, note.body.encode())
        for note in notifications
        if note.outcome is NotificationOutcome.DELIVERED
    ]
    received = tallied("messages received", expected, ran.posts, once=False)
    received.unexpected += ran.forged
    return [
        tallied("messages decided", expected, decided, once=True),
        tallied("messages delivered", expected, delivered, once=True),
        received,
        _alert_state(plan, reader, read),
    ]


def _notifications(plan: Plan, reader: Reader, partition: int) -> Iterator[Notification]:
    for record in reader.stored(plan.names.notifications, partition):
        assert record.value is not None
        yield Notification.from_bytes(record.value)


def _place(incident: Incident) -> Place:
    return incident.lane, incident.offset, incident.ordinal


def _as_read(every: Sequence[Incident]) -> list[Incident]:
    """What is left when a reader skips all that is at or below the highest place of its correlate
    lane.
    """
    highest: dict[int, tuple[int, int]] = {}
    kept = []
    for incident in every:
        if (incident.offset, incident.ordinal) > highest.get(incident.lane, (-1, -1)):
            highest[incident.lane] = (incident.offset, incident.ordinal)
            kept.append(incident)
    return kept


def _counted(plan: Plan, reader: Reader, read: Sequence[Sequence[Incident]]) -> Tally:
    """Anomalies that were written, and those that incidents count: over when they ended, or so
    far.
    """
    tally = Tally("anomalies in incidents")
    counted = sum(
        incident.anomaly_count
        for each in read
        for incident in each
        if incident.state is not IncidentState.OPEN
    )
    places = set()
    for partition in range(PARTITIONS):
        for record in reader.stored(plan.names.anomalies, partition):
            if record.value is not None:
                anomaly = Anomaly.from_bytes(record.value)
                places.add((anomaly.lane, anomaly.offset, anomaly.ordinal))
        for key, value in reader.table(plan.names.state("correlate"), partition).items():
            if key.startswith(b"open/"):
                counted += OpenIncident.from_row(
                    value, CORRELATION.max_listed, CORRELATION.max_signals, CORRELATION.thresholds
                ).anomaly_count
    tally.compared = len(places)
    tally.missing = max(len(places) - counted, 0)
    tally.duplicates = max(counted - len(places), 0)
    return tally


def _alert_state(plan: Plan, reader: Reader, read: Sequence[Sequence[Incident]]) -> Tally:
    """Alert remembers the incidents that were told and are open, and no others."""
    tally = Tally("alert-state")
    for partition, here in enumerate(read):
        open_ones = {incident.id for incident in here if incident.state is IncidentState.OPEN}
        over = {incident.id for incident in here if incident.state is not IncidentState.OPEN}
        expected = {
            b"told/%s/%s" % (name.encode(), RECEIVER.encode()): b"" for name in open_ones - over
        }
        rows = reader.table(plan.names.state("alert"), partition)
        tally.add(
            tallied(
                "alert-state",
                expected,
                [(key, b"") for key in rows if key.startswith(b"told/")],
                once=True,
            )
        )
    return tally
