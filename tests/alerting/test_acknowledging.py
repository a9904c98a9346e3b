"""Somebody cares for an incident: it is told once, and not repeated."""

from dataclasses import replace

import orjson

from agents.alerting.reasons import Reason
from agents.alerting.retrying import Delivered
from agents.alerting.settings import AlertSettings, ReceiverSettings
from schemas.records.anomalies import Severity
from schemas.records.control import AuditOutcome
from schemas.records.incidents import IncidentChange
from tests.alerting.timeline import (
    PAGER,
    Desk,
    acknowledge,
    audits,
    deliveries,
    incident,
    micros,
    reasons,
    silence,
)

OPENED, ESCALATED, UPDATED, RESOLVED, *_ = IncidentChange
REPEATING = AlertSettings(receivers=(PAGER,), repeat_interval_s=600)


def test_acknowledgement_is_told_to_those_who_were_told() -> None:
    """After the message that it is open, with the name of who did it; not to receivers that heard
    of nothing.
    """
    desk = Desk(
        AlertSettings(
            receivers=(PAGER, ReceiverSettings(name="boss", min_severity=Severity.CRITICAL))
        )
    )
    [opened] = deliveries(desk.at(0, incident("i1", OPENED, 0)))
    made = desk.ask(1, acknowledge("i1"))
    assert reasons(made) == [Reason.WAITS_FOR_EARLIER, Reason.COMMANDED]
    assert audits(made)[0].outcome is AuditOutcome.APPLIED
    [told] = deliveries(desk.delivered(opened))
    assert (told.receiver, told.reason) == ("pager", Reason.ACKNOWLEDGED)
    body = orjson.loads(told.body)
    assert (body["type"], body["data"]["incident"]["acknowledged_by"]) == (
        "incident.acknowledged",
        "ann",
    )


def test_acknowledgement_of_what_was_not_taken_is_not_told() -> None:
    """Nobody there knows of it."""
    desk = Desk()
    [opened] = deliveries(desk.at(0, incident("i1", OPENED, 0)))
    desk.ask(1, acknowledge("i1"))
    assert reasons(desk.failed(opened)) == [Reason.FAILED, Reason.RESOLVED_NOT_SENT]


def test_acknowledged_incident_is_not_repeated_but_its_rise_and_end_are_told() -> None:
    """Repeats stop, also after a restart; what is new is told."""
    desk = Desk(REPEATING)
    desk.delivered(deliveries(desk.at(0, incident("i1", OPENED, 0)))[0])
    desk.delivered(deliveries(desk.ask(1, acknowledge("i1")))[0])
    desk.flush()
    desk.restart()
    assert desk.pass_to(7200) == []
    [risen] = deliveries(desk.at(7200, incident("i1", ESCALATED, 7200)))
    desk.delivered(risen)
    assert orjson.loads(risen.body)["data"]["incident"]["acknowledged_by"] == "ann"
    assert [d.reason for d in deliveries(desk.at(7300, incident("i1", RESOLVED, 7300)))] == [
        Reason.RESOLVED
    ]


def test_the_first_acknowledgement_counts() -> None:
    """A second one is on record as such, and nobody is told again."""
    desk = Desk()
    desk.delivered(deliveries(desk.at(0, incident("i1", OPENED, 0)))[0])
    desk.ask(1, acknowledge("i1"))
    made = desk.ask(2, acknowledge("i1", author="bob"))
    assert deliveries(made) == []
    [answer] = audits(made)
    assert (answer.outcome, answer.author, answer.detail) == (
        AuditOutcome.REPEATED,
        "bob",
        "already acknowledged by ann",
    )


def test_what_is_not_open_or_another_tenants_is_refused() -> None:
    """On record; a tenant cannot quieten another's incident, nor learn that it is there."""
    desk = Desk(REPEATING)
    desk.delivered(deliveries(desk.at(0, incident("i1", OPENED, 0)))[0])
    theirs, nothing = (
        audits(desk.ask(1, command))[0]
        for command in (acknowledge("i1", tenant="b"), acknowledge("x"))
    )
    assert theirs.outcome is nothing.outcome is AuditOutcome.REFUSED
    assert theirs.detail == nothing.detail
    assert [d.reason for d in deliveries(desk.pass_to(600))] == [Reason.REPEATED]


def test_lane_that_has_not_the_incident_does_nothing() -> None:
    """An acknowledgement is for one lane, and that one answers."""
    desk = Desk()
    desk.delivered(deliveries(desk.at(0, incident("i1", OPENED, 0)))[0])
    assert desk.ask(1, acknowledge("i1"), is_answered_here=False) == []


def test_what_was_acknowledged_in_a_silence_is_not_told_when_it_ends() -> None:
    """Somebody cares for it already."""
    desk = Desk()
    desk.ask(0, silence("s1", ends=100))
    desk.at(1, incident("i1", OPENED, 1))
    desk.ask(2, acknowledge("i1"))
    assert deliveries(desk.pass_to(200)) == []


def test_all_messages_after_it_say_who_has_it_since_when_and_why() -> None:
    """Also the end, and after a restart; a row of an earlier release has the name alone."""
    desk = Desk()
    [opened] = deliveries(desk.at(0, incident("i1", IncidentChange.OPENED, 0)))
    desk.delivered(opened)
    desk.ask(5, replace(acknowledge("i1"), comment="looking", at=micros(5)))
    desk.flush()
    desk.restart()
    [told] = desk.core.pending()
    desk.delivered(told)
    [escalated] = deliveries(
        desk.at(6, incident("i1", IncidentChange.ESCALATED, 6, severity=Severity.CRITICAL))
    )
    desk.delivered(escalated)
    [over] = deliveries(desk.at(7, incident("i1", IncidentChange.RESOLVED, 7)))
    for message in (told, escalated, over):
        part = orjson.loads(message.body)["data"]["incident"]
        assert (part["acknowledged_by"], part["acknowledged_comment"]) == ("ann", "looking")
        assert part["acknowledged_at"] == "2023-11-14T22:13:25.000000Z"
    assert "acknowledged_by" not in orjson.loads(opened.body)["data"]["incident"]


def test_where_the_receiver_put_the_first_message_is_known_to_the_later_ones() -> None:
    """Over a restart, so that one message stays one."""
    desk = Desk()
    [opened] = deliveries(desk.at(0, incident("i1", IncidentChange.OPENED, 0)))
    assert opened.thread == ""
    taken = Delivered("HTTP 200", thread="C1/1.5")
    desk.core.on_outcome(opened.notification_id, taken, status=200, attempt=1, now=micros(1))
    desk.flush()
    desk.restart()
    [escalated] = deliveries(
        desk.at(6, incident("i1", IncidentChange.ESCALATED, 6, severity=Severity.CRITICAL))
    )
    assert escalated.thread == "C1/1.5"
