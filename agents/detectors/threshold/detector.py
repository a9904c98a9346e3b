"""Threshold rules: at once, on every event; no learning, no baseline."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from hashlib import blake2b
from typing import Final

import numpy as np
import numpy.typing as npt

from agents.detectors.contract import (
    Change,
    Closed,
    Events,
    Finding,
    Float64s,
    Int64s,
    Kind,
    Names,
    Signal,
    Tables,
)
from agents.detectors.scores import significant
from agents.detectors.settings import MOST_RULES, Comparison, Rule
from schemas.records.anomalies import Direction, SignalStatus
from schemas.units import quantity
from streams.state.tables import Row, Table, TableSpec

_BROKEN: Final[Mapping[Comparison, Callable[[Float64s, float], npt.NDArray[np.bool_]]]] = {
    Comparison.ABOVE: operator.gt,
    Comparison.AT_LEAST: operator.ge,
    Comparison.BELOW: operator.lt,
    Comparison.AT_MOST: operator.le,
    Comparison.EQUAL: operator.eq,
    # NaN differs from everything, also from itself: an event without the metric must not match.
    Comparison.NOT_EQUAL: lambda values, threshold: np.asarray(
        (values != threshold) & (values == values)
    ),
}

_ROW_1: Final = np.dtype([("rules", "<u8"), ("matching", "<u8"), ("fired", "<i8", (MOST_RULES,))])

ROW: Final = np.dtype(
    [
        ("rules", "<u8"),
        ("matching", "<u8"),
        ("open", "<u8"),
        ("fired", "<i8", (MOST_RULES,)),
        ("judged", "<i8", (MOST_RULES,)),
    ]
)
"""`rules`: which set of rules the row was made for, 0 for none; `matching`: bit i is set when rule
i is for this series; `open`: bit i is set while the signal of rule i is open. `fired`, of each rule
whose signal is open: one more than the newest bucket in which it fired; or, once a bucket closed
that kept it, that bucket's number plus one, negative. `judged`, likewise: one more than the newest
bucket in which an event had the rule's metric, from the event on that opened the signal. Both are 0
while it is not open.
"""

_ZERO_IF_UNKNOWN: Final = frozenset(("tokens", "prompt_tokens", "completion_tokens", "cost_nano"))
"""Metrics that are 0 where a producer does not tell them, and in a call that failed."""

_BITS: Final = np.uint64(1) << np.arange(MOST_RULES, dtype=np.uint64)


def _from_1(rows: Row) -> Row:
    made: Row = np.zeros(len(rows), ROW)
    for name in _ROW_1.names or ():
        made[name] = rows[name]
    made["open"] = ((rows["fired"] != 0) * _BITS).sum(axis=1)
    # Whatever its sign, that bucket had events; of none after it is anything known.
    made["judged"] = np.abs(rows["fired"])
    return made


TABLE: Final = TableSpec("threshold", ROW, version=2, migrations={1: (_ROW_1, _from_1)})
"""Version 1 had no `open` and `judged`."""


class ThresholdDetector:
    """Every event of a matching series is compared with every rule; a rule fires at most once per
    series and bucket.

    The finding is about the first event, in the order of offsets, that broke the rule in its
    bucket. An event that comes late into an older open bucket, after the rule fired in a newer one,
    does not fire: the row remembers the newest bucket alone. An event that has no such metric (NaN)
    matches no comparison, `!=` included.

    A broken rule's signal ends when the series had events with the rule's metric over
    `quiet_buckets` and none of them broke it. An event without the metric says nothing of the rule,
    nor does one without tokens or cost of a rule on too much of them: with such events alone the
    signal stays open, and it is told that there is no data, as without events.

    The score is 1 + |value - threshold| / |threshold| (the absolute difference where the threshold
    is 0): 1 at the threshold, 2 at twice it. The confidence is 1, since a rule is no estimate.
    `expected` is the threshold.
    """

    name = "threshold"
    version = 1
    tables: Sequence[tuple[Kind, TableSpec]] = ((Kind.SERIES, TABLE),)

    def __init__(
        self, rules: Sequence[Rule], quiet_buckets: int = 18, no_data_buckets: int = 18
    ) -> None:
        self._rules = tuple(rules)
        self._quiet_buckets, self._no_data_buckets = quiet_buckets, no_data_buckets
        digest = blake2b(
            repr([asdict(rule) for rule in self._rules]).encode(), digest_size=8
        ).digest()
        self._fingerprint = np.uint64(int.from_bytes(digest, "little") | 1)

    def at_once(self, tables: Tables, events: Events) -> Sequence[Finding]:
        """Findings in the order of position, then of the rules."""
        table = tables["threshold"]
        table.reserve(int(events.series.max(initial=0)) + 1)
        values: dict[str, Float64s] = {}
        found: list[tuple[int, int, Finding]] = []
        begun: dict[int, Int64s] = {}
        for number, rule in enumerate(self._rules):
            if rule.metric not in values:
                values[rule.metric] = events.numbers(rule.metric)
            broken = np.flatnonzero(_BROKEN[rule.comparison](values[rule.metric], rule.threshold))
            if len(broken):
                positions, first = self._firing(table, number, broken, events)
                begun[number] = positions[first]
                for position, begins in zip(positions.tolist(), first.tolist(), strict=True):
                    value = float(values[rule.metric][position])
                    found.append(
                        (position, number, _finding(rule, value, position, events, first=begins))
                    )
        self._judge(table, values, events, begun)
        found.sort(key=lambda one: one[:2])
        return [finding for _, _, finding in found]

    def recompute(self, metric: str, evidence: Mapping[str, float]) -> float:
        """The score from `value` and `threshold`."""
        return _score(evidence["value"], evidence["threshold"])

    def settle(self, tables: Tables, closed: Closed) -> Sequence[Change]:
        """Notes which open rules the bucket kept; ends those that were kept for long enough. In the
        order of rows, then of rules.
        """
        table = tables["threshold"]
        table.reserve(int(closed.rows.max(initial=0)) + 1)
        met = table.rows["rules"][closed.rows] == self._fingerprint
        places = np.flatnonzero(met & (table.rows["open"][closed.rows] != 0))
        made: list[Change] = []
        for place, number in np.argwhere(table.rows["fired"][closed.rows[places]] != 0).tolist():
            at = int(places[place])
            change = self._settled(table, number, int(closed.rows[at]), closed, at)
            if change is not None:
                made.append(change)
        return made

    def _settled(
        self, table: Table, number: int, row: int, closed: Closed, place: int
    ) -> Change | None:
        """What the bucket makes of one open rule of one series."""
        stamp, fired, judged = (
            closed.bucket + 1,
            *(int(table.rows[name][row, number]) for name in ("fired", "judged")),
        )
        rule = self._rules[number]
        signal = Signal(Kind.SERIES, row, rule.metric, rule.name)
        if stamp - judged == self._no_data_buckets:
            since = judged * (closed.end - closed.start)
            return Change(
                signal, SignalStatus.NO_DATA, f"no data that rule {rule.name} could judge", since
            )
        if not closed.numbers["requests"][place] or judged < stamp:
            return None
        if abs(fired) >= stamp and fired != -stamp:
            return None
        kept_from = -fired if fired < 0 else stamp
        is_over = stamp - kept_from + 1 >= self._quiet_buckets
        table.rows["fired"][row, number] = -kept_from
        table.touch(np.array([row]))
        if not is_over:
            return None
        _end(table, row, number)
        minutes = self._quiet_buckets * (closed.end - closed.start) / 60e6
        return Change(
            signal, SignalStatus.NORMAL, f"rule {rule.name} was kept for {minutes:.3g} min"
        )

    def open_signals(self, tables: Tables, rows: Int64s | None = None) -> Sequence[Signal]:
        """Rules that were broken and are not known to be kept again."""
        table = tables["threshold"].rows
        chosen = np.arange(len(table)) if rows is None else rows[rows < len(table)]
        chosen = chosen[table["rules"][chosen] == self._fingerprint]
        return [
            Signal(
                Kind.SERIES,
                int(chosen[place]),
                self._rules[number].metric,
                self._rules[number].name,
            )
            for place, number in np.argwhere(table["fired"][chosen] != 0).tolist()
        ]

    def judges(self, signal: Signal, name: tuple[str, ...]) -> bool:
        """Whether there is such a rule for such a series. Rules of one name and metric are one
        signal, whatever the threshold.
        """
        return any(
            (rule.name, rule.metric) == (signal.rule, signal.metric) and _is_for(rule, name)
            for rule in self._rules
        )

    def forget(self, tables: Tables, signals: Sequence[Signal]) -> None:
        """The rules may fire again in the next bucket."""
        table, numbers = (
            tables["threshold"],
            {rule.name: number for number, rule in enumerate(self._rules)},
        )
        for signal in signals:
            _end(table, signal.row, numbers[signal.rule or ""])

    def adopt(self, tables: Tables, former: "ThresholdDetector", names: Names) -> None:
        """Takes over the open signals of the rules that were in effect before; what fired in a
        bucket may fire in it again.
        """
        table = tables["threshold"]
        numbers = {(rule.name, rule.metric): number for number, rule in enumerate(self._rules)}
        for row in sorted({signal.row for signal in former.open_signals(tables)}):
            fired, judged = (table.rows[name][row].copy() for name in ("fired", "judged"))
            self._meet(table, np.array([row]), names)
            for old, rule in enumerate(former._rules):
                number = numbers.get((rule.name, rule.metric))
                # What was open is retired where the rule is for others now (`judges`).
                if number is not None and fired[old]:
                    table.rows["fired"][row, number] = min(fired[old], -fired[old] - 1)
                    table.rows["judged"][row, number] = judged[old]
                    table.rows["open"][row] |= _BITS[number]
            # Rules that are the same as before were not met anew.
            table.touch(np.array([row]))

    def _firing(
        self, table: Table, number: int, broken: Int64s, events: Events
    ) -> tuple[Int64s, npt.NDArray[np.bool_]]:
        """Of the events that broke the rule, those that fire, ascending, and whether each begins
        its signal; what they fired is remembered.
        """
        rows = events.series[broken]
        self._meet(table, rows, events.names)
        stamps = events.buckets[broken] + 1
        kept = (table.rows["matching"][rows] & _BITS[number] != 0) & (
            stamps > table.rows["fired"][rows, number]
        )
        broken, rows, stamps = broken[kept], rows[kept], stamps[kept]
        if not len(broken):
            return broken, np.zeros(0, bool)
        first = _raising(rows, stamps)
        rows, stamps = rows[first], stamps[first]
        begins = np.zeros(len(rows), bool)
        begins[np.unique(rows, return_index=True)[1]] = True
        begins &= table.rows["fired"][rows, number] == 0
        np.maximum.at(table.rows["fired"], (rows, number), stamps)
        table.rows["open"][rows] |= _BITS[number]
        table.touch(rows)
        return broken[first], begins

    def _judge(
        self,
        table: Table,
        values: Mapping[str, Float64s],
        events: Events,
        begun: Mapping[int, Int64s],
    ) -> None:
        """Remembers, of open signals alone, the newest bucket with an event that has the rule's
        metric. `begun`, by rule: the events that opened one; what came before them does not count,
        however the events were batched.
        """
        rows, opened = events.series, table.rows["open"]
        # Where rows are fewer than events, it costs less to look at those first; mostly nothing is
        # open.
        if len(opened) <= len(rows) and not opened.any():
            return
        is_open = opened[rows]
        if not is_open.any():
            return
        stamps = events.buckets + 1
        is_open[table.rows["rules"][rows] != self._fingerprint] = 0
        for number, rule in enumerate(self._rules):
            at = np.flatnonzero(is_open & _BITS[number])
            at = at[
                (stamps[at] > table.rows["judged"][rows[at], number])
                & _tells(rule, values[rule.metric][at])
            ]
            if len(begun.get(number, ())):
                since = np.zeros(len(table), np.int64)
                since[rows[begun[number]]] = begun[number]
                at = at[at >= since[rows[at]]]
            if len(at):
                np.maximum.at(table.rows["judged"], (rows[at], number), stamps[at])
                table.touch(rows[at])

    def _meet(self, table: Table, rows: Int64s, names: Names) -> None:
        """Prepares rows that these rules have not met."""
        unmet = np.unique(rows[table.rows["rules"][rows] != self._fingerprint])
        if not len(unmet):
            return
        table.clear(unmet)
        table.rows["rules"][unmet] = self._fingerprint
        table.rows["matching"][unmet] = [self._matching(names.name(row)) for row in unmet.tolist()]

    def _matching(self, name: tuple[str, ...]) -> int:
        bits = 0
        for number, rule in enumerate(self._rules):
            bits |= _is_for(rule, name) << number
        return bits


def _is_for(rule: Rule, name: tuple[str, ...]) -> bool:
    wanted = (rule.tenant, rule.application, rule.model)
    return all(want is None or want == has for want, has in zip(wanted, name, strict=True))


def _tells(rule: Rule, values: Float64s) -> npt.NDArray[np.bool_]:
    """Where a value tells whether the rule is kept. A 0 that may stand for what is not known does
    only if it breaks the rule, or if nothing else keeps it.
    """
    if (
        rule.metric in _ZERO_IF_UNKNOWN
        and not _BROKEN[rule.comparison](np.array([0.0, 1.0]), rule.threshold).any()
    ):
        return values > 0
    return ~np.isnan(values)


def _end(table: Table, row: int, number: int) -> None:
    table.rows["open"][row] &= ~_BITS[number]
    for name in ("fired", "judged"):
        table.rows[name][row, number] = 0
    table.touch(np.array([row]))


def _raising(rows: Int64s, stamps: Int64s) -> Int64s:
    """Indices, ascending, of the entries whose stamp is higher than that of every entry of the same
    row before them.
    """
    order = np.argsort(rows, kind="stable")
    grouped = rows[order]
    starts = np.concatenate([[True], grouped[1:] != grouped[:-1]])
    # Groups stand one above the other, so that a running maximum over all of them is one within
    # each.
    height = int(stamps.max() - stamps.min()) + 1
    raised = (np.cumsum(starts) - 1) * height + (stamps[order] - stamps.min())
    highest = np.maximum.accumulate(raised)
    rises = starts | (raised > np.concatenate([[-1], highest[:-1]]))
    return np.sort(order[rises])


def _score(value: float, threshold: float) -> float:
    beyond = abs(value - threshold) / (abs(threshold) or 1.0)
    return float(significant(np.array([1.0 + beyond]))[0])


def _finding(rule: Rule, value: float, position: int, events: Events, *, first: bool) -> Finding:
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
        reason=(
            f"rule {rule.name}: {rule.metric} {quantity(rule.metric, value, 6)} {rule.comparison} "
            f"{quantity(rule.metric, rule.threshold, 6)}"
        ),
        evidence=(("value", value), ("threshold", rule.threshold)),
        rule=rule.name,
        position=position,
        first=first,
    )
