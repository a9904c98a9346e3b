"""One attempt to deliver a webhook, against a real server on this machine."""

import asyncio
import base64
import time

import pytest
import standardwebhooks
from aiohttp import web

from agents.alerting.ports import Receiver
from agents.alerting.reasons import Attempt
from agents.alerting.retrying import Delivered, GiveUp, Verdict, after_attempt
from agents.alerting.settings import RetrySettings
from connectors.http.exchange import Fault, OutboundLimits
from connectors.http.outbound import OutboundTarget
from connectors.webhook.receiver import WebhookReceiver
from schemas.secrets import Secret
from streams.lane.effects import RetryAt
from tests.harness.webhook_server import (
    BadReceiver,
    Behaviour,
    answers,
    floods,
    hangs,
    receiving,
    resets,
    stalls_in_the_body,
    talks_no_http,
)

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
BODY = '{"type":"incident.opened","title":"Verzögerung, 3× erwartet"}'.encode()
IMPATIENT = OutboundLimits(connect_s=0.3, total_s=0.3)
RETRY = RetrySettings()


def webhook(receiver: BadReceiver, limits: OutboundLimits | None = None) -> WebhookReceiver:
    """A webhook to this receiver on loopback."""
    return WebhookReceiver(
        receiver.url, Secret(SECRET), allow_private=True, limits=limits or OutboundLimits()
    )


async def attempted(hook: Receiver, attempt: int = 1) -> Verdict:
    """One attempt, and what alert makes of it: connectors fit the port that alert states."""
    now = time.time_ns() // 1000
    answer = await hook.deliver("msg-1", BODY, now)
    return after_attempt(
        answer, notification_id="msg-1", attempt=attempt, decided_at=now, now=now, retry=RETRY
    )


async def test_receiver_can_verify_the_message_by_the_standard() -> None:
    """An independent implementation of Standard Webhooks accepts it, and not with another secret or
    another body.
    """
    async with receiving(answers(204)) as receiver:
        hook = webhook(receiver)
        assert isinstance(await attempted(hook), Delivered)
        await hook.close()
    [post] = receiver.received
    assert post.body == BODY
    assert post.headers["webhook-id"] == "msg-1"
    assert post.headers["Content-Type"] == "application/json"
    assert (
        standardwebhooks.Webhook(SECRET).verify(post.body, post.headers)["type"]
        == "incident.opened"
    )
    for other_secret, body in ((base64.b64encode(b"x" * 32).decode(), BODY), (SECRET, BODY + b" ")):
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(other_secret).verify(body, post.headers)


async def test_retries_keep_the_id_and_renew_the_timestamp() -> None:
    """500, then 200: two posts of one message, each signed for its own time."""
    async with receiving(answers(500), answers(200)) as receiver:
        hook = webhook(receiver)
        now = time.time_ns() // 1000
        statuses = [
            (await hook.deliver("msg-1", BODY, now + later)).status for later in (0, 2_000_000)
        ]
        await hook.close()
    assert statuses == [500, 200]
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 2
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    for post in receiver.received:
        standardwebhooks.Webhook(SECRET).verify(post.body, post.headers)


async def _verifies(request: web.Request) -> web.StreamResponse:
    """A receiver that keeps to the standard: a signature of another time is refused."""
    try:
        standardwebhooks.Webhook(SECRET).verify(await request.read(), dict(request.headers))
    except standardwebhooks.WebhookVerificationError:
        return web.Response(status=401)
    return web.Response(status=204)


@pytest.mark.parametrize("off_s", [-600, 600])
async def test_a_clock_that_is_off_loses_no_message(off_s: int) -> None:
    """The receiver's own clock is signed by from its first refusal on, until ours is right
    again.
    """
    posts = []
    async with receiving(_verifies) as receiver:
        hook = webhook(receiver)
        for wrong in (off_s, off_s, 0, 0):
            answer = await hook.deliver("msg-1", BODY, time.time_ns() // 1000 + wrong * 1_000_000)
            posts.append((answer.status, len(receiver.received)))
        await hook.close()
    assert posts == [(204, 2), (204, 3), (204, 5), (204, 6)]
    assert {post.headers["webhook-id"] for post in receiver.received} == {"msg-1"}


async def test_messages_that_are_refused_at_the_same_time_are_all_sent_again() -> None:
    """Whichever of them learns of the receiver's clock first."""
    async with receiving(_verifies) as receiver:
        hook = webhook(receiver)
        now = time.time_ns() // 1000 + 600_000_000
        made = await asyncio.gather(
            *[hook.deliver(f"msg-{number}", BODY, now) for number in range(5)]
        )
        await hook.close()
    assert [answer.status for answer in made] == [204] * 5


async def test_a_refusal_by_a_receiver_with_our_clock_is_final() -> None:
    """Nothing is sent twice to who does not want it."""
    async with receiving(answers(401)) as receiver:
        hook = webhook(receiver)
        verdict = await attempted(hook)
        await hook.close()
    assert isinstance(verdict, GiveUp)
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("behaviour", "reason", "detail"),
    [
        (hangs, Attempt.NO_ANSWER, Fault.TIMEOUT),
        (resets, Attempt.NO_ANSWER, Fault.RESET),
        (talks_no_http, Attempt.NO_ANSWER, Fault.BAD_ANSWER),
        (answers(500), Attempt.SERVER_FAULT, "HTTP 500"),
        (answers(429), Attempt.TOO_MANY_REQUESTS, "HTTP 429"),
    ],
)
async def test_temporary_trouble_is_tried_again(
    behaviour: Behaviour, reason: Attempt, detail: str
) -> None:
    """A receiver that is slow, cuts the connection, answers rubbish, 500 or 429."""
    async with receiving(behaviour) as receiver:
        hook = webhook(receiver, IMPATIENT if behaviour is hangs else None)
        verdict = await attempted(hook)
        await hook.close()
    assert isinstance(verdict, RetryAt)
    assert (verdict.reason, verdict.detail) == (reason, detail)


async def test_retry_after_is_read() -> None:
    """As seconds and as a date."""
    async with receiving(
        answers(429, Retry_After="40"), answers(503, Retry_After="Fri, 31 Dec 9999 00:00:00 GMT")
    ) as receiver:
        hook = webhook(receiver)
        seconds, date = [await hook.deliver("msg-1", BODY, 0) for _ in range(2)]
        await hook.close()
    assert seconds.retry_after_s == 40
    assert date.retry_after_s is not None
    assert date.retry_after_s > 1e11


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (answers(410), Attempt.GONE),
        (answers(404), Attempt.REJECTED),
        (answers(307, Location="/elsewhere"), Attempt.REDIRECT),
        (answers(301, Location="http://169.254.169.254/latest/meta-data"), Attempt.REDIRECT),
    ],
)
async def test_hopeless_is_given_up_after_one_attempt(
    behaviour: Behaviour, reason: Attempt
) -> None:
    """Gone, rejected, or sent elsewhere: a redirect is not followed, not even on the same host."""
    async with receiving(behaviour) as receiver:
        hook = webhook(receiver)
        verdict = await attempted(hook)
        await hook.close()
    assert isinstance(verdict, GiveUp)
    assert verdict.reason is reason
    assert len(receiver.received) == 1


@pytest.mark.parametrize("behaviour", [floods, stalls_in_the_body])
async def test_status_counts_whatever_becomes_of_the_answer(behaviour: Behaviour) -> None:
    """An endless answer, and one that stalls, cost bounded time and memory, and the message counts
    as taken.
    """
    async with receiving(behaviour) as receiver:
        hook = webhook(receiver, OutboundLimits(total_s=2))
        verdict = await attempted(hook)
        await hook.close()
    assert isinstance(verdict, Delivered)


async def test_answer_is_read_up_to_its_limit() -> None:
    """64 kB by default; that more was sent is said."""
    async with receiving(floods) as receiver:
        target = OutboundTarget(receiver.url, allow_private=True)
        answer = await target.post(b"{}", {})
        await target.close()
    assert len(answer.body) == 65_536
    assert not answer.is_complete


async def test_nobody_listens() -> None:
    """A refused connection is a fault like others: tried again."""
    async with receiving(answers(200)) as receiver:
        hook = webhook(receiver)
    verdict = await attempted(hook)
    await hook.close()
    assert isinstance(verdict, RetryAt)
    assert verdict.detail == Fault.CONNECT


async def test_plain_http_behind_https_is_a_fault() -> None:
    """A server without TLS gets nothing of the message."""
    async with receiving(answers(200)) as receiver:
        hook = WebhookReceiver(
            receiver.url.replace("http://", "https://"), Secret(SECRET), allow_private=True
        )
        verdict = await attempted(hook)
        await hook.close()
    assert isinstance(verdict, RetryAt)
    assert verdict.detail == Fault.TLS
    assert receiver.received == []


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message goes where the settings say."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with receiving(answers(200)) as receiver:
        hook = webhook(receiver)
        assert isinstance(await attempted(hook), Delivered)
        await hook.close()


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "whsec_!!!!", "c2VjcmV0" * 4, "whsec_" + base64.b64encode(b"short").decode()],
)
def test_secret_of_another_form_is_refused_and_not_shown(secret: str) -> None:
    """At the start, with words that say which form is needed."""
    with pytest.raises(ValueError, match="24 to 64 random bytes") as refused:
        WebhookReceiver("https://hooks.example", Secret(secret))
    key = secret.removeprefix("whsec_")
    assert not key or key not in str(refused.value)
