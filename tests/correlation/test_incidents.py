"""Anomalies of one application that are close in event time are one incident, from its opening to
its end.
"""

from agents.correlation.incident_table import OTHER_APPLICATIONS
from agents.correlation.settings import CorrelationSettings
from schemas.ids import record_id
from schemas.records.anomalies import INTAKE, Breakdown, Severity
from schemas.records.incidents import Incident, IncidentChange, IncidentState
from tests.correlation.timeline import (
    Lane,
    anomaly,
    arrives,
    changes,
    ends,
    micros,
    seconds,
    watermark,
)

OPENED, ESCALATED, UPDATED, RESOLVED, NO_DATA, NEW_LEVEL, GIVEN_UP, CLOSED = IncidentChange


def test_first_anomaly_opens_an_incident_that_says_what_where_and_how_much() -> None:
    """An incident is a whole record from its first anomaly on, and its id follows from what it is
    about.
    """
    found = anomaly(0, source=(5, 70, 2), user="u-1")
    [incident] = Lane().at(1, arrives(found))
    assert incident == Incident(
        id=record_id("acme", "chat-api", found.id),
        tenant="acme",
        application="chat-api",
        state=IncidentState.OPEN,
        revision=1,
        change=OPENED,
        severity=Severity.MEDIUM,
        title="latency of user u-1 in chat-api/gpt-4o 3.1 µs, usual 1 µs",
        opened_at=micros(0),
        updated_at=micros(0),
        anomaly_count=1,
        models=("gpt-4o",),
        users=("u-1",),
        metrics=("latency",),
        detectors=("deviation",),
        anomaly_ids=(found.id,),
        settings_version="0",
        lane=3,
        offset=0,
        ordinal=0,
        evidence_metric="latency",
        evidence_model="gpt-4o",
        evidence_user="u-1",
        evidence_observed=3.1,
        evidence_expected=1.0,
        evidence_score=5.0,
        evidence_since=micros(-10),
    )


def test_evidence_is_the_newest_of_what_the_title_is_about() -> None:
    """Since its first anomaly; other signals, less grave, do not replace it, and neither does a
    restart.
    """
    lane = Lane()
    lane.at(
        0, arrives(anomaly(0, source=(0, 1, 0), metric="request_rate", observed=0.0, expected=1.4))
    )
    lane.at(
        120,
        arrives(
            anomaly(
                120, source=(0, 2, 0), metric="request_rate", observed=0.0, expected=1.4, score=9.0
            )
        ),
    )
    lane.flush()
    lane.restart()
    broken = (Breakdown("error_type", "rate_limited", 7),)
    lane.at(
        240,
        arrives(anomaly(230, source=(0, 3, 0), metric="cost", severity=Severity.LOW)),
        arrives(
            anomaly(
                240,
                source=(0, 4, 0),
                metric="request_rate",
                observed=0.1,
                expected=1.4,
                score=3.0,
                breakdown=broken,
                sample_event_ids=("e1",),
                sample_trace_ids=("t1",),
            )
        ),
    )
    [last] = lane.at(
        400, arrives(anomaly(400, source=(0, 5, 0), metric="latency", severity=Severity.LOW))
    )[-1:]
    assert last.title.startswith(
        "no calls of chat-api/gpt-4o since 22:13:10 UTC, 1.4/s expected; also "
    )
    assert (last.evidence_metric, last.evidence_observed, last.evidence_score) == (
        "request_rate",
        0.1,
        3.0,
    )
    assert last.evidence_since == micros(-10)
    assert (last.breakdown, last.sample_event_ids, last.sample_trace_ids) == (
        broken,
        ("e1",),
        ("t1",),
    )


def test_more_of_the_same_says_nothing_new() -> None:
    """A second anomaly with the same metric, model and detector joins without a record."""
    lane = Lane()
    lane.at(0, arrives(anomaly(0, source=(0, 1, 0))))
    assert lane.at(10, arrives(anomaly(10, source=(0, 2, 0)))) == []
    assert lane.at(20, ends(20, anomaly(10), source=(0, 3, 0))) == []
    [resolved] = lane.at(300, watermark(300, source_offset=9))
    assert resolved.anomaly_count == 2
    assert len(resolved.anomaly_ids) == 2


def test_rise_of_severity_is_told_at_once_and_a_fall_never() -> None:
    """Severity is the greatest of the anomalies, and its rise does not wait for
    `update_every_s`.
    """
    lane = Lane()
    lane.at(0, arrives(anomaly(0, source=(0, 1, 0))))
    [escalated] = lane.at(
        1, arrives(anomaly(1, source=(0, 2, 0), severity=Severity.CRITICAL, metric="cost"))
    )
    assert (escalated.change, escalated.severity, escalated.revision) == (
        ESCALATED,
        Severity.CRITICAL,
        2,
    )
    assert (
        escalated.title
        == "cost of chat-api/gpt-4o 3.1e-09 currency units, usual 1e-09 currency units; also"
        " latency"
    )
    assert lane.at(2, arrives(anomaly(2, source=(0, 3, 0), severity=Severity.LOW))) == []
    lane.at(
        3,
        ends(3, anomaly(0), source=(0, 4, 0)),
        ends(3, anomaly(0, metric="cost"), source=(0, 4, 1)),
    )
    [resolved] = lane.at(300, watermark(300, source_offset=9))
    assert resolved.severity is Severity.CRITICAL


def test_new_metric_is_told_when_the_last_record_is_old_enough() -> None:
    """What joins within `update_every_s` of event time is told together, once that time has passed,
    even if nothing more comes.
    """
    lane = Lane(CorrelationSettings(update_every_s=30))
    lane.at(0, arrives(anomaly(0, source=(0, 1, 0))))
    assert lane.at(5, arrives(anomaly(5, source=(0, 2, 0), metric="cost"))) == []
    assert lane.at(6, arrives(anomaly(6, source=(0, 3, 0), model="o3"))) == []
    assert lane.at(35, watermark(29, source_offset=4)) == []
    [updated] = lane.at(36, watermark(30, source_offset=5))
    assert (updated.change, updated.metrics, updated.models) == (
        UPDATED,
        ("latency", "cost"),
        ("gpt-4o", "o3"),
    )
    [updated] = lane.at(45, arrives(anomaly(45, source=(0, 6, 0), user="u-9")))
    assert updated.users == ("u-9",)


def test_incident_is_resolved_when_event_time_is_quiet_for_long_enough() -> None:
    """Not a microsecond before `quiet_s` of event time after all was normal again, and
    `resolved_at` is that moment.
    """
    lane = Lane(CorrelationSettings(quiet_s=180))
    lane.at(0, arrives(anomaly(0, source=(0, 1, 0))), arrives(anomaly(10, source=(0, 2, 0))))
    lane.at(20, ends(20, anomaly(0), source=(0, 3, 0)))
    assert lane.at(200, watermark(199.999999, source_offset=3)) == []
    [resolved] = lane.at(201, watermark(200, source_offset=4))
    assert (resolved.change, resolved.state, resolved.revision) == (
        RESOLVED,
        IncidentState.RESOLVED,
        2,
    )
    assert resolved.resolved_at is not None
    assert seconds(resolved.resolved_at) == seconds(resolved.updated_at) == 200
    assert lane.at(500, watermark(500, source_offset=5)) == []


def test_anomaly_after_the_quiet_ends_the_incident_and_opens_the_next() -> None:
    """An at-once anomaly comes before the watermark that would have ended the incident: one record
    makes both states.
    """
    lane = Lane()
    [first] = lane.at(
        0, arrives(anomaly(0, source=(0, 1, 0))), ends(10, anomaly(0), source=(0, 1, 1))
    )
    resolved, second = lane.at(500, arrives(anomaly(500, source=(0, 2, 0))))
    assert (resolved.id, resolved.change, resolved.ordinal) == (first.id, RESOLVED, 0)
    assert (second.change, second.ordinal, second.revision) == (OPENED, 1, 1)
    assert second.id != first.id


def test_applications_and_tenants_are_kept_apart() -> None:
    """Each application of each tenant has its own incident."""
    lane = Lane()
    lane.at(
        0,
        arrives(anomaly(0, source=(0, 1, 0), application="a")),
        arrives(anomaly(0, source=(0, 1, 1), application="b")),
        arrives(anomaly(0, source=(0, 1, 2), application="a", tenant="other")),
    )
    assert changes(lane.told) == [OPENED] * 3
    assert len({incident.id for incident in lane.told}) == 3


def test_thousand_late_anomalies_are_one_incident() -> None:
    """Late anomalies open one incident of their own, which is resolved when time next moves."""
    lane = Lane()
    lane.at(10_000, watermark(10_000, source_offset=1))
    made = lane.at(10_001, *(arrives(anomaly(i / 10, source=(0, 2 + i, 0))) for i in range(1000)))
    assert changes(made) == [OPENED]
    lane.at(10_001, ends(110, anomaly(0), source=(0, 1500, 0)))
    [resolved] = lane.at(10_002, watermark(10_001, source_offset=5000))
    assert (resolved.change, resolved.anomaly_count) == (RESOLVED, 1000)


def test_lists_keep_the_first_and_the_count_goes_on() -> None:
    """A hundred thousand users in one incident cost what a hundred cost."""
    lane = Lane(CorrelationSettings(max_listed=100, update_every_s=0))
    for i in range(300):
        lane.at(i / 10, arrives(anomaly(i / 10, source=(0, i + 1, 0), user=f"u-{i}")))
    lane.flush()
    assert max(map(len, lane.rows.values())) < 16_000
    for i in range(300):
        lane.at(31, ends(31, anomaly(0, user=f"u-{i}"), source=(0, 400 + i, 0)))
    [resolved] = lane.at(900, watermark(900, source_offset=9999))
    assert resolved.anomaly_count == 300
    assert resolved.users == tuple(f"u-{i}" for i in range(100))
    assert len(resolved.anomaly_ids) == 100
    assert len(lane.told) == 101, "opened with the first user, updated for 99, resolved"


def test_applications_beyond_the_budget_share_one_incident() -> None:
    """A tenant with a million applications has `max_open` incidents and one more; other tenants
    keep their own.
    """
    lane = Lane(CorrelationSettings(max_open=10))
    for i in range(500):
        lane.at(1, arrives(anomaly(1, source=(0, i + 1, 0), application=f"app-{i}")))
    lane.at(1, arrives(anomaly(1, source=(0, 900, 0), tenant="other")))
    assert lane.core.open_incidents == 12
    shared = [incident for incident in lane.told if incident.application == OTHER_APPLICATIONS]
    assert changes(shared) == [OPENED]
    for i in range(500):
        lane.at(2, ends(2, anomaly(1, application=f"app-{i}"), source=(0, 1000 + i, 0)))
    lane.at(2, ends(2, anomaly(1, tenant="other"), source=(0, 1500, 0)))
    lane.at(1000, watermark(1000, source_offset=999))
    lane.flush()
    assert lane.core.open_incidents == 0
    assert all(not key.startswith(b"open/") for key in lane.rows), "every row is buried"


def test_append_time_resolves_nothing() -> None:
    """While event time moves, however slowly, a lane that catches up is heard out."""
    lane = Lane(CorrelationSettings(quiet_s=180, silence_s=60))
    lane.at(0, arrives(anomaly(0, source=(0, 1, 0))), ends(1, anomaly(0), source=(0, 1, 1)))
    for minute in range(1, 20):
        lane.at(minute * 50, watermark(minute, source_offset=1 + minute))
    assert changes(lane.told) == [OPENED]


def test_records_that_do_not_count_make_an_incident_of_their_own() -> None:
    """An incident about records in the wrong lane may last for weeks: a fault of the same
    application's calls is a new one, and ends by itself.
    """
    lane = Lane()
    misplaced = anomaly(
        0, source=(0, 1, 0), detector=INTAKE, metric="misplaced_events", model=None, first=True
    )
    [intake] = lane.at(0, arrives(misplaced))
    fault = anomaly(1000, source=(0, 2, 0), first=True)
    [opened] = lane.at(1000, arrives(fault))
    assert (opened.change, opened.application) == (OPENED, intake.application)
    assert opened.id != intake.id
    assert lane.at(1010, ends(1010, fault, source=(0, 3, 0))) == []
    [resolved] = lane.at(1300, watermark(1300, source_offset=9))
    assert (resolved.id, resolved.change) == (opened.id, RESOLVED)
    assert lane.at(2000, ends(2000, misplaced, source=(0, 10, 0))) == []
    [over] = lane.at(2300, watermark(2300, source_offset=19))
    assert (over.id, over.change) == (intake.id, RESOLVED)
