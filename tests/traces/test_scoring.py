"""The scorer: what counts as found, how late, what was told, and what is a false alarm."""

from dataclasses import replace

import pytest

from schemas.records.anomalies import Anomaly, Direction, Severity
from schemas.records.incidents import Incident, IncidentChange, IncidentState
from schemas.records.notifications import Notification, NotificationOutcome
from topology.demo.scoring import Family, Label, Scores, family, report, score

MINUTE = 60_000_000
NOON = 1_790_000_000_000_000

SLOW = Label(
    name="slow model",
    application="chat",
    model="large",
    user=None,
    shows=frozenset({Family.LATENCY}),
    knock_on=frozenset({Family.FIRST_TOKEN}),
    start=NOON + 10 * MINUTE,
    end=NOON + 15 * MINUTE,
)
ATTACK = Label(
    name="attack",
    application="support",
    model=None,
    user="u-1",
    shows=frozenset({Family.TOKENS}),
    knock_on=frozenset(),
    start=NOON + 20 * MINUTE,
    end=NOON + 23 * MINUTE,
)


def _anomaly(
    minute: float, metric: str = "latency", model: str | None = "large", user: str | None = None
) -> Anomaly:
    at = NOON + round(minute * MINUTE)
    return Anomaly(
        id=f"{minute}-{metric}-{model}-{user}",
        tenant="demo",
        application="chat",
        model=model,
        user=user,
        metric=metric,
        detector="deviation",
        detector_version=1,
        settings_version="0",
        window_start=at - 10_000_000,
        window_end=at,
        event_time=at,
        observed=9.0,
        expected=3.0,
        score=8.0,
        severity=Severity.HIGH,
        confidence=0.9,
        direction=Direction.ABOVE,
        reason="",
        evidence=(),
        sample_event_ids=(),
        lane=0,
        offset=0,
        ordinal=0,
    )


def _incident(
    *anomalies: Anomaly, name: str = "i-1", change: IncidentChange = IncidentChange.OPENED
) -> Incident:
    return Incident(
        id=name,
        tenant="demo",
        application=anomalies[0].application,
        state=IncidentState.OPEN,
        revision=len(anomalies),
        change=change,
        severity=Severity.HIGH,
        title=f"{anomalies[0].application}: {anomalies[0].metric}",
        opened_at=anomalies[0].event_time,
        updated_at=anomalies[-1].event_time,
        resolved_at=None,
        anomaly_count=len(anomalies),
        models=tuple(sorted({a.model for a in anomalies if a.model})),
        users=tuple(sorted({a.user for a in anomalies if a.user})),
        metrics=tuple(sorted({a.metric for a in anomalies})),
        detectors=("deviation",),
        anomaly_ids=tuple(a.id for a in anomalies),
        settings_version="0",
        lane=0,
        offset=0,
        ordinal=0,
    )


def _message(
    incident: str, outcome: NotificationOutcome, name: str = "m-1", receiver: str = "log"
) -> Notification:
    return Notification(
        id=name,
        tenant="demo",
        incident_id=incident,
        incident_revision=1,
        receiver=receiver,
        outcome=outcome,
        reason="opened",
        attempt=1,
        at=NOON,
        status_code=None,
        detail="",
        body="{}",
        lane=0,
        offset=0,
        ordinal=0,
    )


def _score(
    *anomalies: Anomaly,
    incidents: tuple[Incident, ...] = (),
    messages: tuple[Notification, ...] = (),
) -> Scores:
    return score([SLOW, ATTACK], anomalies, incidents, messages)


def test_the_first_anomaly_in_event_time_finds_the_fault() -> None:
    """Delay is event time from the fault's start, whatever order the topic has them in."""
    scores = _score(_anomaly(12), _anomaly(10.5), _anomaly(14))
    assert scores.faults[0].delay_s == pytest.approx(30.0)
    assert scores.faults[1].found_by is None
    assert scores.false_anomalies == ()


def test_an_anomaly_of_the_application_finds_a_fault_of_its_model() -> None:
    """A subject that names no model stands for all of them."""
    assert _score(_anomaly(11, model=None)).faults[0].delay_s == pytest.approx(60.0)


@pytest.mark.parametrize(
    "other",
    [
        _anomaly(11, model="small"),
        _anomaly(11, metric="cost"),
        _anomaly(9.9),
        _anomaly(17.1),
        replace(_anomaly(11), application="support"),
    ],
    ids=["another model", "another metric", "before it", "long after it", "another application"],
)
def test_what_is_about_something_else_does_not_find_the_fault(other: Anomaly) -> None:
    """It is missed then, and the anomaly is a false one."""
    scores = _score(other)
    assert scores.faults[0].found_by is None
    assert scores.false_anomalies == (other,)


def test_what_is_found_shortly_after_the_end_still_counts() -> None:
    """Two minutes of grace: calls that began in the fault end after it."""
    assert _score(_anomaly(16.9)).faults[0].delay_s == pytest.approx(6.9 * 60)


def test_a_knock_on_neither_finds_nor_falsifies() -> None:
    """Time to first token is disturbed by the slow model, but the fault is a slow answer."""
    scores = _score(_anomaly(11, metric="time_to_first_token"))
    assert scores.faults[0].found_by is None
    assert scores.false_anomalies == ()


def test_a_fault_of_a_user_is_found_by_that_user_or_by_its_application() -> None:
    """Another user's anomaly finds nothing."""
    for user, found in (("u-1", True), (None, True), ("u-2", False)):
        anomaly = replace(_anomaly(21, "user_tokens", None, user), application="support")
        assert (_score(anomaly).faults[1].found_by is not None) is found


def test_an_incident_that_opens_without_a_fault_is_a_false_alarm() -> None:
    """Also when its metric is right and only its time is not."""
    anomalies = (_anomaly(5), _anomaly(11))
    incidents = tuple(_incident(anomaly, name=f"i-{n}") for n, anomaly in enumerate(anomalies))
    assert [incident.id for incident in _score(*anomalies, incidents=incidents).false_alarms] == [
        "i-0"
    ]


def test_an_incident_that_a_fault_joins_later_stays_a_false_alarm() -> None:
    """It counts as it was opened; but it does tell of the fault in the end."""
    early, right = _anomaly(8), _anomaly(11)
    states = (_incident(early), _incident(early, right, change=IncidentChange.UPDATED))
    scores = _score(early, right, incidents=states)
    assert [incident.revision for incident in scores.false_alarms] == [1]
    assert scores.faults[0].incidents == ("i-1",)


def test_without_its_anomalies_an_incident_is_judged_by_what_it_says() -> None:
    """Where the anomalies were not read, the incident's own subject, metrics and time decide."""
    wrong = replace(_incident(_anomaly(11, metric="cost")), id="i-2")
    scores = _score(incidents=(_incident(_anomaly(11)), wrong))
    assert [incident.id for incident in scores.false_alarms] == ["i-2"]


def test_a_false_alarm_counts_once_however_often_it_is_read() -> None:
    """Records come at least once; states of one incident are one incident."""
    first = _anomaly(5)
    opened = _incident(first)
    later = replace(opened, revision=2, change=IncidentChange.UPDATED)
    assert len(_score(first, incidents=(opened, later, opened)).false_alarms) == 1


def test_a_result_is_good_when_every_fault_is_found_and_few_alarms_are_false() -> None:
    """Three may be; a fault that is not found is too many."""
    found = [_anomaly(11), _anomaly(21, metric="tokens", model=None, user="u-1")]
    found[1] = replace(found[1], application="support")
    false = [_anomaly(minute) for minute in (1, 2, 3, 4)]
    opened = tuple(_incident(anomaly, name=f"i-{n}") for n, anomaly in enumerate(false))
    assert _score(*found, *false, incidents=opened[:3]).are_good
    assert not _score(*found, *false, incidents=opened).are_good
    assert not _score(found[0]).are_good


def test_only_messages_that_reached_a_receiver_count() -> None:
    """Decided, failed and held back are not sent; a message is one however often its delivery is
    recorded.
    """
    anomaly = _anomaly(11)
    outcomes = (
        NotificationOutcome.DECIDED,
        NotificationOutcome.DELIVERED,
        NotificationOutcome.DELIVERED,
    )
    messages = (
        *(_message("i-1", outcome) for outcome in outcomes),
        _message("i-1", NotificationOutcome.FAILED, "m-2", "webhook"),
        _message("i-9", NotificationOutcome.DELIVERED, "m-3"),
    )
    scores = _score(anomaly, incidents=(_incident(anomaly),), messages=messages)
    assert [message.id for message in scores.faults[0].messages] == ["m-1"]
    assert {message.id for message in scores.messages} == {"m-1", "m-3"}


def test_the_report_has_the_promised_shape() -> None:
    """What `sentinel demo --json` prints begins with it."""
    anomaly, false = _anomaly(10.5), _anomaly(5)
    scores = _score(
        anomaly,
        false,
        incidents=(_incident(anomaly), _incident(false, name="i-2")),
        messages=(_message("i-1", NotificationOutcome.DELIVERED),),
    )
    told = report(scores, events=1_000)
    assert told["events"] == 1_000
    assert (told["false_alarms"], told["notifications"], told["found"]) == (1, 1, 1)
    faults = told["faults"]
    assert isinstance(faults, list)
    slow, attack = faults
    assert isinstance(slow, dict)
    assert isinstance(attack, dict)
    assert (slow["name"], slow["found"], slow["delay_s"]) == ("slow model", True, 30.0)
    assert slow["messages"] == ["i-1/1 to log"]
    assert (attack["name"], attack["found"], attack["delay_s"]) == ("attack", False, None)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("latency", Family.LATENCY),
        ("time_per_output_token_us", Family.LATENCY),
        ("time_to_first_token", Family.FIRST_TOKEN),
        ("prompt_tokens", Family.TOKENS),
        ("user_cost", Family.COST),
        ("cost_nano", Family.COST),
        ("failed", Family.ERRORS),
        ("request_rate", Family.REQUESTS),
        ("retries", Family.RETRIES),
        ("quality.groundedness", Family.OTHER),
    ],
)
def test_metrics_belong_to_families(metric: str, expected: Family) -> None:
    """Whatever a detector or a rule calls it."""
    assert family(metric) is expected
