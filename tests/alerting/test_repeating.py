"""Still open is told again, more of it to those who want it, and never more than a person reads."""

from dataclasses import replace

import orjson

from agents.alerting.alerter import Alerter
from agents.alerting.paging import PageCount
from agents.alerting.reasons import Reason
from agents.alerting.settings import AlertSettings, ReceiverSettings
from schemas.records.incidents import IncidentChange
from streams.state.chunks import seal, unseal
from tests.alerting.timeline import PAGER, Desk, deliveries, incident, micros, reasons, silence

OPENED, ESCALATED, UPDATED, RESOLVED, *_ = IncidentChange
HOUR = 3600.0
REPEATING = AlertSettings(receivers=(PAGER,), repeat_interval_s=600)
CAPPED = AlertSettings(
    receivers=(replace(PAGER, pages_per_hour=3),), summary_wait_s=15, summary_max_wait_s=120
)


def test_open_incident_is_told_again_after_the_interval() -> None:
    """Each time under an id of its own, counted from the last message; not after its end."""
    desk = Desk(REPEATING)
    desk.delivered(deliveries(desk.at(0, incident("i1", OPENED, 0)))[0])
    desk.delivered(deliveries(desk.at(300, incident("i1", ESCALATED, 300)))[0])
    assert desk.pass_to(899.9) == []
    [first] = deliveries(desk.pass_to(900))
    assert (first.reason, orjson.loads(first.body)["type"]) == (
        Reason.REPEATED,
        "incident.repeated",
    )
    desk.delivered(first)
    [second] = deliveries(desk.pass_to(1500))
    assert second.notification_id != first.notification_id
    desk.delivered(second)
    desk.delivered(deliveries(desk.at(1600, incident("i1", RESOLVED, 1600)))[0])
    assert desk.pass_to(9999) == []


def test_repeat_waits_for_what_is_under_way_and_for_nobody_without_the_setting() -> None:
    """Repeats do not pile up behind a receiver that is down; by default there are none."""
    desk = Desk(REPEATING)
    [opened] = deliveries(desk.at(0, incident("i1", OPENED, 0)))
    assert desk.pass_to(5000) == []
    desk.failed(opened)
    assert [d.reason for d in deliveries(desk.pass_to(5000))] == [Reason.REPEATED], (
        "it is told after all"
    )
    quiet = Desk()
    quiet.delivered(deliveries(quiet.at(0, incident("i1", OPENED, 0)))[0])
    assert quiet.core.next_wake() is None


def test_repeat_in_a_silence_is_held_back_until_it_ends() -> None:
    """One message then, not one for each interval."""
    desk = Desk(REPEATING)
    desk.delivered(deliveries(desk.at(0, incident("i1", OPENED, 0)))[0])
    desk.ask(1, silence("s1", ends=3000, at=1))
    assert reasons(desk.pass_to(2999)) == [Reason.SILENCED]
    assert [d.reason for d in deliveries(desk.pass_to(3000))] == [Reason.REPEATED]


def test_more_of_it_is_told_to_those_who_want_it_if_something_joined() -> None:
    """A model, user or metric that joined is news; a count that grew, or a detector, is none."""
    desk = Desk(AlertSettings(receivers=(PAGER, ReceiverSettings(name="chat", send_extended=True))))
    for delivery in deliveries(desk.at(0, incident("i1", OPENED, 0))):
        desk.delivered(delivery)
    same = replace(
        incident("i1", UPDATED, 1, revision=2), anomaly_count=99, detectors=("deviation", "profile")
    )
    wider = replace(incident("i1", UPDATED, 2, revision=3), metrics=("cost", "latency"))
    assert deliveries(desk.at(1, same)) == []
    [told] = deliveries(desk.at(2, wider))
    assert (told.receiver, told.reason) == ("chat", Reason.EXTENDED)
    desk.delivered(told)
    assert deliveries(desk.at(3, replace(wider, revision=4))) == []


def test_a_flood_is_so_many_pages_and_one_summary() -> None:
    """The first ones singly, the rest of the hour in one message at once; the next summary an hour
    later.
    """
    desk = Desk(CAPPED)
    made = desk.at(0, *(incident(f"i{n}", OPENED, 0) for n in range(20)))
    assert reasons(made) == [Reason.OPENED] * 3 + [Reason.LISTED_CAP] * 17
    [summary] = deliveries(desk.pass_to(60))
    assert orjson.loads(summary.body)["data"]["count"] == 17
    desk.delivered(summary)
    for minute in range(2, 55):
        desk.at(minute * 60, incident(f"m{minute}", OPENED, minute * 60))
    assert deliveries(desk.pass_to(HOUR - 1)) == []
    [later] = deliveries(desk.pass_to(HOUR + 200))
    assert orjson.loads(later.body)["data"]["count"] == 53


def test_pages_are_free_again_an_hour_after_the_first() -> None:
    """A sliding hour, kept over restarts; ends are no pages."""
    desk = Desk(CAPPED)
    for second in (0, 100, 200):
        desk.delivered(deliveries(desk.at(second, incident(f"i{second}", OPENED, second)))[0])
        desk.at(second + 1, incident(f"i{second}", RESOLVED, second + 1))
    desk.flush()
    desk.restart()
    assert reasons(desk.at(HOUR - 1, incident("a", OPENED, HOUR - 1))) == [Reason.LISTED_CAP]
    assert reasons(desk.at(HOUR, incident("b", OPENED, HOUR))) == [Reason.OPENED]
    assert reasons(desk.at(HOUR, incident("c", OPENED, HOUR))) == [Reason.LISTED_CAP]


def test_lanes_of_one_worker_count_together() -> None:
    """A flood comes through all lanes to one person; a lane that comes again forgets what it
    had.
    """
    count = PageCount()
    lanes = [Alerter(CAPPED, lane, count) for lane in (0, 1)]
    made = [
        lanes[n % 2]
        .on_incident(replace(incident(f"i{n}", OPENED, 0), offset=n), offset=n, now=micros(0))[0]
        .reason
        for n in range(5)
    ]
    assert made == [Reason.OPENED] * 3 + [Reason.LISTED_CAP] * 2
    again = Alerter(CAPPED, 0, count)
    assert (
        again.on_incident(incident("j", OPENED, 0), offset=0, now=micros(0))[0].reason
        is Reason.OPENED
    )


def test_state_of_the_version_before_is_read() -> None:
    """Threads as version 1 wrote them: what is under way goes on, and the end is told."""
    desk = Desk()
    [opened] = deliveries(desk.at(0, incident("i1", OPENED, 0)))
    desk.flush()
    for key in [key for key in desk.rows if key.startswith((b"open/", b"paged/"))]:
        del desk.rows[key]
    for key in [key for key in desk.rows if key.startswith(b"told/")]:
        fields = orjson.loads(unseal(desk.rows[key], 9, "told")[1])
        for new in ("held", "said_at", "repeats", "reach"):
            del fields[new]
        desk.rows[key] = seal(1, orjson.dumps(fields))
    desk.restart(REPEATING)
    assert desk.core.pending() == [opened]
    desk.delivered(opened)
    assert desk.pass_to(500) == []
    assert [d.reason for d in deliveries(desk.at(501, incident("i1", RESOLVED, 501)))] == [
        Reason.RESOLVED
    ]
