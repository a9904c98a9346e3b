"""What a bucket of a series holds, from the records of its calls."""

import numpy as np
import pytest

from agents.detection.closing import Closing
from agents.detectors.contract import Closed, Kind
from schemas.records.telemetry import Status
from streams.state.logarithms import logarithms_of
from tests.detection.lanes import RunLane
from tests.harness.telemetry_log import Rec, good

pytestmark = pytest.mark.usefixtures("with_and_without_native_code")


def closed_of(monkeypatch: pytest.MonkeyPatch, records: list[Rec]) -> Closed:
    """The first closed bucket of series."""
    seen: list[Closed] = []
    judge = Closing._judge

    def watch(self: Closing, closed: Closed, *others: object) -> object:
        seen.append(closed)
        return judge(self, closed, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(Closing, "_judge", watch)
    RunLane().takes(records)
    return next(one for one in seen if one.kind is Kind.SERIES and one.numbers["requests"].any())


def logs(value: int) -> list[int]:
    """How one value is counted."""
    log = int(logarithms_of(np.array([value]))[0])
    return [1, log, log * log]


def test_failed_calls_are_in_no_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a call that succeeded and one that failed, the sizes are those of the first; sums and
    errors are of both.
    """
    sizes: dict[str, object] = {
        "latency_us": 900_000,
        "time_to_first_token_us": 100_000,
        "prompt_tokens": 60,
        "completion_tokens": 41,
        "cost_nano": 5_050,
    }
    failed = {**sizes, "latency_us": 60_000_000, "status": Status.ERROR}
    closed = closed_of(
        monkeypatch, [good(0, 0, **sizes), good(1, 1, **failed), good(2, 30, **sizes)]
    )
    numbers = {name: int(column[0]) for name, column in closed.numbers.items()}
    assert (numbers["requests"], numbers["errors"]) == (2, 1)
    assert numbers["latency_us"] == 60_900_000
    expected = {
        "success_latency_us": 900_000,
        "success_first_token_us": 100_000,
        "success_tokens": 101,
        "success_cost_nano": 5_050,
        # Nanoseconds a token after the first, and 1e-12 of a currency unit a token.
        "success_pace": 20_000_000,
        "success_price": 50_000,
    }
    for name, value in expected.items():
        assert [numbers[f"{name}.{part}"] for part in ("n", "log", "log2")] == logs(value), name


def test_what_a_call_does_not_say_is_not_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a first token there is no pace, without a cost no price."""
    plain = {"time_to_first_token_us": None, "cost_nano": 0}
    closed = closed_of(monkeypatch, [good(0, 0, **plain), good(1, 30, **plain)])
    for name in ("success_first_token_us", "success_pace", "success_cost_nano", "success_price"):
        assert not closed.numbers[f"{name}.n"].any(), name
    assert closed.numbers["success_latency_us.n"].sum() == 1
