"""Threshold rules: at once, on every event; no learning, no baseline."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from hashlib import blake2b
from typing import Final

import numpy as np
import numpy.typing as npt

from agents.detectors.contract import Events, Finding, Float64s, Int64s, Kind, Names, Tables, significant
from agents.detectors.settings import MOST_RULES, Comparison, Rule
from schemas.records import Direction
from schemas.units import quantity
from streams.tables import Table, TableSpec

_BROKEN: Final[Mapping[Comparison, Callable[[Float64s, float], npt.NDArray[np.bool_]]]] = {
    Comparison.ABOVE: operator.gt,
    Comparison.AT_LEAST: operator.ge,
    Comparison.BELOW: operator.lt,
    Comparison.AT_MOST: operator.le,
    Comparison.EQUAL: operator.eq,
    # NaN differs from everything, also from itself: an event without the metric must not match.
    Comparison.NOT_EQUAL: lambda values, threshold: np.asarray((values != threshold) & (values == values)),
}

_ROW: Final = np.dtype([("rules", "<u8"), ("matching", "<u8"), ("fired", "<i8", (MOST_RULES,))])
"""`rules`: which set of rules the row was made for, 0 for none; `matching`: bit i is set when rule i is for this series;
`fired`: one more than the newest bucket in which each rule fired, 0 for none."""


class ThresholdDetector:
    """Every event of a matching series is compared with every rule; a rule fires at most once per series and bucket.

    The finding is about the first event, in the order of offsets, that broke the rule in its bucket. An event that comes late into an
    older open bucket, after the rule fired in a newer one, does not fire: the row remembers the newest bucket alone. An event that has
    no such metric (NaN) matches no comparison, `!=` included.

    The score is 1 + |value - threshold| / |threshold| (the absolute difference where the threshold is 0): 1 at the threshold, 2 at twice
    it. The confidence is 1, since a rule is no estimate. `expected` is the threshold.
    """

    name = "threshold"
    version = 1
    tables: Sequence[tuple[Kind, TableSpec]] = ((Kind.SERIES, TableSpec("threshold", _ROW)),)

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        digest = blake2b(repr([asdict(rule) for rule in self._rules]).encode(), digest_size=8).digest()
        self._fingerprint = np.uint64(int.from_bytes(digest, "little") | 1)

    def at_once(self, tables: Tables, events: Events) -> Sequence[Finding]:
        """Findings in the order of position, then of the rules."""
        table = tables["threshold"]
        values: dict[str, Float64s] = {}
        found: list[tuple[int, int, Finding]] = []
        for number, rule in enumerate(self._rules):
            if rule.metric not in values:
                values[rule.metric] = events.numbers(rule.metric)
            broken = np.flatnonzero(_BROKEN[rule.comparison](values[rule.metric], rule.threshold))
            if len(broken):
                for position in self._firing(table, number, broken, events).tolist():
                    value = float(values[rule.metric][position])
                    found.append((position, number, _finding(rule, value, position, events)))
        found.sort(key=lambda one: one[:2])
        return [finding for _, _, finding in found]

    def recompute(self, metric: str, evidence: Mapping[str, float]) -> float:
        """The score from `value` and `threshold`."""
        return _score(evidence["value"], evidence["threshold"])

    def _firing(self, table: Table, number: int, broken: Int64s, events: Events) -> Int64s:
        """Of the events that broke the rule, those that fire; what they fired is remembered. Ascending."""
        rows = events.series[broken]
        table.reserve(int(rows.max()) + 1)
        self._meet(table, rows, events.names)
        bit = np.uint64(1 << number)
        stamps = events.buckets[broken] + 1
        kept = (table.rows["matching"][rows] & bit != 0) & (stamps > table.rows["fired"][rows, number])
        broken, rows, stamps = broken[kept], rows[kept], stamps[kept]
        if not len(broken):
            return broken
        first = _raising(rows, stamps)
        np.maximum.at(table.rows["fired"], (rows[first], number), stamps[first])
        table.touch(rows[first])
        return broken[first]

    def _meet(self, table: Table, rows: Int64s, names: Names) -> None:
        """Prepares rows that these rules have not met: who changes the rules starts with a clean slate."""
        unmet = np.unique(rows[table.rows["rules"][rows] != self._fingerprint])
        if not len(unmet):
            return
        table.clear(unmet)
        table.rows["rules"][unmet] = self._fingerprint
        table.rows["matching"][unmet] = [self._matching(names.name(row)) for row in unmet.tolist()]

    def _matching(self, name: tuple[str, ...]) -> int:
        bits = 0
        for number, rule in enumerate(self._rules):
            wanted = (rule.tenant, rule.application, rule.model)
            if all(want is None or want == has for want, has in zip(wanted, name, strict=True)):
                bits |= 1 << number
        return bits


def _raising(rows: Int64s, stamps: Int64s) -> Int64s:
    """Indices, ascending, of the entries whose stamp is higher than that of every entry of the same row before them."""
    order = np.argsort(rows, kind="stable")
    grouped = rows[order]
    starts = np.concatenate([[True], grouped[1:] != grouped[:-1]])
    # Groups stand one above the other, so that a running maximum over all of them is one within each.
    height = int(stamps.max() - stamps.min()) + 1
    raised = (np.cumsum(starts) - 1) * height + (stamps[order] - stamps.min())
    highest = np.maximum.accumulate(raised)
    rises = starts | (raised > np.concatenate([[-1], highest[:-1]]))
    return np.sort(order[rises])


def _score(value: float, threshold: float) -> float:
    beyond = abs(value - threshold) / (abs(threshold) or 1.0)
    return float(significant(np.array([1.0 + beyond]))[0])


def _finding(rule: Rule, value: float, position: int, events: Events) -> Finding:
    start = int(events.buckets[position]) * events.bucket_us
    above = value > rule.threshold or rule.comparison in (Comparison.AT_LEAST, Comparison.EQUAL)
    return Finding(
        kind=Kind.SERIES,
        row=int(events.series[position]),
        metric=rule.metric,
        window_start=start,
        window_end=start + events.bucket_us,
        event_time=int(events.times[position]),
        observed=value,
        expected=rule.threshold,
        score=_score(value, rule.threshold),
        severity=rule.severity,
        confidence=1.0,
        direction=Direction.ABOVE if above else Direction.BELOW,
        reason=f"rule {rule.name}: {rule.metric} {quantity(rule.metric, value, 6)} {rule.comparison} "
        f"{quantity(rule.metric, rule.threshold, 6)}",
        evidence=(("value", value), ("threshold", rule.threshold)),
        rule=rule.name,
        position=position,
    )
