"""Where a fault shows, by the words of its kind."""

import pytest

from schemas.records.anomalies import Direction
from topology.backtesting.labels import label_of, where_it_shows

ABOVE, BELOW = Direction.ABOVE, Direction.BELOW


@pytest.mark.parametrize(
    ("kind", "metric", "side"),
    [
        ("latency x1.5", "latency", ABOVE),
        ("latency step", "time_to_first_token", ABOVE),
        ("latency x0.5", "latency", BELOW),
        ("slow drift", "latency", ABOVE),
        ("drift of time to first token", "time_to_first_token", ABOVE),
        ("ttft_drift", "time_to_first_token", ABOVE),
        ("errors +3 points", "error_rate", ABOVE),
        ("30 s outage (all fail)", "error_rate", ABOVE),
        ("error rate", "error_rate", ABOVE),
        ("traffic -30 %", "request_rate", BELOW),
        ("traffic x6", "request_rate", ABOVE),
        ("request rate", "request_rate", None),
        ("silent model", "request_rate", BELOW),
        ("retry storm", "error_rate", ABOVE),
        ("retry storm", "request_rate", ABOVE),
        ("cost run-away", "cost", ABOVE),
        ("cost +20 %", "cost", ABOVE),
        ("prompt-size attack", "tokens", ABOVE),
        ("tokens x2", "cost", ABOVE),
    ],
)
def test_a_kind_shows_in_its_metrics_on_its_side(
    kind: str, metric: str, side: Direction | None
) -> None:
    """None for both sides."""
    shows, told = where_it_shows(kind)
    assert shows is not None
    assert any(part in metric for part in shows)
    assert told is side


@pytest.mark.parametrize(
    ("kind", "metric"),
    [
        ("latency x2", "error_rate"),
        ("errors +3 points", "latency"),
        ("error rate", "request_rate"),
        ("drift of first token", "tokens"),
        ("traffic x2", "cost"),
    ],
)
def test_a_kind_does_not_show_in_other_metrics(kind: str, metric: str) -> None:
    """Else everything would find everything."""
    shows, _ = where_it_shows(kind)
    assert shows is not None
    assert not any(part in metric for part in shows)


def test_a_kind_without_such_words_shows_anywhere() -> None:
    """And on either side."""
    assert where_it_shows("something odd") == (None, None)


def test_a_user_s_rate_shows_in_what_it_costs_too() -> None:
    """Of an application it does not."""
    given = {"application": "a", "kind": "rate x20", "start": 1, "end": 2}
    assert not label_of({**given}).shows_in("cost", ABOVE)
    assert label_of({**given, "user": "u"}).shows_in("cost", ABOVE)
