"""A title says what the anomaly says, and no more."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.correlation.titles import MAX_TITLE, sentence, title
from schemas.records import INTAKE, Breakdown, Direction, Evidence
from tests.correlation.timeline import anomaly

BELOW = {"direction": Direction.BELOW}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "latency of chat-api/gpt-4o 3.1x expected"),
        ({"observed": 1.4}, "latency of chat-api/gpt-4o 40 % above expected"),
        ({"observed": 1.999}, "latency of chat-api/gpt-4o 2x expected"),
        ({"observed": 123_456.0}, "latency of chat-api/gpt-4o 123,000x expected"),
        ({"observed": 0.2, **BELOW}, "latency of chat-api/gpt-4o 80 % below expected"),
        ({"metric": "request_rate", "observed": 0.0, **BELOW}, "request rate of chat-api/gpt-4o 100 % below expected"),
        ({"observed": 0.25, "expected": 0.0}, "latency of chat-api/gpt-4o at 0.25 µs instead of 0 s"),
        ({"observed": 1.001}, "latency of chat-api/gpt-4o at 1 µs instead of 1 µs"),
        ({"observed": float("inf")}, "latency of chat-api/gpt-4o at inf s instead of 1 µs"),
        ({"expected": None, "observed": 81_234.0}, "latency of chat-api/gpt-4o at 81.2 ms"),
        ({"model": None}, "latency of chat-api 3.1x expected"),
        ({"user": "u-1"}, "latency of user u-1 in chat-api/gpt-4o 3.1x expected"),
        ({"rule": "slow", "expected": 2.0}, "latency of chat-api/gpt-4o at 3.1 µs, above 2 µs (rule slow)"),
        ({"rule": "slow", "expected": None}, "latency of chat-api/gpt-4o at 3.1 µs (rule slow)"),
    ],
)
def test_sentence(fields: dict[str, object], words: str) -> None:
    """Multiples from two on, percentages below, bare numbers where neither would be honest; a rule's limit is no expectation."""
    assert sentence(anomaly(0, **fields)) == words  # type: ignore[arg-type]


@settings(deadline=None)
@given(observed=st.floats(), expected=st.none() | st.floats(), direction=st.sampled_from(Direction))
def test_every_number_has_a_sentence(observed: float, expected: float | None, direction: Direction) -> None:
    """Whatever a detector says: no number ends the worker."""
    assert "nan %" not in sentence(anomaly(0, observed=observed, expected=expected, direction=direction))


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
            "half of the records of tenant acme are refused: latency_us is negative (e.g. telemetry/3@1234)",
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
            "all of the events of acme/chat-api come 60 min late and are in no bucket (e.g. telemetry/3@1234)",
        ),
        (
            {
                "metric": "ahead_events",
                "observed": 1.0,
                "evidence": (Evidence("least_us", 3.6e9), Evidence("most_us", 3.7e9)),
            },
            "all of the events of acme/chat-api are 60 min ahead of the clock and are refused (e.g. telemetry/3@1234)",
        ),
        (
            {"metric": "misplaced_events", "breakdown": (Breakdown("key", "none", 3),)},
            "events of acme/chat-api are on partition 3, which is not theirs: the producer sends no key",
        ),
        (
            {
                "metric": "misplaced_events",
                "breakdown": (Breakdown("key", "tenant/application", 3), Breakdown("partitioner", "crc32", 3)),
            },
            "events of acme/chat-api are on partition 3, which is not theirs: the producer places keys by crc32",
        ),
    ],
)
def test_what_a_title_says_of_records_that_do_not_count(fields: dict[str, object], words: str) -> None:
    """Whose, what is wrong, how much, and where one of them is."""
    base: dict[str, object] = {"detector": INTAKE, "model": None, "lane": 3, "offset": 1234}
    assert sentence(anomaly(0, **{**base, **fields})) == words
