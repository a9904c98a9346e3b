"""Slack, by incoming webhook and by bot, against a server that checks what Slack checks."""

import orjson
import pytest

from agents.alerting.ports import Receiver
from agents.alerting.reasons import Attempt, Reason
from agents.alerting.retrying import Delivered, GiveUp, RetryAt, Verdict, after_attempt
from agents.alerting.settings import RetrySettings
from connectors.slack import SlackReceiver
from connectors.slack_message import slack_message
from schemas.messages import parse
from schemas.secrets import Secret
from tests.receivers.messages import NASTY, body, summary
from tests.receivers.services import BOT_TOKEN, says, slack_bot, slack_webhook
from tests.webhook.server import BadReceiver, Behaviour, answers, receiving


def webhook(server: BadReceiver) -> SlackReceiver:
    """An incoming webhook on loopback."""
    return SlackReceiver(Secret(server.url), allow_private=True)


def bot(server: BadReceiver, channel: str = "C123", token: str = BOT_TOKEN) -> SlackReceiver:
    """A bot whose API is on loopback."""
    return SlackReceiver(Secret(token), channel, url=server.url, allow_private=True)


async def attempted(to: Receiver, message: bytes = b"") -> Verdict:
    """One attempt, and what alert makes of it."""
    answer = await to.deliver("m1", message or body(), 0)
    await to.close()
    return after_attempt(answer, notification_id="m1", attempt=1, decided_at=0, now=0, retry=RetrySettings())


@pytest.mark.parametrize(("behaviour", "make"), [(slack_webhook, webhook), (slack_bot, bot)])
@pytest.mark.parametrize("message", [body(), body(NASTY), body(reason=Reason.RESOLVED), summary(), body(page_url=None)])
async def test_messages_are_taken_whatever_telemetry_wrote_into_them(
    behaviour: Behaviour, make: object, message: bytes
) -> None:
    """Of both kinds, within Slack's limits, escaped."""
    assert callable(make)
    async with receiving(behaviour) as server:
        assert await attempted(make(server), message) == Delivered("HTTP 200")


def test_nothing_of_telemetry_is_read_as_markup() -> None:
    """No call of everybody, no forged link: the only mrkdwn is our own link, and the fallback text is told not to be read as markup."""
    message = slack_message(parse(body(NASTY)))
    texts = [text for block in message["blocks"] for text in [block.get("text"), *block.get("fields", [])] if text]
    [ours] = [text["text"] for text in texts if text["type"] == "mrkdwn"]
    assert ours.startswith("<https://sentinel.example.org/incidents/a%26b%20%3C%21channel%3E")
    assert ours.endswith("|Open the incident>")
    assert message["mrkdwn"] is False
    whole = orjson.dumps([text["text"] for text in texts if text["type"] != "mrkdwn"] + [message["text"]]).decode()
    assert not {"<", ">", "\\u001b", "\u202e"} & set(whole)
    assert "&lt;!here&gt; &amp;" in whole


def test_message_says_how_the_incident_stands() -> None:
    """In its first line, which is what a phone shows."""
    assert slack_message(parse(body()))["text"] == "Open: high, chat-api: latency of chat-api/gpt-4o 3.1x expected"
    assert slack_message(parse(body(reason=Reason.RESOLVED)))["text"].startswith("Resolved: high")
    assert slack_message(parse(summary(3)))["text"].startswith("8 incidents of a&amp;b &lt;!channel&gt;")


@pytest.mark.parametrize("make", [webhook, bot])
async def test_wait_that_slack_asks_for_is_kept(make: object) -> None:
    """429 with Retry-After, which Slack sends when a channel gets more than a message a second."""
    assert callable(make)
    async with receiving(answers(429, Retry_After="30")) as server:
        verdict = await attempted(make(server))
    assert isinstance(verdict, RetryAt)
    assert verdict.reason is Attempt.TOO_MANY_REQUESTS
    assert verdict.at >= 30_000_000


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (says(200, {"ok": False, "error": "ratelimited"}, Retry_After="3"), Attempt.TOO_MANY_REQUESTS),
        (says(200, {"ok": False, "error": "internal_error"}), Attempt.NO_ANSWER),
        (answers(502), Attempt.SERVER_FAULT),
    ],
)
async def test_trouble_of_the_bots_api_that_passes_is_tried_again(behaviour: Behaviour, reason: Attempt) -> None:
    """Also where it comes with status 200."""
    async with receiving(behaviour) as server:
        verdict = await attempted(bot(server))
    assert isinstance(verdict, RetryAt)
    assert verdict.reason is reason


async def test_what_slack_does_not_take_is_given_up_with_its_words() -> None:
    """A channel that is not there, a token that is not valid, a webhook that was revoked, an answer that is not Slack's."""
    async with receiving(slack_bot) as server:
        assert await attempted(bot(server, "C9")) == GiveUp(Attempt.REJECTED, "HTTP 200: channel_not_found")
        assert await attempted(bot(server, token="xoxb-no")) == GiveUp(Attempt.REJECTED, "HTTP 200: invalid_auth")
    async with receiving(says(404, "no_service")) as server:
        assert await attempted(webhook(server)) == GiveUp(Attempt.REJECTED, 'HTTP 404: "no_service"')
    async with receiving(says(200, ["hello"])) as server:
        assert isinstance(await attempted(bot(server)), GiveUp)


@pytest.mark.parametrize(("secret", "channel"), [("xoxb-1", None), ("https://hooks.example/T0/B0/x", "C1"), ("", "C1")])
def test_secret_that_does_not_fit_is_refused_and_not_shown(secret: str, channel: str | None) -> None:
    """A token without a channel, an address with one."""
    with pytest.raises(ValueError, match="the secret is") as refused:
        SlackReceiver(Secret(secret), channel)
    assert not secret or secret not in str(refused.value)


async def test_address_of_the_webhook_is_not_told_when_it_is_refused() -> None:
    """It is the secret: only its host is named."""
    with pytest.raises(ValueError, match="address") as refused:
        SlackReceiver(Secret("https://10.0.0.1/services/T0/B0/hush"))
    assert "hush" not in str(refused.value)
