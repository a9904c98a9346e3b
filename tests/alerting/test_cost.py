"""What is asked all the time costs what changed, not what there is."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.alerting.alerter import Alerter
from agents.alerting.schedule import Schedule
from agents.alerting.settings import AlertSettings, ReceiverSettings
from agents.alerting.thread import Thread
from schemas.errors import BadRecord
from schemas.records.incidents import IncidentChange
from schemas.secrets import Secret
from streams.control.command_log import CommandLog, command_record
from tests.alerting.timeline import PAGER, Desk, deliveries, incident, micros, silence

FEW, MANY = 20, 20_000


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.none() | st.integers(0, 9)), max_size=60),
    st.integers(0, 9),
)
def test_a_schedule_is_its_newest_times(puts: list[tuple[str, int | None]], now: int) -> None:
    """Whatever was put before; what is due is taken once."""
    schedule: Schedule[str] = Schedule()
    times: dict[str, int] = {}
    for key, at in puts:
        schedule.put(key, at)
        times.pop(key, None)
        if at is not None:
            times[key] = at
        assert schedule.next() == min(times.values(), default=None)
    due = sorted(key for key, at in times.items() if at <= now)
    assert schedule.pop_due(now) == due
    assert schedule.pop_due(now) == []
    assert schedule.next() == min((at for at in times.values() if at > now), default=None)


def _fastest_s(work: Callable[[], object]) -> float:
    """Of many runs: what other programs take of the machine does not count."""
    times = []
    for _ in range(200):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def _busy(incidents: int) -> Desk:
    """A lane with this number of open incidents, all notified, a silence for each, and repeats to
    come.
    """
    desk = Desk(
        AlertSettings(
            receivers=(
                replace(PAGER, pages_per_hour=None),
                ReceiverSettings(name="chat", pages_per_hour=None),
            ),
            repeat_interval_s=3600,
            max_waiting=10**6,
        )
    )
    for number in range(incidents):
        made = deliveries(desk.at(0, incident(f"i{number}", IncidentChange.OPENED, 0)))
        for delivery in made:
            desk.delivered(delivery)
        desk.ask(0, silence(f"s{number}", "application=other", ends=9000, tenant=f"t{number}"))
    return desk


def test_to_ask_for_the_next_wake_costs_the_same_with_many_conversations() -> None:
    """It is asked many times a second for each lane."""
    few, many = _busy(FEW), _busy(2_000)
    assert few.core.next_wake() == many.core.next_wake() == micros(3600)
    assert _fastest_s(many.core.next_wake) < 5 * _fastest_s(few.core.next_wake) + 5e-6
    for desk in (few, many):
        desk.core.on_wake(micros(1))
    assert (
        _fastest_s(lambda: many.core.on_wake(micros(1)))
        < 5 * _fastest_s(lambda: few.core.on_wake(micros(1))) + 5e-5
    )


def test_repeats_come_when_they_are_due_after_a_restart_too() -> None:
    """The times are found again from the state."""
    desk = _busy(3)
    desk.flush()
    desk.restart()
    assert desk.core.next_wake() == micros(3600)
    assert len(deliveries(desk.pass_to(3600))) == 6
    assert isinstance(desk.core, Alerter)


def test_a_flush_encodes_no_thread_that_a_record_only_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Most records of an open incident send nothing; their incident is stored, its threads are not
    looked at again.
    """
    desk = _busy(FEW)
    desk.flush()
    encoded: list[Thread] = []
    row = Thread.row
    counted = replace(
        desk.core._state.threads._codec, to_bytes=lambda one: encoded.append(one) or row(one)
    )
    monkeypatch.setattr(desk.core._state.threads, "_codec", counted)
    desk.at(1, *(incident(f"i{number}", IncidentChange.UPDATED, 1) for number in range(FEW)))
    desk.flush()
    assert encoded == []
    assert len(desk.at(2, incident("i0", IncidentChange.ESCALATED, 2))) == 2
    desk.flush()
    assert len(encoded) == 2


@dataclass
class _Record:
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    fault: BadRecord | None = None
    marks: tuple[tuple[str, bytes], ...] = ()


def test_a_lane_that_has_obeyed_every_command_asks_for_nothing() -> None:
    """Twenty thousand that are kept cost no more than twenty; what is new is found from any offset,
    and the newest are kept.
    """
    logs = []
    for count in (FEW, MANY):
        log = CommandLog({}, "commands", Secret("k"))
        record = command_record("commands", silence("s", ends=9), Secret("k"))
        for number in range(count):
            log._on_record(0, _Record(2 * number, record.key, record.value, record.headers))
        logs.append(log)
    few, many = logs
    assert (
        _fastest_s(lambda: list(many.since(0, 2 * MANY)))
        < 10 * _fastest_s(lambda: list(few.since(0, 2 * FEW))) + 1e-5
    )
    assert [one.offset for one in many.since(0, 2 * MANY - 5)] == [2 * MANY - 4, 2 * MANY - 2]
    assert [one.offset for one in few.since(0, 0)] == list(range(0, 2 * FEW, 2))
    assert list(few.since(1, 0)) == []
