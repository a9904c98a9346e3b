"""Dead letters are on the log with their reason, and cannot fill it."""

from structlog.testing import capture_logs

from streams.lane.dead_letter_log import MAX_REASONS, MIN_INTERVAL_S, DeadLetterLog
from streams.lane.outgoing import Outgoing, dead_letter


def letter(reason: str, offset: int = 7, field: str | None = None) -> Outgoing:
    """A dead letter of a record of `telemetry`, lane 3."""
    return dead_letter("dead-letters", b"k", b"v", "telemetry", 3, offset, reason, field)


def test_a_reason_is_logged_at_once_and_then_once_a_minute_with_the_count() -> None:
    """For each pair of reason and field, with the last such record; other outputs are not
    logged.
    """
    now = [1000.0]
    log = DeadLetterLog("detect", lambda: now[0])
    with capture_logs() as lines:
        log.note(
            [letter("number out of range", 1, "latency_us"), Outgoing("anomalies", b"k", b"v")]
        )
        log.note([letter("number out of range", offset, "latency_us") for offset in range(2, 902)])
        log.note([letter("empty record", 5)])
        now[0] += MIN_INTERVAL_S
        log.log_due()
        log.log_due()
    assert [
        (line["reason"], line.get("field"), line["count"], line["example"]) for line in lines
    ] == [
        ("number out of range", "latency_us", 1, "telemetry/3@1"),
        ("empty record", None, 1, "telemetry/3@5"),
        ("number out of range", "latency_us", 900, "telemetry/3@901"),
    ]
    assert {line["stage"] for line in lines} == {"detect"}


def test_reasons_without_end_share_a_line() -> None:
    """A reason may have a producer's words in it."""
    log = DeadLetterLog("detect", lambda: 1000.0)
    with capture_logs() as lines:
        log.note([letter(f"reason {number}") for number in range(3 * MAX_REASONS)])
    assert len(lines) == MAX_REASONS + 1
    assert sum(line["count"] for line in lines) == 3 * MAX_REASONS
