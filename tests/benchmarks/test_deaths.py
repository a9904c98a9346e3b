"""Which deaths of a worker are nobody's fault, in the runs that disturb them."""

from pathlib import Path

from streams.exit_status import AGAIN
from tests.harness.exactness.workers import Member


def test_only_a_start_without_a_broker_is_forgiven() -> None:
    """Another reason for the same exit status, and another status, still count."""
    member = Member("detect", "detect", Path(), Path())
    ends = [
        (
            1,
            (
                "sentinel: no Kafka broker answers at 127.0.0.1:9092 within 8 s; check"
                " broker.bootstrap_servers"
            ),
        ),
        (1, "sentinel: lanes.bucket_s is not a number"),
        (AGAIN, "the broker did not answer in time; ending, to be started again"),
    ]
    for status, words in ends:
        member.deaths[status] += 1
        member.last_words.append(f"detect, status {status}: {words}")
    member.forgive_starts()
    assert member.unexpected == {1: 1, AGAIN: 1}
    assert [line[:16] for line in member.last_words] == ["detect, status 1", "detect, status 7"]
