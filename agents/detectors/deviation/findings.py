"""Findings about series: how grave, how sure, why, and the numbers to compute the score again."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from agents.detectors.contract import Closed, Finding, Float64s, Kind
from agents.detectors.deviation.charts import Charts
from agents.detectors.deviation.judging import Judged
from agents.detectors.deviation.residuals import (
    count_residual,
    share_residual,
    size_residual,
    size_variance,
)
from agents.detectors.deviation.state import COUNT, METRICS, SHARE, Bucket, SeriesState, in_units
from agents.detectors.scores import confidence, significant
from schemas.records.anomalies import Direction, Severity
from schemas.units import quantity

_STEPS: Final = ((5.0, Severity.CRITICAL), (2.5, Severity.HIGH), (1.5, Severity.MEDIUM))
"""Effect in least effects from which an anomaly is so grave; below the last it is low."""

_GRAVE_BELOW: Final = COUNT
"""Less of any other metric than the request rate is at most medium."""

_EVIDENCE: Final = ("learnt", "centre", "spread", "fast", "slow", "fast_variance", "slow_variance")
"""What of the state before the bucket the score is computed from, single precision made double."""


def severity(metric: int, above: bool, size: float) -> Severity:
    """From the size of the effect in least effects.

    >>> severity(0, True, 2.6), severity(0, False, 2.6), severity(5, False, 2.6)
    (<Severity.HIGH: 'high'>, <Severity.MEDIUM: 'medium'>, <Severity.HIGH: 'high'>)
    """
    for least, grade in _STEPS:
        if size >= least:
            return grade if above or metric == _GRAVE_BELOW else Severity.MEDIUM
    return Severity.LOW


def finding(
    closed: Closed,
    row: int,
    at: tuple[int, int],
    before: SeriesState,
    bucket: Bucket,
    judged: Judged,
    gate: float,
) -> Finding:
    """The finding about metric and subject `at`; `gate` is the metric's least effect.

    A drift is told with its mean over the last ten or so buckets as what was observed; a step with
    the bucket's value.
    """
    metric = at[0]
    drifting = bool(judged.drifting[at])
    chart = judged.state.slow if drifting else judged.state.fast
    score = float((judged.slow if drifting else judged.fast)[at])
    centre = float(before.centre[at])
    effect = float((judged.state.drift if drifting else judged.effect)[at])
    observed = centre + effect if drifting and metric != COUNT else float(bucket.values[at])
    if drifting and metric == COUNT:
        observed = max((centre + 0.5) * float(np.exp(effect)) - 0.5, 0.0)
    seen, usual = (
        told(metric, value, (closed.end - closed.start) / 1e6) for value in (observed, centre)
    )
    above = float(chart[at]) > 0
    numbers = {"value": float(bucket.values[at]), "requests": float(bucket.requests[at])}
    numbers |= {name: float(getattr(before, name)[at]) for name in _EVIDENCE}
    numbers |= {
        "residual": float(judged.residual[at]),
        "effect": effect,
        "least_effect": gate,
        "drifting": float(drifting),
    }
    return Finding(
        kind=Kind.SERIES,
        row=row,
        metric=METRICS[metric],
        window_start=closed.start,
        window_end=closed.end,
        event_time=closed.end,
        observed=seen,
        expected=usual,
        score=score,
        severity=severity(metric, above, abs(effect) / gate),
        confidence=confidence(score),
        direction=Direction.ABOVE if above else Direction.BELOW,
        reason=_reason(METRICS[metric], above, drifting, seen, usual, score),
        evidence=tuple(numbers.items()),
        first=bool(judged.first[at]),
    )


def recomputed(metric: str, evidence: Mapping[str, float]) -> float:
    """The score again, from the evidence of a finding about this metric."""
    place = METRICS.index(metric)
    number: dict[str, Float64s] = {name: np.array([value]) for name, value in evidence.items()}
    value, requests, centre, spread = (
        number[name] for name in ("value", "requests", "centre", "spread")
    )
    if place == SHARE:
        residual = share_residual(value, requests, centre, spread)
    elif place == COUNT:
        residual = count_residual(value, centre, spread)
    else:
        residual = size_residual(value, size_variance(requests, spread), centre, number["learnt"])
    before = Charts(*(number[name] for name in ("fast", "slow", "fast_variance", "slow_variance")))
    fast, slow = before.moved(residual, number["learnt"]).scores(number["learnt"])
    return float(significant(slow if evidence["drifting"] else fast)[0])


def told(metric: int, value: float, bucket_s: float) -> float:
    """A value of the state in the metric's unit."""
    values = np.zeros((len(METRICS), 1))
    values[metric] = value
    return float(in_units(values, bucket_s)[metric, 0])


def _reason(
    metric: str, above: bool, drifting: bool, seen: float, usual: float, score: float
) -> str:
    how = ("has drifted" if drifting else "is") + (" above" if above else " below")
    return (
        f"{metric} {how} what is usual: {quantity(metric, seen)} against {quantity(metric, usual)},"
        f" score {score:.3g}"
    )
