"""What is too old, or too much, is told in one message."""

from dataclasses import replace

import orjson

from agents.alerting.reasons import Reason
from agents.alerting.settings import AlertSettings, ReceiverSettings
from agents.alerting.summaries import Summaries
from schemas.records.anomalies import Severity
from schemas.records.incidents import IncidentChange
from schemas.records.notifications import NotificationOutcome
from tests.alerting.timeline import PAGER, Desk, deliveries, incident, micros, outcomes, reasons

OPENED, ESCALATED, UPDATED, RESOLVED, *_ = IncidentChange
HOUR = 3600.0
SUMMING = AlertSettings(
    receivers=(PAGER,), summary_wait_s=15, summary_max_wait_s=120, summary_listed=50
)
CAPPED = AlertSettings(
    receivers=(replace(PAGER, pages_per_hour=1),), summary_wait_s=15, summary_max_wait_s=120
)


def test_backlog_of_an_outage_is_one_message() -> None:
    """Two hundred old incidents, some of them over: none is paged, one summary says how they
    stand.
    """
    desk = Desk(SUMMING)
    backlog = [incident(f"i{i}", OPENED, i) for i in range(200)]
    backlog += [incident(f"i{i}", RESOLVED, 200 + i) for i in range(20)]
    made = desk.at(HOUR, *backlog)
    assert deliveries(made) == []
    assert set(outcomes(made)) == {NotificationOutcome.SUMMARISED}
    assert reasons(made) == [Reason.LISTED_OLD] * 200 + [Reason.LISTED_AGAIN] * 20
    assert desk.core.next_wake() == micros(HOUR + 15)
    assert desk.pass_to(HOUR + 14.9) == []
    [summary] = deliveries(desk.pass_to(HOUR + 15))
    assert summary.reason is Reason.SUMMARY
    body = orjson.loads(summary.body)
    data = body["data"]
    assert body["type"] == "incidents.summary"
    assert (data["tenant"], data["count"], data["unlisted"]) == ("acme", 200, 150)
    assert (data["open"], data["resolved"]) == (30, 20)
    assert data["incidents"][0] == {
        "id": "i0",
        "application": "chat-api",
        "state": "resolved",
        "severity": "high",
        "title": "latency of chat-api/gpt-4o 3.1x expected",
        "opened_at": "2023-11-14T22:13:20.000000Z",
        "updated_at": "2023-11-14T22:16:40.000000Z",
        "resolved_at": "2023-11-14T22:16:40.000000Z",
    }
    desk.delivered(summary)
    assert desk.pass_to(HOUR + 1000) == []


def test_age_decides_to_the_second() -> None:
    """What is just young enough is told singly, what is older is listed."""
    desk = Desk(SUMMING)
    assert reasons(desk.at(900, incident("i1", OPENED, 0))) == [Reason.OPENED]
    assert reasons(desk.at(900.000001, incident("i2", OPENED, 0))) == [Reason.LISTED_OLD]


def test_summary_waits_for_quiet_but_not_for_ever() -> None:
    """Each listing puts it off by `summary_wait_s`, up to `summary_max_wait_s` after the first."""
    desk = Desk(SUMMING)
    for i in range(30):
        desk.at(HOUR + 10 * i, incident(f"i{i}", OPENED, 0))
    first, *_ = [(second, d.delivery) for second, d in desk.decided if d.delivery]
    assert first[0] == HOUR + 120


def test_tenants_and_receivers_have_summaries_of_their_own() -> None:
    """Nobody reads of another tenant's incidents."""
    desk = Desk(
        AlertSettings(
            receivers=(PAGER, ReceiverSettings(name="chat", min_severity=Severity.CRITICAL))
        )
    )
    desk.at(
        HOUR,
        incident("i1", OPENED, 0),
        incident("i2", OPENED, 0, tenant="other", severity=Severity.CRITICAL),
    )
    made = deliveries(desk.pass_to(HOUR + 60))
    assert {(d.receiver, d.tenant) for d in made} == {
        ("pager", "acme"),
        ("pager", "other"),
        ("chat", "other"),
    }
    assert all(orjson.loads(d.body)["data"]["count"] == 1 for d in made)


def test_end_of_a_listed_incident_is_told_after_its_summary() -> None:
    """The summary said that it is open; its end waits for the summary to arrive, and is dropped if
    that never does.
    """
    for arrives in (True, False):
        desk = Desk(SUMMING)
        desk.at(HOUR, incident("i1", OPENED, 0))
        [summary] = deliveries(desk.pass_to(HOUR + 20))
        assert reasons(desk.at(HOUR + 30, incident("i1", RESOLVED, HOUR + 30))) == [
            Reason.WAITS_FOR_EARLIER
        ]
        made = desk.delivered(summary) if arrives else desk.failed(summary)
        ended, then = reasons(made)
        assert ended is (Reason.DELIVERED if arrives else Reason.FAILED)
        assert then is (Reason.RESOLVED if arrives else Reason.RESOLVED_NOT_SENT)
        assert len(deliveries(made)) == arrives


def test_an_end_waits_for_no_summary_when_something_else_told_of_the_start() -> None:
    """Of what was told singly, a rise that the cap put into a summary holds back nothing: nobody
    looks at what is over for an hour.
    """
    desk = Desk(CAPPED)
    desk.delivered(deliveries(desk.at(0, incident("i1", OPENED, 0)))[0])
    assert reasons(desk.at(60, incident("i1", ESCALATED, 60))) == [Reason.LISTED_CAP]
    assert reasons(desk.at(120, incident("i1", RESOLVED, 120))) == [Reason.RESOLVED]


def test_an_end_is_told_when_an_earlier_summary_told_of_the_start() -> None:
    """Also when a later one, which lists the incident again, is never taken."""
    desk = Desk(SUMMING)
    desk.at(HOUR, incident("i1", OPENED, 0))
    [first] = deliveries(desk.pass_to(HOUR + 20))
    assert reasons(desk.at(HOUR + 30, incident("i1", ESCALATED, 30))) == [Reason.LISTED_OLD]
    desk.delivered(first)
    [second] = deliveries(desk.pass_to(HOUR + 200))
    desk.failed(second)
    assert reasons(desk.at(HOUR + 300, incident("i1", RESOLVED, HOUR + 300))) == [Reason.RESOLVED]


def test_each_summary_has_an_id_of_its_own() -> None:
    """Also two that one revision of an incident began, as repeats do: a receiver folds together
    what has one id.
    """
    summaries = Summaries(SUMMING)
    opened = incident("i1", OPENED, 0)
    ids = []
    for hour in (1, 2):
        summaries.add(opened, PAGER.name, is_first=True, now=micros(hour * HOUR))
        [summary] = summaries.begin_due(micros(hour * HOUR + 1000))
        assert summaries.settle(summary.notification_id) == summary
        ids.append(summary.notification_id)
    assert ids[0] != ids[1]


def test_fresh_rise_of_a_listed_incident_is_paged() -> None:
    """Old news was summed up; new news of the same incident is told singly, and so is its end."""
    desk = Desk(SUMMING)
    desk.at(HOUR, incident("i1", OPENED, 0))
    [escalated] = deliveries(desk.at(HOUR + 1, incident("i1", ESCALATED, HOUR)))
    assert escalated.reason is Reason.ESCALATED
    desk.delivered(escalated)
    [summary] = deliveries(desk.pass_to(HOUR + 60))
    desk.delivered(summary)
    assert reasons(desk.at(HOUR + 70, incident("i1", RESOLVED, HOUR + 70))) == [Reason.RESOLVED]


def test_old_end_of_what_was_told_singly_is_told_singly() -> None:
    """The receiver still shows it as open; an end pages nobody, so age does not matter."""
    desk = Desk(SUMMING)
    [opened] = deliveries(desk.at(0, incident("i1", OPENED, 0)))
    desk.delivered(opened)
    assert reasons(desk.at(5 * HOUR, incident("i1", RESOLVED, 60))) == [Reason.RESOLVED]


def test_old_end_of_what_was_never_seen_open_is_listed() -> None:
    """Compaction leaves the last state only: the summary of an outage is the same with and without
    the first ones.
    """
    desk = Desk(SUMMING)
    assert reasons(desk.at(HOUR, incident("i1", RESOLVED, 60))) == [Reason.LISTED_OLD]
    [summary] = deliveries(desk.pass_to(HOUR + 60))
    assert orjson.loads(summary.body)["data"]["resolved"] == 1


def test_next_summary_waits_for_the_one_before() -> None:
    """While a summary is being delivered the next one collects, and is decided when the outcome is
    known.
    """
    desk = Desk(SUMMING)
    desk.at(HOUR, incident("i1", OPENED, 0))
    [first] = deliveries(desk.pass_to(HOUR + 20))
    desk.at(HOUR + 30, incident("i2", OPENED, 0))
    assert desk.core.next_wake() is None
    assert desk.pass_to(HOUR + 300) == []
    desk.delivered(first)
    [second] = deliveries(desk.pass_to(HOUR + 300))
    assert orjson.loads(second.body)["data"]["incidents"][0]["id"] == "i2"


def test_flood_to_a_receiver_that_is_down_is_summed_up() -> None:
    """While `max_waiting` messages wait, new incidents are listed: the lane's memory is bounded."""
    desk = Desk(AlertSettings(receivers=(PAGER,), max_waiting=3))
    made = desk.at(0, *(incident(f"i{i}", OPENED, 0) for i in range(5)))
    assert reasons(made) == [Reason.OPENED] * 3 + [Reason.LISTED_BACKLOG] * 2
    desk.delivered(deliveries(made)[0])
    assert reasons(desk.at(1, incident("i9", OPENED, 1))) == [Reason.OPENED]


def test_end_of_an_incident_that_a_summary_only_counted_is_not_told() -> None:
    """Nobody was told of it by name, so nobody waits for its end; a fresh rise before that is
    paged.
    """
    desk = Desk(AlertSettings(receivers=(PAGER,), summary_listed=1))
    desk.at(HOUR, incident("i1", OPENED, 0), incident("i2", OPENED, 0), incident("i3", OPENED, 0))
    [summary] = deliveries(desk.pass_to(HOUR + 60))
    assert orjson.loads(summary.body)["data"]["unlisted"] == 2
    desk.delivered(summary)
    made = desk.at(HOUR + 70, *(incident(name, RESOLVED, HOUR + 70) for name in ("i1", "i2")))
    assert reasons(made) == [Reason.RESOLVED, Reason.RESOLVED_NOT_SENT]
    assert reasons(desk.at(HOUR + 70, incident("i3", ESCALATED, HOUR + 70))) == [Reason.ESCALATED]
