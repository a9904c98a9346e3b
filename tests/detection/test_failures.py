"""An anomaly about failed calls says which errors they had, and names some of them."""

import pytest

from agents.detection import failed_calls, failures
from agents.detectors.settings import DetectionSettings, Deviation, Profile
from schemas.records.anomalies import Anomaly
from schemas.records.telemetry import Status
from tests.detection.lanes import RunLane
from tests.harness.telemetry_log import Rec, good

pytestmark = pytest.mark.usefixtures("with_and_without_native_code")

EARLY = {"0": DetectionSettings(deviation=Deviation(), profile=Profile(enabled=False))}


def log(fault_from: float = 400.0, until: float = 500.0) -> list[Rec]:
    """Ten calls a second; from then on two of three fail, of those three of four for the rate
    limit.
    """
    records = []
    for number in range(int(until * 10)):
        at = number / 10
        failed: dict[str, object] = {}
        if at >= fault_from and number % 3:
            limited = number % 4
            failed = {
                "status": Status.ERROR if limited else Status.TIMEOUT,
                "error_type": "rate_limited" if limited else None,
                "http_status": 429 if limited else 504,
                "trace_id": f"trace{number}" if number % 2 else None,
            }
        records.append(good(number, at, **failed))
    return records


def errors(lane: RunLane) -> list[Anomaly]:
    """What was told of error rates."""
    return [one for one in lane.anomalies if one.metric == "error_rate"]


def test_error_types_statuses_and_samples_are_those_of_the_bucket() -> None:
    """Counted exactly; of a call without an error type only what it has."""
    lane = RunLane(EARLY)
    records = log()
    for start in range(0, len(records), 700):
        lane.takes(records[start : start + 700])
        lane.stops_and_goes_on()
    first = errors(lane)[0]
    begin, end = (
        round((time - records[0].append_ms * 1000) / 1e5)
        for time in (first.window_start, first.window_end)
    )
    failed = [number for number in range(begin, end) if number >= 4000 and number % 3]
    failed = failed[: failed_calls.MAX_LOOKED]
    limited = [number for number in failed if number % 4]
    assert {(one.name, one.value): one.count for one in first.breakdown} == {
        ("error_type", "rate_limited"): len(limited),
        ("http_class", "4xx"): len(limited),
        ("http_class", "5xx"): len(failed) - len(limited),
        ("http_status", "429"): len(limited),
        ("http_status", "504"): len(failed) - len(limited),
        ("status", "error"): len(limited),
        ("status", "timeout"): len(failed) - len(limited),
    }
    assert first.sample_event_ids == tuple(f"e{number}" for number in failed[:5])
    assert first.sample_trace_ids == tuple(f"trace{number}" for number in failed[:5] if number % 2)


def test_nothing_is_kept_of_buckets_that_are_closed() -> None:
    """Nor of calls that did not fail."""
    lane = RunLane(EARLY)
    lane.takes(log(fault_from=1000.0, until=300.0))
    lane.flushes()
    assert not [key for key in lane.state.rows if key.startswith(failures.TABLE.encode())]
    lane.takes([good(10_000, 300, status=Status.ERROR), good(10_001, 320)])
    lane.flushes()
    assert not [key for key in lane.state.rows if key.startswith(failures.TABLE.encode())]


def test_when_everything_fails_in_different_ways_memory_is_bounded() -> None:
    """However many series, calls and error types there are; each anomaly has few entries."""
    lane = RunLane(EARLY)
    for turn in range(3):
        first = 10_000 * turn
        lane.takes(
            [
                good(
                    first + number,
                    turn,
                    model=f"m{number % 400}",
                    status=Status.ERROR,
                    error_type=f"type {number}" * 20,
                    http_status=number % 1000,
                )
                for number in range(8_000)
            ]
        )
    lane.flushes()
    rows = [
        value for key, value in lane.state.rows.items() if key.startswith(failures.TABLE.encode())
    ]
    assert 0 < sum(map(len, rows)) < 2_000_000
    assert lane.events == 24_000


def test_when_their_records_are_looked_at_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each at once, or those of a bucket together when somebody asks: the same state and the same
    anomalies.
    """
    records, lanes = log(), [RunLane(EARLY), RunLane(EARLY)]
    for lane, most in zip(lanes, (failed_calls._MAX_WAITING_BYTES, 0), strict=True):
        monkeypatch.setattr(failed_calls, "_MAX_WAITING_BYTES", most)
        for start in range(0, len(records), 35):
            lane.takes(records[start : start + 35])
            if start % 700 == 0:
                lane.flushes()
        lane.flushes()
    late, early = lanes
    assert late.anomalies == early.anomalies
    assert errors(late)
    assert late.state.rows == early.state.rows


def test_nobody_reads_failed_calls_of_a_bucket_that_is_closed_without_a_finding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A backlog's buckets mostly are, before their state is written."""
    read: list[int] = []
    monkeypatch.setattr(
        failed_calls.FailedCalls, "_sample", lambda self, rows, events: read.append(len(rows))
    )
    lane = RunLane(EARLY)
    lane.takes([good(number, number, status=Status.ERROR) for number in range(60)])
    assert not read
    lane.flushes()
    assert read == [10]
