"""A title says what is wrong, where and by how much, in words that claim no more than the anomaly does."""

import math
from collections.abc import Sequence
from typing import Final

from agents.correlation.intake_titles import intake_sentence
from schemas.records import INTAKE, Anomaly, Direction
from schemas.units import number, quantity

MAX_TITLE: Final = 200
"""Most characters of a title; names in records may be long."""

_NAMED: Final = 3


def sentence(anomaly: Anomaly) -> str:
    """What one anomaly says, as a phrase without a full stop: "error rate of chat-api/gpt-4o at 20 % instead of 0 %"."""
    if anomaly.detector == INTAKE:
        return intake_sentence(anomaly)
    return f"{_words(anomaly.metric)} of {_subject(anomaly)} {_amount(anomaly)}"


def title(lead: str, others: Sequence[str]) -> str:
    """The lead sentence and the other metrics that are wrong too, at most MAX_TITLE characters.

    >>> title("latency of chat-api 3.1x expected", ["error_rate"])
    'latency of chat-api 3.1x expected; also error rate'
    >>> title("cost of a 2x expected", ["m1", "m2", "m3", "m4", "m5"])
    'cost of a 2x expected; also m1, m2, m3 and 2 more'
    """
    also = ", ".join(_words(metric) for metric in others[:_NAMED])
    if len(others) > _NAMED:
        also += f" and {len(others) - _NAMED} more"
    whole = f"{lead}; also {also}" if also else lead
    return whole if len(whole) <= MAX_TITLE else whole[: MAX_TITLE - 1] + "…"


def _words(metric: str) -> str:
    return metric.replace("_", " ")


def _subject(anomaly: Anomaly) -> str:
    place = anomaly.application if anomaly.model is None else f"{anomaly.application}/{anomaly.model}"
    return place if anomaly.user is None else f"user {anomaly.user} in {place}"


def _amount(anomaly: Anomaly) -> str:
    observed, expected = anomaly.observed, anomaly.expected
    seen = quantity(anomaly.metric, observed)
    if expected is None:
        return f"at {seen}" + (f" (rule {anomaly.rule})" if anomaly.rule is not None else "")
    limit = quantity(anomaly.metric, expected)
    if anomaly.rule is not None:
        return f"at {seen}, {anomaly.direction} {limit} (rule {anomaly.rule})"
    return _compared(observed, expected, anomaly.direction) or f"at {seen} instead of {limit}"


def _compared(observed: float, expected: float, direction: Direction) -> str | None:
    """Observed as a multiple or a percentage of expected; None where neither would say anything."""
    if not (expected > 0 and math.isfinite(expected) and math.isfinite(observed)):
        return None
    ratio = observed / expected
    if direction is Direction.ABOVE and ratio >= 1.995 and math.isfinite(ratio):
        return f"{number(ratio)}x expected"
    percent = 100 * (ratio - 1 if direction is Direction.ABOVE else 1 - ratio)
    return f"{round(percent)} % {direction} expected" if math.isfinite(percent) and round(percent) > 0 else None
