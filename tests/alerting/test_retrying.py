"""What follows an attempt to deliver."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.alerting.reasons import Attempt
from agents.alerting.retrying import Delivered, GiveUp, Verdict, after_attempt, backoff_s
from agents.alerting.settings import RetrySettings
from streams.lane.effects import RetryAt

RETRY = RetrySettings(first_s=1, cap_s=300, deadline_s=3600)


@dataclass(frozen=True)
class Answered:
    """An answer as a connector gives it."""

    status: int | None = None
    fault: str | None = None
    retry_after_s: float | None = None
    error: str | None = None
    refused: bool = False
    thread: str = ""
    unrenderable: bool = False


def verdict(
    answer: Answered, *, attempt: int = 1, now_s: float = 0, retry: RetrySettings = RETRY
) -> Verdict:
    """After the attempt on message m, decided at second 0."""
    return after_attempt(
        answer,
        notification_id="m",
        attempt=attempt,
        decided_at=0,
        now=round(now_s * 1e6),
        retry=retry,
    )


@pytest.mark.parametrize("answer", [Answered(200), Answered(204), Answered(299), Answered()])
def test_taken_is_delivered(answer: Answered) -> None:
    """The 200s, and the plain answer of a receiver without statuses."""
    assert isinstance(verdict(answer), Delivered)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answered(301), Attempt.REDIRECT),
        (Answered(308), Attempt.REDIRECT),
        (Answered(400), Attempt.REJECTED),
        (Answered(401), Attempt.REJECTED),
        (Answered(404, retry_after_s=1), Attempt.REJECTED),
        (Answered(410), Attempt.GONE),
        (Answered(fault="127.0.0.1 is a loopback address", refused=True), Attempt.FORBIDDEN_TARGET),
    ],
)
def test_hopeless_is_given_up_at_once(answer: Answered, reason: Attempt) -> None:
    """What would fail the same way again, and what we do not send to."""
    assert verdict(answer) == GiveUp(reason, answer.fault or f"HTTP {answer.status}")


def test_answer_that_names_an_error_is_no_delivery() -> None:
    """Slack answers 200 and says in the body that it did not take the message; the record has its
    words.
    """
    assert verdict(Answered(200, error="channel_not_found")) == GiveUp(
        Attempt.REJECTED, "HTTP 200: channel_not_found"
    )
    assert isinstance(verdict(Answered(429, error="ratelimited")), RetryAt)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answered(429), Attempt.TOO_MANY_REQUESTS),
        (Answered(500), Attempt.SERVER_FAULT),
        (Answered(503), Attempt.SERVER_FAULT),
        (Answered(599), Attempt.SERVER_FAULT),
        (Answered(fault="timeout"), Attempt.NO_ANSWER),
    ],
)
def test_temporary_is_tried_again_after_a_wait(answer: Answered, reason: Attempt) -> None:
    """Waits double up to the cap, shortened by at most half."""
    for attempt, longest in ((1, 1), (2, 2), (5, 16), (12, 300), (1_000_000, 300)):
        again = verdict(answer, attempt=attempt, now_s=50)
        assert isinstance(again, RetryAt)
        assert again.reason is reason
        assert longest / 2 <= again.at / 1e6 - 50 <= longest


def test_retry_after_is_honoured_up_to_the_cap() -> None:
    """On 429 and 503, if it is longer than our own wait; elsewhere it means nothing to us."""
    for status in (429, 503):
        assert verdict(Answered(status, retry_after_s=40)) == RetryAt(40_000_000, *_said(status))
        assert verdict(Answered(status, retry_after_s=86_400)) == RetryAt(
            300_000_000, *_said(status)
        )
        impatient = verdict(Answered(status, retry_after_s=0), attempt=9)
        assert isinstance(impatient, RetryAt)
        assert impatient.at >= 128_000_000
    elsewhere = verdict(Answered(500, retry_after_s=200))
    assert isinstance(elsewhere, RetryAt)
    assert elsewhere.at <= 1_000_000


def _said(status: int) -> tuple[Attempt, str]:
    return (Attempt.TOO_MANY_REQUESTS if status == 429 else Attempt.SERVER_FAULT), f"HTTP {status}"


def test_deadline_ends_it_and_names_the_last_answer() -> None:
    """No attempt is put after `deadline_s`; it counts from the decision, whatever the attempt's
    number says.
    """
    assert isinstance(verdict(Answered(500), now_s=3599), RetryAt)
    assert verdict(Answered(500), now_s=3600) == GiveUp(Attempt.DEADLINE, "last answer: HTTP 500")
    assert verdict(Answered(429, retry_after_s=300), now_s=3400) == GiveUp(
        Attempt.DEADLINE, "last answer: HTTP 429"
    )


@settings(deadline=None)
@given(st.text(max_size=40), st.integers(1, 10_000))
def test_jitter_is_the_message_s_own(name: str, attempt: int) -> None:
    """The same each time, and within half to whole of the wait."""
    wait = backoff_s(name, attempt, RETRY)
    assert wait == backoff_s(name, attempt, RETRY)
    longest = min(300.0, 2.0 ** min(attempt - 1, 60))
    assert longest / 2 <= wait <= longest


def test_many_messages_do_not_come_back_at_once() -> None:
    """A receiver that was away meets a spread, not a wall."""
    waits = [backoff_s(f"m{i}", 9, RETRY) for i in range(1000)]
    assert max(sum(low <= wait < low + 12.8 for wait in waits) for low in range(128, 256, 12)) < 150
