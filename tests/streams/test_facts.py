"""Facts of a step become metrics in one place."""

from streams import metrics
from streams.lane.fact_metrics import count_facts
from streams.lane.facts import Fact, FactKind

STAGE, LANE, REASON = "facts-test", 97, "a reason of this test"
_SERIES = {
    FactKind.BAD_RECORD: ("bad_records", {"stage": STAGE, "reason": REASON}),
    FactKind.MISPLACED_EVENT: ("misplaced_events", {"stage": STAGE, "lane": str(LANE)}),
    FactKind.REPEATED_ANOMALY: ("anomalies_came_before", {"lane": str(LANE)}),
    FactKind.SOURCE_LANE_TAKEN_BACK: ("source_lanes_taken_back", {"lane": str(LANE)}),
    FactKind.ALERT_DECISION: ("alert_decisions", {"reason": REASON}),
}


def counted(kind: FactKind) -> float | None:
    """The value of the kind's own series."""
    name, labels = _SERIES[kind]
    return metrics.REGISTRY.get_sample_value(f"sentinel_{name}_total", labels)


def test_each_kind_of_fact_counts_in_a_metric_of_its_own() -> None:
    """A count of zero makes the series, so that an alarm can compare it before the first case."""
    assert set(_SERIES) == set(FactKind)
    for number, kind in enumerate(FactKind):
        count_facts(STAGE, LANE, {Fact(kind, REASON): number})
    assert [counted(kind) for kind in FactKind] == list(range(len(FactKind)))
