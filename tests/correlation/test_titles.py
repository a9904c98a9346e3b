"""A title says what the anomaly says, and no more."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.correlation.titles import MAX_TITLE, sentence, title
from schemas.records.anomalies import INTAKE, Breakdown, Direction, Evidence
from tests.correlation.timeline import anomaly

BELOW = {"direction": Direction.BELOW}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"observed": 9.3e6, "expected": 3e6}, "latency of chat-api/gpt-4o 9.3 s, usual 3 s"),
        ({"observed": 1.001}, "latency of chat-api/gpt-4o 1 µs, above the usual 1 µs"),
        ({"observed": 0.25, "expected": 0.0}, "latency of chat-api/gpt-4o 0.25 µs, usual 0 s"),
        ({"observed": float("inf")}, "latency of chat-api/gpt-4o inf s, usual 1 µs"),
        ({"expected": None, "observed": 81_234.0}, "latency of chat-api/gpt-4o 81.2 ms"),
        ({"model": None}, "latency of chat-api 3.1 µs, usual 1 µs"),
        ({"user": "u-1"}, "latency of user u-1 in chat-api/gpt-4o 3.1 µs, usual 1 µs"),
        (
            {
                "application": "checkout",
                "model": None,
                "rule": "slow",
                "observed": 12e6,
                "expected": 10e6,
            },
            "latency of checkout 12 s, limit 10 s (rule slow)",
        ),
        ({"rule": "slow", "expected": None}, "latency of chat-api/gpt-4o 3.1 µs (rule slow)"),
        (
            {"metric": "error_rate", "observed": 0.57, "expected": 0.004},
            "57 % of calls of chat-api/gpt-4o fail, usual 0.4 %",
        ),
        (
            {"metric": "error_rate", "observed": 0.57, "expected": 0.05, "rule": "r"},
            "57 % of calls of chat-api/gpt-4o fail, limit 5 % (rule r)",
        ),
        (
            {"metric": "request_rate", "observed": 0.0, "expected": 1.4, **BELOW},
            "no calls of chat-api/gpt-4o since 22:13:10 UTC, 1.4/s expected",
        ),
        (
            {"metric": "request_rate", "observed": 0.3, "expected": 1.4, **BELOW},
            "calls of chat-api/gpt-4o at 0.3/s, usual 1.4/s",
        ),
        (
            {"metric": "request_rate", "observed": 0.3, "expected": 1.0, "rule": "few", **BELOW},
            "request rate of chat-api/gpt-4o 0.3/s, limit 1/s (rule few)",
        ),
    ],
)
def test_sentence(fields: dict[str, object], words: str) -> None:
    """What a person would say: the value with its unit, and what it is to be compared with; a
    rule's limit is no expectation.
    """
    assert sentence(anomaly(0, **fields)) == words  # type: ignore[arg-type]


@settings(deadline=None)
@given(observed=st.floats(), expected=st.none() | st.floats(), direction=st.sampled_from(Direction))
def test_every_number_has_a_sentence(
    observed: float, expected: float | None, direction: Direction
) -> None:
    """Whatever a detector says: no number ends the worker."""
    assert "nan %" not in sentence(
        anomaly(0, observed=observed, expected=expected, direction=direction)
    )


def test_long_names_are_cut() -> None:
    """A name of ten thousand characters makes no title of that size."""
    assert len(title(sentence(anomaly(0, application="x" * 10_000)), ())) == MAX_TITLE


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {
                "metric": "bad_records",
                "observed": 0.5,
                "application": "(intake)",
                "breakdown": (Breakdown("reason", "latency_us is negative", 9),),
            },
            (
                "half of the records of tenant acme are refused: latency_us is negative (e.g."
                " telemetry/3@1234)"
            ),
        ),
        (
            {"metric": "bad_records", "observed": 0.813},
            "81 % of the records of acme/chat-api are refused (e.g. telemetry/3@1234)",
        ),
        (
            {
                "metric": "late_events",
                "observed": 1.0,
                "evidence": (Evidence("least_us", 3.6e9), Evidence("most_us", 3.7e9)),
            },
            (
                "all of the events of acme/chat-api arrive 60 min late and are not counted (e.g."
                " telemetry/3@1234)"
            ),
        ),
        (
            {
                "metric": "ahead_events",
                "observed": 1.0,
                "evidence": (Evidence("least_us", 3.6e9), Evidence("most_us", 3.7e9)),
            },
            (
                "all of the events of acme/chat-api are 60 min ahead of the clock and are refused"
                " (e.g. telemetry/3@1234)"
            ),
        ),
        (
            {"metric": "misplaced_events", "breakdown": (Breakdown("key", "none", 3),)},
            (
                "events of acme/chat-api are on partition 3, the wrong one: the producer"
                " sends no key"
            ),
        ),
        (
            {
                "metric": "misplaced_events",
                "breakdown": (
                    Breakdown("key", "tenant/application", 3),
                    Breakdown("partitioner", "crc32", 3),
                ),
            },
            (
                "events of acme/chat-api are on partition 3, the wrong one: the producer"
                " partitions by crc32"
            ),
        ),
    ],
)
def test_what_a_title_says_of_records_that_do_not_count(
    fields: dict[str, object], words: str
) -> None:
    """Whose, what is wrong, how much, and where one of them is."""
    base: dict[str, object] = {"detector": INTAKE, "model": None, "lane": 3, "offset": 1234}
    assert sentence(anomaly(0, **{**base, **fields})) == words
