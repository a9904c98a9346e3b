"""Slack, by incoming webhook and by bot, against a server that checks what Slack checks."""

from dataclasses import replace

import orjson
import pytest

from agents.alerting.messages import incident_message
from agents.alerting.ports import Receiver
from agents.alerting.reasons import Attempt, Reason
from agents.alerting.retrying import Delivered, GiveUp, Verdict, after_attempt
from agents.alerting.settings import RetrySettings
from agents.alerting.tracked_incident import Acknowledgement
from connectors.pagerduty.message import pagerduty_event
from connectors.slack.message import slack_message
from connectors.slack.receiver import SlackReceiver
from schemas.messages.message import parse
from schemas.records.anomalies import Breakdown, Severity
from schemas.records.incidents import IncidentState
from schemas.secrets import Secret
from streams.lane.effects import RetryAt
from tests.alerting.timeline import micros
from tests.harness.services import BOT_TOKEN, says, slack_bot, slack_webhook
from tests.harness.webhook_server import BadReceiver, Behaviour, answers, receiving
from tests.receivers.messages import NASTY, OPENED, PAGE, body, summary


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
    return after_attempt(
        answer, notification_id="m1", attempt=1, decided_at=0, now=0, retry=RetrySettings()
    )


@pytest.mark.parametrize(("behaviour", "make"), [(slack_webhook, webhook), (slack_bot, bot)])
@pytest.mark.parametrize(
    "message", [body(), body(NASTY), body(reason=Reason.RESOLVED), summary(), body(page_url=None)]
)
async def test_messages_are_taken_whatever_telemetry_wrote_into_them(
    behaviour: Behaviour, make: object, message: bytes
) -> None:
    """Of both kinds, within Slack's limits, escaped."""
    assert callable(make)
    async with receiving(behaviour) as server:
        verdict = await attempted(make(server), message)
    assert isinstance(verdict, Delivered)
    assert verdict.detail == "HTTP 200"
    assert bool(verdict.thread) == (behaviour is slack_bot)


def test_nothing_of_telemetry_is_read_as_markup() -> None:
    """No call of everybody, no forged link: the only mrkdwn is our own link, and the fallback text
    is told not to be read as markup.
    """
    message = slack_message(parse(body(NASTY)))
    blocks = message["blocks"] + message["attachments"][0]["blocks"]
    texts = [
        text for block in blocks for text in [block.get("text"), *block.get("fields", [])] if text
    ]
    [ours] = [text["text"] for text in texts if text["type"] == "mrkdwn"]
    assert ours.startswith(
        "Opened <!date^1700000000^{date_short_pretty} {time_secs}|2023-11-14 22:13:20 UTC>"
    )
    assert "<https://sentinel.example.org/incidents/a%26b%20%3C%21channel%3E" in ours
    assert ours.endswith("|Open the incident>")
    assert message["mrkdwn"] is False
    whole = orjson.dumps(
        [text["text"] for text in texts if text["type"] != "mrkdwn"] + [message["text"]]
    ).decode()
    assert not {"<", ">", "\\u001b", "\u202e"} & set(whole)
    assert "&lt;!here&gt; &amp;" in whole


def test_message_says_how_the_incident_stands() -> None:
    """In its first line, which is what a phone shows."""
    assert (
        slack_message(parse(body()))["text"]
        == "Open: high, chat-api: latency of chat-api/gpt-4o 3.1x expected"
    )
    assert slack_message(parse(body(reason=Reason.RESOLVED)))["text"].startswith("Resolved: high")
    assert slack_message(parse(summary(3)))["text"].startswith(
        "8 incidents of a&amp;b &lt;!channel&gt;"
    )


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
        (
            says(200, {"ok": False, "error": "ratelimited"}, Retry_After="3"),
            Attempt.TOO_MANY_REQUESTS,
        ),
        (says(200, {"ok": False, "error": "internal_error"}), Attempt.NO_ANSWER),
        (answers(502), Attempt.SERVER_FAULT),
    ],
)
async def test_trouble_of_the_bots_api_that_passes_is_tried_again(
    behaviour: Behaviour, reason: Attempt
) -> None:
    """Also where it comes with status 200."""
    async with receiving(behaviour) as server:
        verdict = await attempted(bot(server))
    assert isinstance(verdict, RetryAt)
    assert verdict.reason is reason


async def test_what_slack_does_not_take_is_given_up_with_its_words() -> None:
    """A channel that is not there, a token that is not valid, a webhook that was revoked, an answer
    that is not Slack's.
    """
    async with receiving(slack_bot) as server:
        assert await attempted(bot(server, "C9")) == GiveUp(
            Attempt.REJECTED, "HTTP 200: channel_not_found"
        )
        assert await attempted(bot(server, token="xoxb-no")) == GiveUp(
            Attempt.REJECTED, "HTTP 200: invalid_auth"
        )
    async with receiving(says(404, "no_service")) as server:
        assert await attempted(webhook(server)) == GiveUp(
            Attempt.REJECTED, 'HTTP 404: "no_service"'
        )
    async with receiving(says(200, ["hello"])) as server:
        assert isinstance(await attempted(bot(server)), GiveUp)


@pytest.mark.parametrize(
    ("secret", "channel"), [("xoxb-1", None), ("https://hooks.example/T0/B0/x", "C1"), ("", "C1")]
)
def test_secret_that_does_not_fit_is_refused_and_not_shown(
    secret: str, channel: str | None
) -> None:
    """A token without a channel, an address with one."""
    with pytest.raises(ValueError, match="the secret is") as refused:
        SlackReceiver(Secret(secret), channel)
    assert not secret or secret not in str(refused.value)


async def test_address_of_the_webhook_is_not_told_when_it_is_refused() -> None:
    """It is the secret: only its host is named."""
    with pytest.raises(ValueError, match="address") as refused:
        SlackReceiver(Secret("https://10.0.0.1/services/T0/B0/hush"))
    assert "hush" not in str(refused.value)


def test_colour_says_how_grave_it_is_and_green_that_it_is_over() -> None:
    """A severity that is not known is as red as the gravest; what was given up is not green."""

    def colour(**fields: object) -> str:
        message = slack_message(parse(body(replace(OPENED, **fields))))  # type: ignore[arg-type]
        return str(message["attachments"][0]["color"])

    assert len({colour(severity=severity) for severity in Severity}) == len(Severity)
    assert colour(severity="new") == colour(severity=Severity.CRITICAL)
    assert colour(state=IncidentState.RESOLVED) == colour(state=IncidentState.CLOSED) == "#2e7d32"
    assert colour(state=IncidentState.GIVEN_UP) == colour()


def test_message_shows_the_four_numbers_first_and_who_has_it() -> None:
    """Now, usual, how unusual, since when in the reader's time; which errors; traces; the
    person.
    """
    about = replace(
        OPENED,
        evidence_metric="error_rate",
        evidence_observed=0.57,
        evidence_expected=0.004,
        evidence_score=8.25,
        evidence_since=micros(-60),
        breakdown=(Breakdown("error_type", "rate_limited", 41),),
        sample_trace_ids=("t/1",),
    )
    care = Acknowledgement("ann", micros(5), "rolling <back>")
    sent = incident_message(
        about, Reason.ESCALATED, PAGE, "https://traces.example/{trace_id}", care
    )
    attachment = slack_message(parse(sent))["attachments"][0]
    fields = [field["text"] for field in attachment["blocks"][1]["fields"]]
    assert fields[:6] == [
        "Now: 57 %",
        "Usual: 0.4 %",
        "How unusual: 142x usual, score 8.25",
        "Errors: error_type rate_limited: 41",
        "Acknowledged by: ann",
        "Comment: rolling &lt;back&gt;",
    ]
    ours = attachment["blocks"][2]["text"]["text"]
    assert "Since <!date^1699999940^" in ours
    assert "Acknowledged <!date^1700000005^" in ours
    assert "<https://traces.example/t%2F1|Trace 1>" in ours
    event = pagerduty_event("m1", parse(sent))
    assert list(event["payload"]["custom_details"].items())[:3] == [
        ("now", "57 %"),
        ("usual", "0.4 %"),
        ("how_unusual", "142x usual, score 8.25"),
    ]
    assert {"href": "https://traces.example/t%2F1", "text": "Trace of a call"} in event["links"]


async def test_a_bot_changes_its_one_message_and_tells_the_news_in_its_thread() -> None:
    """A rise of severity is shown in the channel too; a message that is gone is followed by a new
    one.
    """
    async with receiving(slack_bot) as server:
        to = bot(server)
        first = await to.deliver("m1", body(), 0)
        assert first.thread == "C123/1503435956.000247"
        escalated = await to.deliver("m2", body(reason=Reason.ESCALATED), 0, first.thread)
        over = await to.deliver("m3", body(reason=Reason.RESOLVED), 0, first.thread)
        assert [answer.error for answer in (first, escalated, over)] == [None] * 3
        again = await to.deliver("m4", body(reason=Reason.RESOLVED), 0, "C123/1.0")
        assert again.thread == first.thread
        await to.close()
    calls = [(post.path.rpartition("/")[2], orjson.loads(post.body)) for post in server.received]
    assert [path for path, _ in calls] == [
        "hook",
        "chat.update",
        "hook",
        "chat.update",
        "hook",
        "chat.update",
        "hook",
    ]
    for _, changed in (calls[1], calls[3]):
        assert (changed["channel"], changed["ts"]) == ("C123", "1503435956.000247")
    assert [
        (reply["thread_ts"], reply["reply_broadcast"]) for _, reply in (calls[2], calls[4])
    ] == [
        ("1503435956.000247", True),
        ("1503435956.000247", False),
    ]
    assert "thread_ts" not in calls[6][1]


@pytest.mark.parametrize("failing", [0, 1])
async def test_news_that_was_half_told_is_tried_again(failing: int) -> None:
    """The change or the reply in the thread may fail for now: to change a message twice changes
    nothing.
    """
    async with receiving(*[slack_bot] * failing, answers(502), slack_bot) as server:
        to = bot(server)
        answers_of = [await to.deliver("m2", body(), 0, "C123/1503435956.000247") for _ in range(2)]
        await to.close()
    assert [answer.status for answer in answers_of] == [502, 200]
