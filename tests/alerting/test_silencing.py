"""Silences hold messages back, and nothing that is still open is forgotten when they end."""

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.alerting.auditing import Asked
from agents.alerting.matching import Matcher
from agents.alerting.reasons import Reason
from agents.alerting.settings import AlertSettings
from agents.alerting.silences import MAX_SILENCES
from schemas.records.anomalies import Severity
from schemas.records.control import AuditOutcome, Command
from schemas.records.incidents import IncidentChange
from schemas.records.notifications import NotificationOutcome
from tests.alerting.timeline import (
    PAGER,
    Desk,
    audits,
    deliveries,
    expire,
    incident,
    micros,
    outcomes,
    reasons,
    silence,
)

OPENED, ESCALATED, UPDATED, RESOLVED, *_ = IncidentChange


def test_silenced_incident_is_recorded_as_suppressed_with_the_silences_id() -> None:
    """Nobody is told; the record says which silence is the reason."""
    desk = Desk()
    [answer] = desk.ask(0, silence("s1", "application=chat-api", ends=100))
    assert audits([answer])[0].outcome is AuditOutcome.APPLIED
    [held] = desk.at(5, incident("i1", OPENED, 5))
    assert held.reason is Reason.SILENCED
    assert held.notification is not None
    assert (held.notification.outcome, held.notification.detail) == (
        NotificationOutcome.SUPPRESSED,
        "s1",
    )
    assert desk.core.pending() == []


def test_what_is_still_open_when_the_silence_ends_is_told_then() -> None:
    """As it stands then, under the id that the record of the suppressed message has, however long
    the silence was.
    """
    desk = Desk()
    desk.ask(0, silence("s1", "application=chat-api", ends=7200))
    [held] = desk.at(5, incident("i1", OPENED, 5))
    assert reasons(desk.at(6, incident("i1", ESCALATED, 6, severity=Severity.CRITICAL))) == [
        Reason.SILENCED
    ]
    assert desk.pass_to(7199.9) == []
    [opened] = deliveries(desk.pass_to(7200))
    assert opened.reason is Reason.OPENED
    assert orjson.loads(opened.body)["data"]["incident"]["severity"] == "critical"
    assert held.notification is not None
    assert opened.notification_id == desk.notifications[1].id != held.notification.id
    desk.flush()
    assert not [key for key in desk.rows if key.startswith(b"silence/")], (
        "what has ended is forgotten"
    )


def test_what_ended_meanwhile_is_told_to_nobody() -> None:
    """Neither its start nor its end."""
    desk = Desk()
    desk.ask(0, silence("s1", "application=chat-api", ends=100))
    desk.at(5, incident("i1", OPENED, 5))
    assert reasons(desk.at(50, incident("i1", RESOLVED, 50))) == [Reason.RESOLVED_NOT_SENT]
    assert desk.pass_to(1000) == []
    desk.flush()
    assert not [key for key in desk.rows if key.startswith((b"told/", b"open/"))]


def test_resolve_follows_a_silenced_firing() -> None:
    """What was told before the silence is told as over within it: the receiver still shows it as
    open. Its rise within is held back.
    """
    desk = Desk()
    [opened] = deliveries(desk.at(0, incident("i1", OPENED, 0)))
    desk.delivered(opened)
    desk.ask(1, silence("s1", "application=chat-api", ends=100, at=1))
    assert reasons(desk.at(2, incident("i1", ESCALATED, 2))) == [Reason.SILENCED]
    assert [d.reason for d in deliveries(desk.at(3, incident("i1", RESOLVED, 3)))] == [
        Reason.RESOLVED
    ]
    assert desk.pass_to(200) == []


def test_rise_that_was_held_back_is_told_as_a_rise() -> None:
    """To those who know of the incident it is no new one."""
    desk = Desk()
    [opened] = deliveries(desk.at(0, incident("i1", OPENED, 0)))
    desk.delivered(opened)
    desk.ask(1, silence("s1", "application=chat-api", ends=100, at=1))
    desk.at(2, incident("i1", ESCALATED, 2))
    assert [d.reason for d in deliveries(desk.pass_to(100))] == [Reason.ESCALATED]


def test_silence_that_is_expired_ends_at_once_and_does_not_come_back() -> None:
    """Not even when the command that made it is sent again."""
    desk = Desk()
    command = silence("s1", "application=chat-api", ends=1000)
    desk.ask(0, command)
    desk.at(5, incident("i1", OPENED, 5))
    made = desk.ask(10, expire("s1"))
    assert [d.reason for d in deliveries(made)] == [Reason.OPENED]
    assert audits(made)[0].outcome is AuditOutcome.APPLIED
    assert audits(desk.ask(11, expire("s1")))[0].outcome is AuditOutcome.REPEATED
    assert audits(desk.ask(12, command))[0].outcome is AuditOutcome.REPEATED
    assert reasons(desk.at(13, incident("i2", OPENED, 13))) == [Reason.OPENED]


@pytest.mark.parametrize("partition", [0, 1])
def test_copies_of_signed_commands_bring_no_silence_back(partition: int) -> None:
    """Appended again by whoever may write to the topic, to any partition: while the silence would
    last, after its end, and after a restart.
    """
    desk = Desk()
    made, ended = silence("s1", "application=chat-api", ends=1000), expire("s1")
    desk.ask(0, made)
    desk.ask(10, ended)

    def copied(second: float, command: Command, offset: int) -> list[AuditOutcome]:
        desk.pass_to(second)
        told = desk.core.on_command(
            Asked(command, partition, offset, is_answered_here=True), micros(second)
        )
        return [audit.outcome for audit in audits(told)]

    assert copied(11, made, 10) == copied(12, ended, 11) == [AuditOutcome.REPEATED]
    desk.flush()
    desk.restart()
    assert copied(13, made, 12) == [AuditOutcome.REPEATED]
    assert reasons(desk.at(14, incident("i1", OPENED, 14))) == [Reason.OPENED]
    assert copied(1000, made, 13) == copied(1001, ended, 14) == [AuditOutcome.REFUSED]
    assert reasons(desk.at(1002, incident("i2", OPENED, 1002))) == [Reason.OPENED]


def test_a_copy_that_another_partition_has_first_changes_nothing() -> None:
    """A lane that begins anew obeys partition after partition: the copy may come before what it
    copies.
    """
    desk = Desk()
    made, ended = silence("s1", ends=1000), expire("s1")
    for partition, command in ((0, ended), (0, made), (1, made), (1, ended), (2, made)):
        offset = desk.core.commands.next(partition)
        desk.core.on_command(Asked(command, partition, offset, is_answered_here=True), micros(1))
    assert reasons(desk.at(2, incident("i1", OPENED, 2))) == [Reason.OPENED]


def test_incident_that_outgrows_its_silence_is_told() -> None:
    """A silence for one model hides no trouble of a second one that joins."""
    desk = Desk()
    desk.ask(0, silence("s1", "model=gpt-4o", ends=1000))
    assert reasons(desk.at(5, incident("i1", OPENED, 5))) == [Reason.SILENCED]
    assert reasons(desk.at(6, incident("i1", UPDATED, 6))) == [Reason.UPDATED_NOT_SENT]
    wider = replace(incident("i1", UPDATED, 7, revision=5), models=("claude", "gpt-4o"))
    assert [d.reason for d in deliveries(desk.at(7, wider))] == [Reason.OPENED]


def test_silence_is_for_its_own_tenant_and_for_its_own_time() -> None:
    """Another tenant's incidents, and those before its begin, are told; two silences hold until the
    later end.
    """
    desk = Desk()
    desk.ask(0, silence("s1", starts=10, ends=20))
    desk.ask(0, silence("s2", starts=10, ends=30))
    assert reasons(desk.at(9, incident("i1", OPENED, 9))) == [Reason.OPENED]
    [held] = desk.at(10, incident("i2", OPENED, 10))
    assert held.notification is not None
    assert held.notification.detail == "s2"
    assert reasons(desk.at(11, incident("i3", OPENED, 11, tenant="other"))) == [Reason.OPENED]
    assert desk.pass_to(29) == []
    assert [d.incident_id for d in deliveries(desk.pass_to(30))] == ["i2"]


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (silence("s", ends=-1), "ends in the past"),
        (silence("s", starts=60, ends=50), "ends in the past, or before it begins"),
        (replace(silence("s", ends=50), ends_at=None), "ends in the past"),
        (silence("s", "colour=red", ends=50), "unknown field 'colour'"),
        (silence("s", "application", ends=50), "is not a condition"),
        (expire("nobody"), "no silence of this tenant"),
        (expire("theirs"), "no silence of this tenant"),
        (silence("theirs", ends=50), "the id is in use"),
    ],
)
def test_command_that_cannot_be_meant_is_refused_with_a_reason(command: object, why: str) -> None:
    """On record, and nothing is silenced by it."""
    desk = Desk()
    desk.ask(0, silence("theirs", ends=1000, tenant="other"))
    [answer] = audits(desk.ask(1, command))  # type: ignore[arg-type]
    assert answer.outcome is AuditOutcome.REFUSED
    assert why in answer.detail
    assert reasons(desk.at(2, incident("i1", OPENED, 2))) == [Reason.OPENED]
    assert reasons(desk.at(2, incident("i2", OPENED, 2, tenant="other"))) == [Reason.SILENCED]


def test_silences_of_a_tenant_are_bounded() -> None:
    """A program in a loop fills nobody's memory, and others go on."""
    desk = Desk()
    for number in range(MAX_SILENCES):
        desk.ask(0, silence(f"s{number}", ends=10))
    assert audits(desk.ask(0, silence("more", ends=10)))[0].outcome is AuditOutcome.REFUSED
    assert audits(desk.ask(0, silence("b", ends=10, tenant="b")))[0].outcome is AuditOutcome.APPLIED


def test_record_that_comes_twice_is_obeyed_once() -> None:
    """A worker reads the topic again from its first record: nothing happens, and nothing is put on
    record twice.
    """
    desk = Desk()
    desk.ask(0, silence("s1", ends=100))
    desk.flush()
    desk.restart()
    desk.commands = 0
    assert desk.ask(1, silence("s1", ends=100)) == []


def test_lane_that_does_not_answer_obeys_all_the_same() -> None:
    """Each lane holds back; one puts the command on record."""
    desk = Desk()
    assert desk.ask(0, silence("s1", ends=100), is_answered_here=False) == []
    assert reasons(desk.at(1, incident("i1", OPENED, 1))) == [Reason.SILENCED]


def test_old_and_silenced_is_not_summed_up() -> None:
    """A backlog is silenced like anything else."""
    desk = Desk(AlertSettings(receivers=(PAGER,)))
    desk.ask(3600, silence("s1", ends=9000, at=3600))
    made = desk.at(3600, incident("i1", OPENED, 0), incident("i2", RESOLVED, 0))
    assert reasons(made) == [Reason.SILENCED, Reason.RESOLVED_NOT_SENT]
    assert outcomes(desk.pass_to(8000)) == []


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("application=chat-api", True),
        ("application!=chat-api", False),
        ("model=gpt-4o", True),
        ("model!=claude", True),
        ("user=u1", False),
        ("user!=u1", True),
        ("metric=latency", True),
        ("detector=threshold", False),
        ("incident=i1", True),
        ("severity=high", True),
        ("severity<=medium", False),
        ("severity<=high", True),
        ("severity>medium", True),
        ("severity<critical", True),
        ("severity!=high", False),
        ("severity>=critical", False),
    ],
)
def test_matchers_hold_as_they_read(text: str, holds: bool) -> None:
    """For an incident of high severity of chat-api with gpt-4o's latency."""
    assert Matcher.parse(text).matches(incident("i1", OPENED, 0)) is holds


@given(st.text())
def test_matcher_is_its_text_or_is_refused(text: str) -> None:
    """No text is taken for something else than it says."""
    try:
        matcher = Matcher.parse(text)
    except ValueError:
        return
    assert str(matcher) == text
