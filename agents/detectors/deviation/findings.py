"""Findings about series: how grave, how sure, why, and the numbers to compute the score again."""

from collections.abc import Mapping
from math import exp, isfinite, log, pi, sqrt
from typing import Final

from agents.detectors.contract import Closed, Finding, Kind
from agents.detectors.deviation.measures import (
    ABOVE,
    BELOW,
    ERRORS,
    MEASURES,
    METRIC_OF,
    METRICS,
    SIZES,
)
from agents.detectors.deviation.native import score_again
from agents.detectors.scores import significant_number
from schemas.records.anomalies import Direction, Severity
from schemas.units import quantity

_SURE: Final = 2.0
"""Standard deviations by which a change is larger than what its severity is taken from."""

_SIZE_STEPS: Final = (
    (log(4.0), Severity.CRITICAL),
    (log(2.0), Severity.HIGH),
    (log(1.3), Severity.MEDIUM),
)
_ERROR_STEPS: Final = ((0.5, Severity.CRITICAL), (0.2, Severity.HIGH), (0.05, Severity.MEDIUM))
_BELOW_STEPS: Final = (
    (log(10.0), Severity.CRITICAL),
    (log(3.0), Severity.HIGH),
    (log(1.6), Severity.MEDIUM),
)
_ABOVE_STEPS: Final = ((log(10.0), Severity.HIGH), (log(3.0), Severity.MEDIUM))

_PER: Final = {
    "pace": " for the length of the answers",
    "price": " for the number of tokens",
}
"""How a measure qualifies the metric that it is reported as."""


def severity(measure: int, effect: float, deviation: float) -> Severity:
    """From what the change is at least: `effect` less two standard deviations, so that what is
    hardly certain is low, however large it looks.

    >>> severity(0, log(4.5), 0.01), severity(0, log(4.5), 0.5), severity(ERRORS, 0.08, 0.01)
    (<Severity.CRITICAL: 'critical'>, <Severity.MEDIUM: 'medium'>, <Severity.MEDIUM: 'medium'>)
    """
    steps = {ERRORS: _ERROR_STEPS, ABOVE: _ABOVE_STEPS, BELOW: _BELOW_STEPS}
    sure = effect - _SURE * deviation
    for least, grade in steps.get(measure, _SIZE_STEPS):
        if sure >= least:
            return grade
    return Severity.LOW


def confidence(score: float, threshold: float, scale: float) -> float:
    """Probability that an anomaly of this score is real: false ones become rarer by the Gumbel
    law's tail above the threshold, where one in two is taken to be false.

    >>> confidence(9.0, 9.0, 1.0), confidence(13.0, 9.0, 1.0)
    (0.5, 0.982014)
    """
    return significant_number(1 / (1 + exp(-min(max((score - threshold) / scale, -50.0), 50.0))))


def in_deviations(score: float) -> float:
    """A score, -log p, as the standard deviations of a normal law beyond which p lies, as the
    scores of other detectors are; to six digits.

    >>> in_deviations(9.0), in_deviations(0.1)
    (3.66813, 0.0)
    """
    if not isfinite(score) or score < 2.0:
        return 0.0
    # The tail of the normal law is exp(-z²/2) / (z √2π): solved for z in two steps.
    square = 2 * score - log(2 * pi * (2 * score - log(2 * pi * 2 * score)))
    return significant_number(sqrt(max(square, 0.0)))


def finding(
    closed: Closed, row: int, measure: int, numbers: Mapping[str, float], *, first: bool
) -> Finding:
    """The finding about an anomaly of this measure; `numbers` are those of `native.NUMBERS`."""
    metric = METRICS[METRIC_OF[measure]]
    score = score_again(measure, numbers)
    bucket_s = (closed.end - closed.start) / 1e6
    seen, usual = _in_units(measure, numbers, bucket_s)
    evidence = {name: value for name, value in numbers.items() if isfinite(value)}
    evidence["measure"] = measure
    return Finding(
        kind=Kind.SERIES,
        row=row,
        metric=metric,
        # Of the newest bucket, since an anomaly's id is made of it: a longer window may begin where
        # a shorter one did before.
        window_start=closed.start,
        window_end=closed.end,
        event_time=closed.end,
        observed=seen,
        expected=usual,
        score=in_deviations(score),
        severity=severity(measure, numbers["effect"], numbers["deviation"]),
        confidence=confidence(score, numbers["threshold"], numbers["scale"]),
        direction=Direction.BELOW if measure == BELOW else Direction.ABOVE,
        reason=_reason(measure, metric, seen, usual, int(numbers["window"] * bucket_s)),
        evidence=tuple(evidence.items()),
        first=first,
    )


def recomputed(metric: str, evidence: Mapping[str, float]) -> float:
    """The score again, from the evidence of a finding about this metric. Raises KeyError."""
    measure = int(evidence["measure"])
    if METRICS[METRIC_OF[measure]] != metric:
        raise KeyError(metric)
    return in_deviations(score_again(measure, evidence))


def _in_units(measure: int, numbers: Mapping[str, float], bucket_s: float) -> tuple[float, float]:
    """What was seen in the window and what is usual, in the metric's unit; of pace and price what
    whole calls took or cost, and what they would have by the usual one.
    """
    seen, usual = numbers["seen"] / max(numbers["exposure"], 1e-9), numbers["usual"]
    if measure < len(SIZES):
        if MEASURES[measure] in _PER:
            seen, usual = numbers["whole"], numbers["whole"] - numbers["effect"]
        return exp(seen), exp(usual)
    if measure == ERRORS:
        return seen, usual
    return seen / bucket_s, usual / bucket_s


def _reason(measure: int, metric: str, seen: float, usual: float, window_s: int) -> str:
    side = "below" if measure == BELOW else "above"
    per = _PER.get(MEASURES[measure], "")
    over = f"{window_s} s" if window_s < 120 else f"{window_s / 60:.0f} min"
    return (
        f"{metric} is {side} what is usual{per}: {quantity(metric, seen)} against"
        f" {quantity(metric, usual)}, over {over}"
    )
