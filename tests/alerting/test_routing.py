"""Which receivers an incident is for: `match`, written as a silence's conditions, and the reason
when it is for nobody.
"""

from dataclasses import replace

import pytest

from agents.alerting.matching import Matcher
from agents.alerting.reasons import Reason
from agents.alerting.routing import Router
from agents.alerting.settings import AlertSettings, ReceiverSettings
from schemas.records.anomalies import Severity
from schemas.records.incidents import IncidentChange
from schemas.records.notifications import NotificationOutcome
from tests.alerting.timeline import Desk, deliveries, incident, outcomes, reasons

OPENED, ESCALATED, UPDATED, RESOLVED, *_ = IncidentChange
ACME = ReceiverSettings(name="acme", match=("tenant=acme",))
GPT = ReceiverSettings(name="gpt", match=("model=gpt-4o", "application=chat-api"))
GRAVE = ReceiverSettings(name="grave", match=("severity>=critical",))


def desk(*receivers: ReceiverSettings) -> Desk:
    """A lane with these receivers."""
    return Desk(AlertSettings(receivers=receivers))


def test_each_receiver_is_told_what_its_match_holds_for() -> None:
    """The others have a record that says why not."""
    made = desk(ACME, GPT, GRAVE).at(0, incident("i1", OPENED, 0))
    assert [delivery.receiver for delivery in deliveries(made)] == ["acme", "gpt"]
    assert reasons(made) == [Reason.OPENED, Reason.OPENED, Reason.NOT_MATCHED]
    refused = made[2].notification
    assert refused is not None
    assert (refused.receiver, refused.outcome) == ("grave", NotificationOutcome.SUPPRESSED)


def test_what_no_receiver_matches_is_on_record_once() -> None:
    """Why was I not paged? Also where there is no receiver at all; an update is no news, and
    neither is an end.
    """
    for receivers in ((ACME, GPT), ()):
        lane = desk(*receivers)
        other = replace(incident("i1", OPENED, 0, tenant="other"), application="else")
        [decided] = lane.at(0, other)
        assert decided.reason is Reason.NOT_ROUTED
        assert decided.notification is not None
        assert (decided.notification.receiver, decided.notification.reason) == (
            "",
            "not routed: matches no receiver",
        )
        assert outcomes(lane.at(1, replace(other, change=UPDATED, revision=2))) == []
        assert deliveries(lane.at(2, incident("i1", RESOLVED, 2, tenant="other"))) == []


def test_what_matches_later_is_opened_then_and_what_was_told_is_told_on() -> None:
    """A rise of severity brings it to the receiver of grave ones, and its end to both."""
    lane = desk(ACME, GRAVE)
    [opened] = deliveries(lane.at(0, incident("i1", OPENED, 0)))
    lane.delivered(opened)
    made = lane.at(1, incident("i1", ESCALATED, 1, severity=Severity.CRITICAL))
    assert reasons(made) == [Reason.ESCALATED, Reason.OPENED]
    for delivery in deliveries(made):
        lane.delivered(delivery)
    ends = lane.at(2, incident("i1", RESOLVED, 2))
    assert [delivery.receiver for delivery in deliveries(ends)] == ["acme", "grave"]


def test_an_old_end_of_what_does_not_match_is_not_summed_up() -> None:
    """Compaction may leave only the end."""
    made = desk(ACME).at(7200, incident("i1", RESOLVED, 0, tenant="other"))
    assert reasons(made) == [Reason.RESOLVED_NOT_SENT]


@pytest.mark.parametrize(
    ("condition", "models", "told"),
    [
        ("model=a", ("a",), True),
        ("model=a", ("a", "b"), True),
        ("model=a", ("b",), False),
        ("model=a", (), False),
        ("model!=a", ("a",), False),
        ("model!=a", ("a", "b"), True),
        ("model!=a", (), True),
    ],
)
def test_in_doubt_a_receiver_is_told_and_a_silence_hides_nothing(
    condition: str, models: tuple[str, ...], told: bool
) -> None:
    """Of an incident that names several models, one is enough to tell and one is enough not to
    hide.
    """
    about = replace(incident("i1", OPENED, 0), models=models)
    matcher = Matcher.parse(condition)
    assert matcher.concerns(about) is told
    assert not matcher.matches(about) or told


@pytest.mark.parametrize(
    ("condition", "fault"),
    [
        (
            "colour=red",
            (
                "receiver 'r': match: 'colour=red': unknown field 'colour'; use one of tenant,"
                " application"
            ),
        ),
        ("application", "receiver 'r': match: 'application' is not a condition"),
        ("severity=bad", "a severity is one of info"),
    ],
)
def test_conditions_that_cannot_be_read_are_refused_with_the_receiver(
    condition: str, fault: str
) -> None:
    """When settings are read, not when an incident comes."""
    with pytest.raises(ValueError, match=fault):
        ReceiverSettings(name="r", match=(condition,))


def test_a_silence_is_of_one_tenant_and_has_no_condition_on_it() -> None:
    """It would hold never, or say nothing."""
    with pytest.raises(ValueError, match="unknown field 'tenant'; use one of application"):
        Matcher.parse("tenant=acme")


def test_a_router_names_every_receiver_with_its_reason() -> None:
    """One that gets the incident, one that it does not match, one for which it is not severe
    enough: in the order of the settings.
    """
    shop = ReceiverSettings(name="shop", match=("application=shop",))
    severe = ReceiverSettings(name="severe", min_severity=Severity.CRITICAL)
    about = incident("i1", IncidentChange.OPENED, 0, severity=Severity.HIGH)
    routes = Router((shop, severe, ReceiverSettings(name="all"))).routes(about)
    assert [(route.receiver.name, route.reason) for route in routes] == [
        ("shop", Reason.NOT_MATCHED),
        ("severe", Reason.BELOW_SEVERITY),
        ("all", Reason.OPENED),
    ]
    assert [(route.is_matched, route.is_open) for route in routes] == [
        (False, False),
        (True, False),
        (True, True),
    ]
