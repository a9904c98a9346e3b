"""Metrics of the facts that steps return: the one consumer of `Step.facts`."""

from collections.abc import Mapping

from streams import metrics
from streams.lane.facts import Fact, FactKind


def count_facts(stage: str, lane: int, facts: Mapping[Fact, int]) -> None:
    """Adds each fact's count to its metric; a count of zero makes the series."""
    for fact, count in facts.items():
        match fact.kind:
            case FactKind.BAD_RECORD:
                metrics.BAD_RECORDS.labels(stage, fact.reason).inc(count)
            case FactKind.MISPLACED_EVENT:
                metrics.MISPLACED_EVENTS.labels(stage, lane).inc(count)
            case FactKind.REPEATED_ANOMALY:
                metrics.CAME_BEFORE.labels(lane).inc(count)
            case FactKind.SOURCE_LANE_TAKEN_BACK:
                metrics.TAKEN_BACK.labels(lane).inc(count)
            case FactKind.ALERT_DECISION:
                metrics.DECISIONS.labels(fact.reason).inc(count)
