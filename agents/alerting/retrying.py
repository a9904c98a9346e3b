"""The retry policy of deliveries: after an attempt, a message is delivered, retried or given up.

A pure function; the one loop around it is the outbox.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from agents.alerting.ports import DeliveryAnswer
from agents.alerting.reasons import Attempt
from agents.alerting.settings import RetrySettings
from streams.lane.effects import RetryAt

_ASKS_TO_WAIT: Final = (429, 503)
_TIMED_OUT: Final = 408


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has accepted the message."""

    detail: str
    reason: Attempt = Attempt.DELIVERED
    thread: str = ""
    """Id of the receiver's own thread, for later messages about the same incident."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Another attempt would not help, or is too late."""

    reason: Attempt
    detail: str


Verdict = Delivered | RetryAt | GiveUp


def after_attempt(
    answer: DeliveryAnswer,
    *,
    notification_id: str,
    attempt: int,
    decided_at: int,
    now: int,
    retry: RetrySettings,
) -> Verdict:
    """Decide what follows the attempt-th attempt (1, 2, …) to deliver the message decided at
    `decided_at`, which ended at `now` (µs) with `answer`.

    2xx is delivered, unless the answer itself reports an error: then it is given up. 408, 429, 5xx
    and attempts without a status are retried, after the receiver's Retry-After on 429 and 503 if
    that is longer than the backoff, but never more than `cap_s`. Everything else, 410 and redirects
    too, is given up at once, and so is a message whose next attempt would come after `deadline_s`.
    `attempt` may begin at 1 again after a restart; `decided_at` must not.
    """
    detail = _detail(answer)
    reason = _reason(answer)
    if reason is Attempt.DELIVERED:
        return Delivered(detail, thread=answer.thread)
    if reason not in (Attempt.SERVER_FAULT, Attempt.TOO_MANY_REQUESTS, Attempt.NO_ANSWER):
        return GiveUp(reason, detail)
    wait_s = backoff_s(notification_id, attempt, retry)
    if answer.status in _ASKS_TO_WAIT and answer.retry_after_s is not None:
        wait_s = max(wait_s, min(answer.retry_after_s, retry.cap_s))
    at = now + round(wait_s * 1e6)
    if at > decided_at + round(retry.deadline_s * 1e6):
        return GiveUp(Attempt.DEADLINE, f"last answer: {detail}")
    return RetryAt(at, reason, detail)


def backoff_s(notification_id: str, attempt: int, retry: RetrySettings) -> float:
    """Exponential backoff in seconds after the attempt-th attempt: `first_s` doubled each time up
    to `cap_s`, times a jitter of 0.5 to 1.

    The jitter is made from the id, so that it differs between messages and is the same each time.

    >>> retry = RetrySettings(first_s=1, cap_s=6)
    >>> [round(backoff_s("m", attempt, retry), 2) for attempt in (1, 2, 3, 4, 99)]
    [0.58, 1.54, 2.76, 4.36, 3.03]
    """
    # An exponent of 60 is beyond any cap, and far from overflowing a float.
    longest = min(retry.cap_s, retry.first_s * 2.0 ** min(attempt - 1, 60))
    draw = int.from_bytes(
        blake2b(f"{notification_id}/{attempt}".encode(), digest_size=4).digest(), "big"
    )
    return longest * (0.5 + draw / 2**33)


def _reason(answer: DeliveryAnswer) -> Attempt:
    status = answer.status
    # First what no other attempt would change.
    if answer.unrenderable:
        return Attempt.UNRENDERABLE
    if answer.refused:
        return Attempt.FORBIDDEN_TARGET
    if answer.fault is not None:
        return Attempt.NO_ANSWER
    if status is None or 200 <= status < 300:
        return Attempt.DELIVERED if answer.error is None else Attempt.REJECTED
    if status == 429:
        return Attempt.TOO_MANY_REQUESTS
    if status >= 500 or status == _TIMED_OUT:
        return Attempt.SERVER_FAULT
    if status == 410:
        return Attempt.GONE
    return Attempt.REDIRECT if 300 <= status < 400 else Attempt.REJECTED


def _detail(answer: DeliveryAnswer) -> str:
    if answer.fault is not None:
        return answer.fault
    if answer.status is None:
        return answer.error or "accepted"
    return (
        f"HTTP {answer.status}" if answer.error is None else f"HTTP {answer.status}: {answer.error}"
    )
