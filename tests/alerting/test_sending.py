"""A message per incident state that matters, in order, and to those whom it concerns."""

import orjson
import pytest

from agents.alerting.reasons import Attempt, Reason
from agents.alerting.settings import AlertSettings, ReceiverSettings, RetrySettings
from schemas.ids import record_id
from schemas.records.anomalies import Severity
from schemas.records.incidents import IncidentChange
from schemas.records.notifications import Notification, NotificationOutcome
from schemas.secrets import Secret
from tests.alerting.timeline import (
    ONE_RECEIVER,
    PAGER,
    Desk,
    deliveries,
    incident,
    micros,
    outcomes,
    reasons,
)
from topology.settings.receivers import Webhook

OPENED, ESCALATED, UPDATED, RESOLVED, *_ = IncidentChange


def test_opened_incident_is_told_and_its_record_says_so() -> None:
    """The record of the decision holds the message and its id; the same id and body are handed
    over.
    """
    desk = Desk()
    [decision] = desk.at(5, incident("i1", OPENED, 4))
    message_id = record_id("acme", "i1", 1, "pager")
    assert decision.reason is Reason.OPENED
    assert decision.delivery is not None
    assert decision.notification == Notification(
        id=message_id,
        tenant="acme",
        incident_id="i1",
        incident_revision=1,
        receiver="pager",
        outcome=NotificationOutcome.DECIDED,
        reason="opened",
        attempt=0,
        at=micros(5),
        detail="",
        body=decision.delivery.body,
        lane=2,
        offset=0,
        ordinal=0,
    )
    assert decision.delivery.notification_id == message_id
    assert desk.core.pending() == [decision.delivery]


def test_message_is_what_the_documentation_says() -> None:
    """Type, event time and the incident with times as ISO 8601; nothing in it depends on the
    clock.
    """
    early, late = Desk(), Desk()
    [first] = deliveries(early.at(5, incident("i1", OPENED, 4)))
    [second] = deliveries(late.at(500, incident("i1", OPENED, 4)))
    assert first.body == second.body
    assert orjson.loads(first.body) == {
        "type": "incident.opened",
        "timestamp": "2023-11-14T22:13:24.000000Z",
        "version": 2,
        "data": {
            "incident": {
                "id": "i1",
                "tenant": "acme",
                "application": "chat-api",
                "state": "open",
                "severity": "high",
                "title": "latency of chat-api/gpt-4o 3.1x expected",
                "revision": 1,
                "opened_at": "2023-11-14T22:13:20.000000Z",
                "updated_at": "2023-11-14T22:13:24.000000Z",
                "resolved_at": None,
                "anomaly_count": 3,
                "models": ["gpt-4o"],
                "users": [],
                "metrics": ["latency"],
                "detectors": ["deviation"],
                "anomaly_ids": ["a1"],
                "settings_version": "0",
                "no_data_since": None,
                "new_level_since": None,
                "errors": [],
                "sample_event_ids": [],
                "trace_links": [],
                "note": "",
            }
        },
    }


def test_each_state_that_matters_is_told_when_the_one_before_has_arrived() -> None:
    """Opened, escalated, resolved; plain updates are not told; each waits for the fate of the one
    before.
    """
    desk = Desk()
    [opened] = deliveries(desk.at(0, incident("i1", OPENED, 0)))
    made = desk.at(
        1, incident("i1", UPDATED, 1), incident("i1", ESCALATED, 1), incident("i1", RESOLVED, 1)
    )
    assert reasons(made) == [
        Reason.UPDATED_NOT_SENT,
        Reason.WAITS_FOR_EARLIER,
        Reason.WAITS_FOR_EARLIER,
    ]
    assert outcomes(made) == []
    [escalated] = deliveries(desk.delivered(opened))
    [resolved] = deliveries(desk.delivered(escalated))
    assert [d.reason for d in (opened, escalated, resolved)] == [
        Reason.OPENED,
        Reason.ESCALATED,
        Reason.RESOLVED,
    ]
    assert orjson.loads(resolved.body)["type"] == "incident.resolved"
    assert outcomes(desk.delivered(resolved)) == [NotificationOutcome.DELIVERED]
    desk.flush()
    assert not [key for key in desk.rows if key.startswith(b"told/")], "what is over is forgotten"


def test_end_that_nobody_waits_for_is_not_told() -> None:
    """When the receiver took no message of the start, its end is suppressed, with the reason on
    record.
    """
    desk = Desk()
    [opened] = deliveries(desk.at(0, incident("i1", OPENED, 0)))
    desk.at(1, incident("i1", RESOLVED, 1))
    failed, suppressed = desk.failed(opened)
    assert failed.notification is not None
    assert (failed.notification.outcome, failed.notification.status_code) == (
        NotificationOutcome.FAILED,
        410,
    )
    assert (failed.notification.reason, failed.notification.attempt) == (Attempt.GONE, 3)
    assert suppressed.reason is Reason.RESOLVED_NOT_SENT
    assert outcomes([suppressed]) == [NotificationOutcome.SUPPRESSED]
    assert desk.core.pending() == []
    assert reasons(desk.at(2, incident("i2", RESOLVED, 2))) == [Reason.RESOLVED_NOT_SENT], (
        "never seen open"
    )


def test_escalation_is_told_though_the_opening_failed_and_then_so_is_the_end() -> None:
    """A receiver that was away for the opening hears of the rise, and then of the end."""
    desk = Desk()
    [opened] = deliveries(desk.at(0, incident("i1", OPENED, 0)))
    desk.failed(opened)
    [escalated] = deliveries(desk.at(1, incident("i1", ESCALATED, 1)))
    desk.delivered(escalated)
    assert reasons(desk.at(2, incident("i1", RESOLVED, 2))) == [Reason.RESOLVED]


def test_end_is_told_to_who_knows_of_the_opening_though_not_of_the_rise() -> None:
    """An escalation that was given up takes nothing back."""
    desk = Desk()
    [opened] = deliveries(desk.at(0, incident("i1", OPENED, 0)))
    desk.delivered(opened)
    [escalated] = deliveries(desk.at(1, incident("i1", ESCALATED, 1)))
    desk.failed(escalated)
    assert reasons(desk.at(2, incident("i1", RESOLVED, 2))) == [Reason.RESOLVED]


def test_severity_decides_who_is_told() -> None:
    """A receiver hears of an incident from its own severity on, and of its end only if it heard of
    it.
    """
    desk = Desk(
        AlertSettings(
            receivers=(PAGER, ReceiverSettings(name="boss", min_severity=Severity.CRITICAL))
        )
    )
    opened, below = desk.at(0, incident("i1", OPENED, 0))
    assert (opened.receiver, opened.reason) == ("pager", Reason.OPENED)
    assert (below.receiver, below.reason) == ("boss", Reason.BELOW_SEVERITY)
    assert outcomes([below]) == [NotificationOutcome.SUPPRESSED]
    assert reasons(desk.at(1, incident("i1", UPDATED, 1))) == [Reason.UPDATED_NOT_SENT] * 2
    [_, told] = desk.at(2, incident("i1", ESCALATED, 2, severity=Severity.CRITICAL))
    assert told.delivery is not None
    assert told.reason is Reason.OPENED, "to this receiver it is new"
    desk.at(3, incident("i2", OPENED, 3))
    assert reasons(desk.at(4, incident("i2", RESOLVED, 4)))[-1] is Reason.RESOLVED_NOT_SENT


def test_incident_whose_opening_was_compacted_away_is_told_as_new() -> None:
    """`incidents` is compacted: the first record that is seen may be an update."""
    [decision] = Desk().at(0, incident("i1", UPDATED, 0))
    assert decision.reason is Reason.OPENED
    assert decision.delivery is not None
    assert orjson.loads(decision.delivery.body)["type"] == "incident.opened"


def test_receiver_that_wants_no_resolved_gets_none() -> None:
    """And its thread ends with the outcome of the last message."""
    desk = Desk(AlertSettings(receivers=(ReceiverSettings(name="pager", send_resolved=False),)))
    [opened] = deliveries(desk.at(0, incident("i1", OPENED, 0)))
    assert reasons(desk.at(1, incident("i1", RESOLVED, 1))) == [Reason.RESOLVED_NOT_WANTED]
    desk.delivered(opened)
    desk.flush()
    assert not [key for key in desk.rows if key.startswith(b"told/")]


def test_slow_receiver_holds_up_nobody_else() -> None:
    """Another receiver, and another incident to the same one, go on while a delivery hangs."""
    desk = Desk(AlertSettings(receivers=(PAGER, ReceiverSettings(name="chat"))))
    _, to_chat = deliveries(desk.at(0, incident("i1", OPENED, 0)))
    desk.delivered(to_chat)
    made = desk.at(1, incident("i1", RESOLVED, 1), incident("i2", OPENED, 1))
    assert [(d.receiver, d.incident_id) for d in deliveries(made)] == [
        ("chat", "i1"),
        ("pager", "i2"),
        ("chat", "i2"),
    ]


def test_record_that_came_before_does_nothing() -> None:
    """Correlate writes some records again after a fault: same lane, same place, no second
    message.
    """
    desk = Desk()
    desk.at(0, incident("i1", OPENED, 0))
    assert reasons(desk.core.on_incident(incident("i1", OPENED, 0), offset=9, now=micros(1))) == [
        Reason.DUPLICATE
    ]


def test_deadline_counts_from_when_the_turn_has_come() -> None:
    """A message that waited an hour for the one before still has its whole time."""
    desk = Desk()
    [opened] = deliveries(desk.at(0, incident("i1", OPENED, 0)))
    desk.at(1, incident("i1", RESOLVED, 1))
    desk.pass_to(3600)
    [resolved] = deliveries(desk.delivered(opened))
    assert resolved.decided_at == micros(3600)


def test_messages_to_a_receiver_that_is_gone_are_given_up() -> None:
    """After a restart without it, what waited for it fails with a reason, and its rows get
    tombstones.
    """
    old = ReceiverSettings(name="old")
    desk = Desk(AlertSettings(receivers=(PAGER, old)))
    desk.at(0, incident("i1", OPENED, 0), incident("i1", RESOLVED, 0))
    desk.flush()
    desk.restart(ONE_RECEIVER)
    assert [d.receiver for d in desk.core.pending()] == ["pager"]
    made = desk.pass_to(1)
    assert reasons(made) == [Reason.RECEIVER_GONE] * 2
    assert outcomes(made) == [NotificationOutcome.FAILED] * 2
    assert desk.core.next_wake() is None
    desk.flush()
    assert not [key for key in desk.rows if key.endswith(b"/old")]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ReceiverSettings(name=""), "needs a name"),
        (lambda: Webhook(name="a"), "receiver 'a': a webhook needs a url"),
        (
            lambda: Webhook(name="a", url="https://x"),
            "needs a secret",
        ),
        (lambda: AlertSettings(receivers=(PAGER, PAGER)), "'pager' is given more than once"),
        (lambda: RetrySettings(first_s=0), "above 0"),
        (lambda: AlertSettings(alert_max_age_s=-1), "alert_max_age_s"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(make: object, words: str) -> None:
    """With words that say which, before anything runs."""
    assert callable(make)
    with pytest.raises(ValueError, match=words):
        make()


def test_settings_do_not_show_the_secret() -> None:
    """Settings are logged; the secret in them is not."""
    assert "c2VjcmV0" not in repr(Webhook(name="a", url="u", secret=Secret("c2VjcmV0")))
