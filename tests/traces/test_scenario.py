"""The demo hour: the same for the same seed, valid, dense enough, faulty only where labelled."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from itertools import pairwise
from statistics import mean, median

import pytest

from schemas.avro import packaged
from schemas.records.telemetry import Status, TelemetryEvent
from schemas.telemetry.columns import Decoder
from topology.demo.scoring import family
from topology.demo.traces.applications import SERIES, user_id
from topology.demo.traces.faults import FAULTS, Fault, FaultKind, labels
from topology.demo.traces.scenario import DURATION_S, events

START = 1_790_000_000_000_000
BY_KIND = {fault.kind: fault for fault in FAULTS}


@pytest.fixture(scope="module")
def hour() -> list[TelemetryEvent]:
    """The demo hour with its faults."""
    return events(7, START)


@pytest.fixture(scope="module")
def clean() -> list[TelemetryEvent]:
    """The same hour without faults."""
    return events(7, START, ())


def _digest(hour: Iterable[TelemetryEvent]) -> str:
    return sha256(b"".join(event.to_bytes() for event in hour)).hexdigest()


def _of(
    hour: Sequence[TelemetryEvent], fault: Fault, start_s: float, end_s: float
) -> list[TelemetryEvent]:
    """The fault's subject's events in a part of the hour."""
    return [
        event
        for event in hour
        if event.application == fault.application
        and fault.model in (None, event.model)
        and start_s <= (event.event_time - START) / 1e6 < end_s
    ]


def _times(
    hour: Sequence[TelemetryEvent],
    kind: FaultKind,
    of: Callable[[Sequence[TelemetryEvent], float], float],
    skip: int = 0,
) -> float:
    """How many times as large a number is in a fault as in the seven minutes before it. `skip`:
    seconds from its start that are left out, since calls that began before it still end then.
    """
    fault = BY_KIND[kind]
    before = of(_of(hour, fault, fault.start_s - 420, fault.start_s), 420)
    inside = of(
        _of(hour, fault, fault.start_s + skip, fault.end_s), fault.end_s - fault.start_s - skip
    )
    return inside / before


def test_the_same_seed_gives_the_same_bytes(hour: list[TelemetryEvent]) -> None:
    """Twice in one process, and with another seed something else."""
    assert _digest(events(7, START)) == _digest(hour)
    assert _digest(events(8, START)) != _digest(hour)


def test_another_start_shifts_event_times_and_nothing_else(hour: list[TelemetryEvent]) -> None:
    """What a demo at noon finds, one at midnight finds."""
    later = events(7, START + 5_000_000)
    assert [event.event_time - 5_000_000 for event in later] == [event.event_time for event in hour]
    assert [event.event_id for event in later] == [event.event_id for event in hour]


def test_every_event_decodes_and_makes_sense(hour: list[TelemetryEvent]) -> None:
    """None of the demo's own records may end in dead-letters."""
    writer = packaged.newest("TelemetryEvent")
    decoded = Decoder({writer: packaged.schema_json(writer)}).decode(
        [event.to_bytes() for event in hour], ["event_id"]
    )
    assert decoded.bad == []
    assert decoded.frame["event_id"].n_unique() == len(hour)


def test_events_come_in_order_of_their_time(hour: list[TelemetryEvent]) -> None:
    """The order in which calls end is the order in which they are told; the last ends within a
    minute of the hour.
    """
    assert all(a.event_time <= b.event_time for a, b in pairwise(hour))
    assert hour[0].event_time >= START
    assert hour[-1].event_time <= START + (DURATION_S + 60) * 1_000_000


def test_each_series_is_dense_enough_for_buckets_of_ten_seconds(
    clean: list[TelemetryEvent],
) -> None:
    """At least six requests in ten seconds on average, eight a second in all."""
    counts = Counter((event.application, event.model) for event in clean)
    assert set(counts) == {(series.application, series.model.name) for series in SERIES}
    assert min(counts.values()) / DURATION_S * 10 > 6
    assert 7.5 < len(clean) / DURATION_S < 8.5


def test_a_fault_changes_only_what_it_touches(
    hour: list[TelemetryEvent], clean: list[TelemetryEvent]
) -> None:
    """Whatever began outside its window, or is not its application's, is the same to the byte as
    without it.
    """
    spans = {
        fault.application: [
            (f.start_s, f.end_s + 2) for f in FAULTS if f.application == fault.application
        ]
        for fault in FAULTS
    }

    def untouched(event: TelemetryEvent) -> bool:
        began = (event.event_time - event.latency_us - START) / 1e6
        return not any(start <= began < end for start, end in spans.get(event.application, ()))

    kept = {event.event_id: event for event in clean if untouched(event)}
    assert len(kept) > 20_000
    faulty = {event.event_id: event for event in hour}
    assert all(faulty[event_id] == event for event_id, event in kept.items())


def test_nothing_in_an_event_tells_that_it_is_faulty(hour: list[TelemetryEvent]) -> None:
    """Detectors see numbers only: no fault's name or kind stands in any event."""
    text = b"".join(event.to_bytes() for event in hour).lower()
    for fault in FAULTS:
        assert fault.name.encode() not in text
        assert fault.kind.value.encode() not in text


def test_faults_leave_time_to_learn_and_to_be_quiet() -> None:
    """Twelve minutes clean at the start, five between two of one application, and every fault ends
    in the hour.
    """
    assert {fault.kind for fault in FAULTS} == set(FaultKind)
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    for fault in FAULTS:
        assert 720 <= fault.start_s < fault.end_s <= DURATION_S - 300
        same = [
            other
            for other in FAULTS
            if other.application == fault.application and other.start_s > fault.start_s
        ]
        assert all(other.start_s >= fault.end_s + 300 for other in same)


def test_labels_are_the_faults_in_event_time() -> None:
    """Microseconds from the given start, with the subject that each names."""
    made = labels(START)
    assert [label.name for label in made] == [fault.name for fault in FAULTS]
    assert made[0].start == START + FAULTS[0].start_s * 1_000_000
    assert made[0].end == START + FAULTS[0].end_s * 1_000_000
    assert (made[0].application, made[0].model) == ("chat-assistant", "heron-large")


def test_the_latency_step_triples_latency(
    hour: list[TelemetryEvent], clean: list[TelemetryEvent]
) -> None:
    """Beside the same hour without it: callers ask for other things at other times, also on a good
    day.
    """
    fault = BY_KIND[FaultKind.LATENCY_STEP]
    slow, usual = (
        median(event.latency_us for event in _of(which, fault, fault.start_s + 60, fault.end_s))
        for which in (hour, clean)
    )
    assert 2.4 < slow / usual < 3.6


def test_the_drift_doubles_time_to_first_token_slowly(hour: list[TelemetryEvent]) -> None:
    """Little in its first minute, nearly everything in its last."""
    fault = BY_KIND[FaultKind.FIRST_TOKEN_DRIFT]

    def first_token(start_s: int, end_s: int) -> float:
        return median(
            e.time_to_first_token_us or 0
            for e in _of(hour, fault, start_s, end_s)
            if e.time_to_first_token_us
        )

    before = first_token(fault.start_s - 420, fault.start_s)
    assert first_token(fault.start_s, fault.start_s + 60) < 1.25 * before
    assert 1.7 * before < first_token(fault.end_s - 60, fault.end_s) < 2.3 * before
    assert first_token(fault.end_s + 10, fault.end_s + 130) < 1.25 * before


def test_the_error_burst_fails_a_third_of_calls(hour: list[TelemetryEvent]) -> None:
    """And before it one in two hundred."""
    fault = BY_KIND[FaultKind.ERROR_BURST]
    before, inside = (
        mean(event.status is Status.ERROR for event in _of(hour, fault, start, end))
        for start, end in ((0, fault.start_s), (fault.start_s, fault.end_s))
    )
    assert before < 0.015
    assert 0.25 < inside < 0.45


def test_one_user_attacks_with_large_prompts(hour: list[TelemetryEvent]) -> None:
    """The user is one of the known ones, asks for ordinary things before, and for twelve thousand
    tokens at a time then.
    """
    fault = BY_KIND[FaultKind.PROMPT_ATTACK]
    assert fault.user == user_id(fault.application, 6)
    before = [e for e in _of(hour, fault, 0, fault.start_s) if e.user == fault.user]
    inside = [e for e in _of(hour, fault, fault.start_s, fault.end_s) if e.user == fault.user]
    assert len(before) >= 10
    assert max(event.prompt_tokens for event in before) < 8_000
    assert 95 <= sum(event.prompt_tokens >= 12_000 for event in inside) <= 105
    assert (
        _times(
            hour, FaultKind.PROMPT_ATTACK, lambda part, s: sum(e.prompt_tokens for e in part) / s
        )
        > 3
    )


def test_costs_run_away_by_longer_answers(
    hour: list[TelemetryEvent], clean: list[TelemetryEvent]
) -> None:
    """More than twice the cost of a call, for the same prompts."""
    fault = BY_KIND[FaultKind.COST_RUNAWAY]
    dear, usual = (
        mean(event.cost_nano for event in _of(which, fault, fault.start_s + 60, fault.end_s))
        for which in (hour, clean)
    )
    assert 2 < dear / usual < 4


def test_the_silent_model_says_nothing_while_its_application_goes_on(
    hour: list[TelemetryEvent],
) -> None:
    """Once the calls that were under way have ended."""
    fault = BY_KIND[FaultKind.SILENCE]
    inside = range(fault.start_s + 20, fault.end_s)
    told = [
        e.model
        for e in hour
        if e.application == fault.application and (e.event_time - START) // 1_000_000 in inside
    ]
    assert len(told) > 50
    assert fault.model not in told
    assert len(_of(hour, fault, fault.end_s, fault.end_s + 60)) > 30


def test_the_retry_storm_doubles_requests_and_fails_most(hour: list[TelemetryEvent]) -> None:
    """Each retry counts the tries before it, and at last a call gets through."""
    fault = BY_KIND[FaultKind.RETRY_STORM]
    inside = _of(hour, fault, fault.start_s, fault.end_s)
    assert _times(hour, FaultKind.RETRY_STORM, lambda part, seconds: len(part) / seconds) > 1.6
    assert {event.retries for event in inside} == {0, 1, 2, 3, 4}
    assert 0.4 < mean(event.http_status == 429 for event in inside) < 0.7
    assert any(event.retries == 4 and event.status is Status.SUCCESS for event in inside)
    assert not any(event.retries for event in _of(hour, fault, 0, fault.start_s))


def test_faults_show_in_metrics_that_detectors_have() -> None:
    """Each label can be found by one of the metrics that are judged at close, or by a user's."""
    judged = {
        family(m)
        for m in (
            "latency",
            "time_to_first_token",
            "tokens",
            "cost",
            "error_rate",
            "request_rate",
            "retries",
        )
    }
    for fault in FAULTS:
        assert fault.shows & judged
        assert not fault.shows & fault.knock_on
