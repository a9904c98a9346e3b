"""Threshold rules: which event breaks which rule, and how often that is told."""

import numpy as np
import pytest

from agents.detectors.contract import Finding
from agents.detectors.settings import Comparison, Rule
from agents.detectors.threshold.detector import _ROW_1, TABLE, ThresholdDetector
from schemas.records.anomalies import Direction, Severity
from streams.state.chunks import seal
from streams.state.tables import Table
from tests.detectors.events import Segment, events
from tests.detectors.traffic import BUCKET_US, START


def told(
    rules: list[Rule], *segments: Segment, tables: dict[str, Table] | None = None
) -> list[Finding]:
    """What the rules say about the segments, in order."""
    detector = ThresholdDetector(rules)
    state = {"threshold": Table(detector.tables[0][1])} if tables is None else tables
    return [finding for segment in segments for finding in detector.at_once(state, segment)]


def positions(found: list[Finding]) -> list[int | None]:
    """Which events were told."""
    return [finding.position for finding in found]


@pytest.mark.parametrize(
    ("comparison", "broken"),
    [
        (Comparison.ABOVE, [2]),
        (Comparison.AT_LEAST, [1, 2]),
        (Comparison.BELOW, [0]),
        (Comparison.AT_MOST, [0, 1]),
        (Comparison.EQUAL, [1]),
        (Comparison.NOT_EQUAL, [0, 2]),
    ],
)
def test_a_comparison_reads_value_comparison_threshold(
    comparison: Comparison, broken: list[int]
) -> None:
    """And an event without the metric (NaN, the last) breaks no rule, `!=` included."""
    segment = events([1.0, 2.0, 3.0, np.nan], series=[0, 1, 2, 3])
    assert positions(told([Rule("r", "latency_us", comparison, 2.0)], segment)) == broken


def test_a_rule_is_told_once_for_a_series_and_bucket() -> None:
    """The first event in offset order is told; other series and the next bucket are told anew."""
    segment = events([9.0] * 6, series=[0, 0, 1, 0, 0, 1], seconds=[0, 1, 2, 10, 11, 12])
    assert positions(told([Rule("r", "latency_us", Comparison.ABOVE, 1.0)], segment)) == [
        0,
        2,
        3,
        5,
    ]


def test_an_older_bucket_is_not_told_after_a_newer_one() -> None:
    """An event out of order into an open bucket before the newest that fired is silent, within a
    batch and across batches.
    """
    rule = Rule("r", "latency_us", Comparison.ABOVE, 1.0)
    segment = events([9.0, 9.0, 9.0], seconds=[12, 5, 13])
    assert positions(told([rule], segment)) == [0]
    assert len(told([rule], segment.cut(0, 1), segment.cut(1, 2), segment.cut(2, 3))) == 1


def test_a_rule_is_for_the_names_that_it_names() -> None:
    """Tenant, application and model match exactly and all; None matches all."""
    everyone = events([9.0] * 12, series=range(12))

    def rows(**names: str) -> list[int]:
        return [
            f.row for f in told([Rule("r", "latency_us", Comparison.ABOVE, 1.0, **names)], everyone)
        ]

    assert rows() == list(range(12))
    assert rows(tenant="tenant1") == [1, 3, 5, 7, 9, 11]
    assert rows(application="application1") == [2, 3, 6, 7, 10, 11]
    assert rows(tenant="tenant1", application="application0", model="model2") == [9]
    assert rows(model="MODEL2") == []


def test_other_rules_forget_what_the_old_ones_told() -> None:
    """A new settings version starts with a clean slate on the same tables; the same rules go on
    where they were.
    """
    old = [Rule("r", "latency_us", Comparison.ABOVE, 1.0)]
    new = [Rule("s", "latency_us", Comparison.ABOVE, 2.0), *old]
    segment = events([9.0])
    tables = {"threshold": Table(ThresholdDetector(old).tables[0][1])}
    assert len(told(old, segment, tables=tables)) == 1
    assert len(told(old, segment, tables=tables)) == 0
    assert [f.rule for f in told(new, segment, tables=tables)] == ["s", "r"]


def test_rows_that_no_rule_was_broken_in_are_never_written() -> None:
    """Rules cost no state where nothing happens."""
    tables = {"threshold": Table(ThresholdDetector([]).tables[0][1])}
    told(
        [Rule("r", "latency_us", Comparison.ABOVE, 100.0)],
        events([9.0] * 50, series=range(50)),
        tables=tables,
    )
    assert list(tables["threshold"].changes()) == []


def test_a_finding_says_value_threshold_and_time_of_its_event() -> None:
    """And its window is the event's bucket; twice the threshold scores 2."""
    rule = Rule("slow", "latency_us", Comparison.ABOVE, 4.0, severity=Severity.HIGH)
    (found,) = told([rule], events([1.0, 8.0], seconds=[0, 13]))
    start = (START + 1) * BUCKET_US
    assert (found.window_start, found.window_end, found.event_time) == (
        start,
        start + BUCKET_US,
        start + 3_000_000,
    )
    assert (found.observed, found.expected, found.score, found.confidence) == (8.0, 4.0, 2.0, 1.0)
    assert (found.rule, found.severity, found.direction) == ("slow", Severity.HIGH, Direction.ABOVE)


def test_rows_of_version_1_are_read() -> None:
    """What an older program wrote: the same open signals, judged last where it knew of it."""
    old = np.zeros(2, _ROW_1)
    old["rules"], old["matching"], old["fired"][1, 0], old["fired"][1, 31] = 7, 3, 42, -40
    table = Table(TABLE)
    table.restore({0: seal(1, old.tobytes())})
    row = table.rows[1]
    assert (row["rules"], row["matching"], row["open"]) == (7, 3, 1 | 1 << 31)
    assert (row["judged"][0], row["fired"][31], row["judged"][31]) == (42, -40, 40)
    assert not table.rows["open"][0]


def test_events_without_an_open_signal_change_no_row() -> None:
    """Nor do those that say nothing new of one that is open."""
    tables = {"threshold": Table(TABLE)}
    rules = [Rule("r", "latency_us", Comparison.ABOVE, 4.0)]
    told(rules, events([9.0]), tables=tables)
    assert list(tables["threshold"].changes())
    told(rules, events([1.0, 1.0, np.nan], series=[0, 1, 0], seconds=[1, 2, 11]), tables=tables)
    assert not list(tables["threshold"].changes())
    told(rules, events([1.0], seconds=[11]), tables=tables)
    assert list(tables["threshold"].changes())


def test_below_is_told_as_below() -> None:
    """Direction follows the value, not the sign of the threshold."""
    (found,) = told([Rule("r", "latency_us", Comparison.BELOW, 4.0)], events([1.0]))
    assert found.direction is Direction.BELOW


def test_a_metric_that_does_not_exist_is_refused_by_the_events() -> None:
    """A rule's metric is checked where settings are read; what slips through ends the step."""
    with pytest.raises(KeyError):
        told([Rule("r", "feature.x", Comparison.ABOVE, 1.0)], events([1.0]))
