"""PagerDuty's Events API v2, against a server that checks what PagerDuty checks."""

import orjson
import pytest

from agents.alerting.ports import Receiver
from agents.alerting.reasons import Attempt, Reason
from agents.alerting.retrying import Delivered, GiveUp, Verdict, after_attempt
from agents.alerting.settings import RetrySettings
from connectors.http.rate_limit import Pace
from connectors.pagerduty.message import dedup_key, pagerduty_event
from connectors.pagerduty.receiver import PagerDutyReceiver
from schemas.messages.message import parse
from schemas.records.anomalies import Severity
from schemas.secrets import Secret
from streams.lane.effects import RetryAt
from tests.harness.services import ROUTING_KEY, pagerduty, says
from tests.harness.webhook_server import BadReceiver, Behaviour, answers, receiving, resets
from tests.receivers.messages import NASTY, OPENED, body, summary


def receiver(
    server: BadReceiver, pace: Pace | None = None, key: str = ROUTING_KEY
) -> PagerDutyReceiver:
    """The receiver on loopback."""
    return PagerDutyReceiver(Secret(key), pace or Pace(120, 60), url=server.url, allow_private=True)


async def attempted(to: Receiver, message: bytes = b"") -> Verdict:
    """One attempt, and what alert makes of it."""
    answer = await to.deliver("m1", message or body(), 0)
    await to.close()
    return after_attempt(
        answer, notification_id="m1", attempt=1, decided_at=0, now=0, retry=RetrySettings()
    )


@pytest.mark.parametrize(
    ("reason", "action"),
    [
        (Reason.OPENED, "trigger"),
        (Reason.ESCALATED, "trigger"),
        (Reason.RESOLVED, "resolve"),
    ],
)
async def test_one_incident_is_one_alert_from_trigger_to_resolve(
    reason: Reason, action: str
) -> None:
    """All its messages carry the same dedup_key; the action says what the message says."""
    async with receiving(pagerduty) as server:
        assert await attempted(receiver(server), body(reason=reason)) == Delivered("HTTP 202")
    event = orjson.loads(server.received[0].body)
    assert (event["event_action"], event["dedup_key"]) == (action, "sentinel/acme/4f")


async def test_event_says_what_is_wrong_and_where_to_look() -> None:
    """Summary, severity in PagerDuty's words, details, and the link to the incident."""
    async with receiving(pagerduty) as server:
        await attempted(receiver(server))
    event = orjson.loads(server.received[0].body)
    assert event["payload"]["summary"] == "latency of chat-api/gpt-4o 3.1x expected"
    assert (event["payload"]["severity"], event["payload"]["source"]) == ("error", "chat-api")
    assert event["payload"]["custom_details"]["models"] == "gpt-4o"
    assert event["client_url"] == "https://sentinel.example.org/incidents/acme/4f"


def test_severities_are_pagerdutys() -> None:
    """Each of ours has one of theirs, in the same order."""
    from dataclasses import replace

    told = [
        pagerduty_event("m", parse(body(replace(OPENED, severity=s))))["payload"]["severity"]
        for s in Severity
    ]
    assert told == ["info", "info", "warning", "error", "critical"]


@pytest.mark.parametrize(
    "message", [body(NASTY), body(NASTY, Reason.RESOLVED), summary(), body(page_url=None)]
)
async def test_any_text_of_telemetry_fits_its_limits(message: bytes) -> None:
    """Endless titles and tenants, markup and control characters; without a page there is no
    link.
    """
    async with receiving(pagerduty) as server:
        assert isinstance(await attempted(receiver(server), message), Delivered)
    sent = server.received[0].body
    assert len(sent) < 512_000
    assert "\\u001b" not in sent.decode()


def test_two_incidents_never_share_a_key() -> None:
    """Also where the tenant's name is too long to stand in it."""
    keys = {
        dedup_key(tenant, name) for tenant in ("a" * 300, "a" * 301, "a") for name in ("1", "2")
    }
    assert len(keys) == 6
    assert max(map(len, keys)) <= 255


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (answers(429), Attempt.TOO_MANY_REQUESTS),
        (
            says(429, {"status": "throttle exceeded", "message": "Requests too fast"}),
            Attempt.TOO_MANY_REQUESTS,
        ),
        (answers(500), Attempt.SERVER_FAULT),
        (answers(503), Attempt.SERVER_FAULT),
        (resets, Attempt.NO_ANSWER),
    ],
)
async def test_busy_and_broken_are_tried_again(behaviour: Behaviour, reason: Attempt) -> None:
    """As a webhook's."""
    async with receiving(behaviour) as server:
        verdict = await attempted(receiver(server))
    assert isinstance(verdict, RetryAt)
    assert verdict.reason is reason


async def test_wrong_key_is_given_up_with_pagerdutys_words() -> None:
    """And the key itself is nowhere in them."""
    async with receiving(pagerduty) as server:
        verdict = await attempted(receiver(server, key="f" * 32))
    assert verdict == GiveUp(
        Attempt.REJECTED, "HTTP 400: Event object is invalid; Invalid routing key"
    )


async def test_success_of_something_in_between_is_no_delivery() -> None:
    """A login page of a proxy answers 200; PagerDuty answers 202."""
    async with receiving(says(200, "hello")) as server:
        assert isinstance(await attempted(receiver(server)), GiveUp)


def test_key_of_another_form_is_refused_and_not_shown() -> None:
    """At the start."""
    with pytest.raises(ValueError, match="32 letters and digits") as refused:
        PagerDutyReceiver(Secret("R0123456789"), Pace(120, 60))
    assert "R0123456789" not in str(refused.value)


async def test_no_more_than_120_calls_begin_within_any_minute() -> None:
    """A call beyond waits for its turn, on virtual time; those that wait keep their order."""
    now, begun = 0.0, list[float]()

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    pace = Pace(120, 60, monotonic=lambda: now, sleep=sleep)
    for _ in range(1000):
        await pace.turn()
        begun.append(now)
        now += 0.1
    assert all(late - early >= 60 - 1e-9 for early, late in zip(begun, begun[120:], strict=False))
    assert begun[119] < 12
    assert begun[-1] < 8.4 * 60
