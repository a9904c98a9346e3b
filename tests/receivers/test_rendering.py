"""A message that a receiver's connector cannot render costs that message, and nothing else."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog import get_logger
from structlog.testing import capture_logs

from agents.alerting.ports import Receiver
from agents.alerting.reasons import Attempt, Reason
from agents.alerting.retrying import Delivered, GiveUp, Verdict, after_attempt
from agents.alerting.settings import RetrySettings
from connectors.heartbeat.receiver import PingReceiver
from connectors.http.rate_limit import Pace
from connectors.log.message import log_line
from connectors.log.receiver import LogReceiver
from connectors.pagerduty.message import pagerduty_event
from connectors.pagerduty.receiver import PagerDutyReceiver
from connectors.rendering import rendered
from connectors.slack.message import slack_message
from connectors.slack.receiver import SlackReceiver
from connectors.webhook.receiver import WebhookReceiver
from schemas.messages.message import Message, parse
from schemas.secrets import Secret
from tests.harness.services import BOT_TOKEN, ROUTING_KEY, pagerduty, slack_bot, slack_webhook
from tests.harness.webhook_server import answers, receiving
from tests.schemas.test_messages import BODIES, JSON, opened
from tests.webhook.test_delivering import SECRET
from topology.notify_test import Sample, shown
from topology.settings.receivers import ConnectedReceiver, Log, PagerDuty, Slack, Webhook

RENDERING = ("pagerduty", "slack bot", "slack webhook", "log")
CONNECTORS = (*RENDERING, "webhook", "ping")


@asynccontextmanager
async def connector(name: str) -> AsyncIterator[Receiver]:
    """The connector of this name, with a service that checks what it gets."""
    service = {"pagerduty": pagerduty, "slack bot": slack_bot, "slack webhook": slack_webhook}.get(
        name, answers(204)
    )
    async with receiving(service) as server:
        made: Receiver
        match name:
            case "pagerduty":
                made = PagerDutyReceiver(
                    Secret(ROUTING_KEY), Pace(120, 60), url=server.url, allow_private=True
                )
            case "slack bot":
                made = SlackReceiver(Secret(BOT_TOKEN), "C123", url=server.url, allow_private=True)
            case "slack webhook":
                made = SlackReceiver(Secret(server.url), allow_private=True)
            case "log":
                made = LogReceiver("log", get_logger())
            case "webhook":
                made = WebhookReceiver(server.url, Secret(SECRET), allow_private=True)
            case _:
                made = PingReceiver(Secret(server.url), allow_private=True)
        try:
            yield made
        finally:
            await made.close()


async def attempted(name: str, body: bytes) -> Verdict:
    """One attempt by this connector, and what alert makes of it."""
    async with connector(name) as to:
        now = time.time_ns() // 1000
        answer = await to.deliver("m1", body, now)
    return after_attempt(
        answer, notification_id="m1", attempt=1, decided_at=now, now=now, retry=RetrySettings()
    )


def changed(**fields: Any) -> bytes:
    """A message whose incident has these fields; None for one that is absent."""
    body = opened()
    incident = body["data"]["incident"]
    body["data"]["incident"] = {
        n: v for n, v in (incident | fields).items() if n not in fields or v is not None
    }
    return orjson.dumps(body)


@pytest.mark.parametrize("name", CONNECTORS)
@pytest.mark.parametrize("body", BODIES)
async def test_bodies_of_every_release_are_delivered(body: str, name: str) -> None:
    """By every connector."""
    assert isinstance(await attempted(name, BODIES[body].encode()), Delivered)


@pytest.mark.parametrize("name", CONNECTORS)
@pytest.mark.parametrize(
    "body",
    [
        changed(detectors=None),
        changed(severity="catastrophic"),
        changed(state="given_up"),
        changed(
            revision=None,
            anomaly_count=None,
            updated_at=None,
            metrics=None,
            models=None,
            users=None,
        ),
        orjson.dumps(opened() | {"type": "incident.moved"}),
    ],
)
async def test_a_field_less_or_a_word_more_is_delivered(name: str, body: bytes) -> None:
    """A page is worth more than the field that it lacks."""
    assert isinstance(await attempted(name, body), Delivered)


def test_unknown_words_are_shown_as_they_are() -> None:
    """In what PagerDuty, Slack and the log show."""
    message = parse(changed(severity="catastrophic", state="given_up"))
    event = pagerduty_event("m1", message)
    assert event["payload"]["severity"] == "critical"
    assert event["payload"]["custom_details"]["severity"] == "catastrophic"
    assert "catastrophic" in slack_message(message)["text"]
    assert log_line(message)["incident_state"] == "given_up"


@pytest.mark.parametrize("name", RENDERING)
@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (changed(title=None), "no value in field data.incident.title"),
        (changed(models=[1]), "not a list of texts in field data.incident.models"),
        (b"{", "not JSON"),
    ],
)
async def test_what_cannot_be_rendered_is_given_up_by_field_and_reason(
    name: str, body: bytes, detail: str
) -> None:
    """At the first attempt, since another would not help."""
    verdict = await attempted(name, body)
    assert isinstance(verdict, GiveUp)
    assert verdict.reason is Attempt.UNRENDERABLE
    assert verdict.detail.startswith(detail)


def test_a_fault_of_the_rendering_itself_is_an_outcome_too() -> None:
    """With its traceback in the log: a program must not end at every start for one message."""

    def render(message: Message) -> dict[str, Any]:
        raise KeyError(message.type)

    with capture_logs() as lines:
        answer = rendered(changed(), render)
    assert not isinstance(answer, dict)
    assert (answer.unrenderable, answer.fault) == (True, "KeyError while it was rendered")
    assert [line["event"] for line in lines] == ["notification.not_rendered"]


@given(st.sampled_from(sorted(opened()["data"]["incident"])), JSON)
def test_no_value_in_any_field_makes_rendering_raise(field: str, value: Any) -> None:
    """It is rendered, or refused by parse."""
    body = changed(**{field: value})
    for render in (lambda message: pagerduty_event("m1", message), slack_message, log_line):
        answer = rendered(body, render)
        assert isinstance(answer, dict) or "in field" in (answer.fault or "")


@pytest.mark.parametrize("kind", [Log, Webhook, PagerDuty, Slack])
def test_notify_test_shows_what_each_kind_would_be_sent(kind: type[ConnectedReceiver]) -> None:
    """Also a message of an older form."""
    receiver: Any = kind
    receiver = receiver(name="r", url="https://x.example", secret=Secret(SECRET))
    assert "4f" in shown(receiver, Sample(Reason.OPENED, "m1", BODIES["0.1.0 0"]))
