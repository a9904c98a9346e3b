"""The declarations of metrics fit the records and texts that are made by them."""

from dataclasses import fields

from schemas.measures import MEASURES
from schemas.records.aggregates import Aggregate

AGGREGATE = [field.name for field in fields(Aggregate)]


def test_the_aggregate_has_the_fields_of_each_metric_in_their_order() -> None:
    """Four of each, after all others; rows are written by place."""
    wanted = [
        f"{measure.name}_{part}"
        for measure in MEASURES
        for part in ("observed", "expected", "low", "high")
    ]
    assert AGGREGATE[-len(wanted) :] == wanted


def test_the_aggregate_counts_the_events_of_each_metric() -> None:
    """A mean is weighted by a field that is there."""
    assert {measure.counted_by for measure in MEASURES} <= set(AGGREGATE)
