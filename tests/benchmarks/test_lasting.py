"""Outages that last, by the benchmark that measures longer ones."""

import pytest

from benchmarks.lasting import KINDS, outage


@pytest.mark.parametrize(
    ("kind", "hours"),
    [
        ("errors", 0.5),
        ("latency", 1.2),
        ("silence of a series", 0.5),
        ("silence of a lane", 0.5),
        ("silence of everything", 0.5),
        ("errors, then silence", 0.5),
        ("latency, detect stands still", 0.5),
    ],
)
def test_nothing_is_resolved_early_and_recovery_opens_nothing(kind: str, hours: float) -> None:
    """From the first bucket to half an hour after the end, in which everything is resolved."""
    told = outage(kind, hours)
    assert told.found
    assert not told.resolved_early
    assert told.opened_on_recovery == 0
    assert not told.accepted
    assert told.resolved_after_s is not None
    assert told.resolved_after_s < 600
    assert (told.no_data_told > 0) is ("silen" in kind or "stands still" in kind)
    assert kind in KINDS
