"""A title says what is wrong, where and by how much, in words that claim no more than the anomaly
does.
"""

from collections.abc import Sequence
from typing import Final

from agents.correlation.intake_titles import intake_sentence
from schemas.measures import label
from schemas.records.anomalies import INTAKE, Anomaly
from schemas.units import moment, quantity

MAX_TITLE: Final = 200
"""Most characters of a title; names in records may be long."""

_NAMED: Final = 3


def sentence(anomaly: Anomaly, since: int | None = None) -> str:
    """What one anomaly says, as a person on call would, without a full stop.

    "57 % of calls of chat-api/gpt-4o fail, usual 0.4 %", "latency of checkout 12 s, limit 10 s
    (rule slow)", "no calls of chat-api/gpt-4o since 15:00:20 UTC, 1.4/s expected". `since` is when
    that began, event time in µs; None means with the window that was judged.
    """
    if anomaly.detector == INTAKE:
        return intake_sentence(anomaly)
    subject = _subject(anomaly)
    seen = quantity(anomaly.metric, anomaly.observed)
    if anomaly.metric == "request_rate" and anomaly.observed == 0 and anomaly.expected is not None:
        start = anomaly.window_start if since is None else since
        return f"no calls of {subject} since {_clock(start)}{_silent(anomaly)}"
    if anomaly.metric == "error_rate":
        return f"{seen} of calls of {subject} fail{_beside(anomaly, seen)}"
    if anomaly.metric == "request_rate" and anomaly.rule is None:
        return f"calls of {subject} at {seen}{_beside(anomaly, seen)}"
    return f"{label(anomaly.metric)} of {subject} {seen}{_beside(anomaly, seen)}"


def title(lead: str, others: Sequence[str]) -> str:
    """The lead sentence and the other metrics that are wrong too, at most MAX_TITLE characters.

    >>> title("latency of chat-api 12 s, usual 4 s", ["error_rate"])
    'latency of chat-api 12 s, usual 4 s; also error rate'
    >>> title("cost of a 2 currency units", ["m1", "m2", "m3", "m4", "m5"])
    'cost of a 2 currency units; also m1, m2, m3 and 2 more'
    """
    also = ", ".join(label(metric) for metric in others[:_NAMED])
    if len(others) > _NAMED:
        also += f" and {len(others) - _NAMED} more"
    whole = f"{lead}; also {also}" if also else lead
    return whole if len(whole) <= MAX_TITLE else whole[: MAX_TITLE - 1] + "…"


def _subject(anomaly: Anomaly) -> str:
    place = (
        anomaly.application if anomaly.model is None else f"{anomaly.application}/{anomaly.model}"
    )
    return place if anomaly.user is None else f"user {anomaly.user} in {place}"


def _beside(anomaly: Anomaly, seen: str) -> str:
    """What the observed value is to be compared with: the limit of a rule, or what is usual;
    nothing where that says nothing.
    """
    expected = anomaly.expected
    rule = f" (rule {anomaly.rule})" if anomaly.rule is not None else ""
    if expected is None:
        return rule
    limit = quantity(anomaly.metric, expected)
    if rule:
        return f", limit {limit}{rule}"
    return f", usual {limit}" if limit != seen else f", {anomaly.direction} the usual {limit}"


def _silent(anomaly: Anomaly) -> str:
    assert anomaly.expected is not None
    expected = quantity(anomaly.metric, anomaly.expected)
    return (
        f", {expected} expected"
        if anomaly.rule is None
        else f", limit {expected} (rule {anomaly.rule})"
    )


def _clock(time: int) -> str:
    return f"{moment(time):%H:%M:%S} UTC"
