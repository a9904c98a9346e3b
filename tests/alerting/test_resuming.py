"""Alert may be stopped anywhere: what was decided is sent, nothing is decided twice, and no end
comes before its beginning.
"""

import json
from collections.abc import Set
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.alerting.messages import Delivery
from agents.alerting.reasons import Reason
from agents.alerting.settings import AlertSettings, ReceiverSettings
from schemas.messages.message import parse
from schemas.records.anomalies import Severity
from schemas.records.control import Command
from schemas.records.incidents import Incident, IncidentChange
from streams.state.chunks import NewerState
from tests.alerting.timeline import (
    PAGER,
    Desk,
    acknowledge,
    deliveries,
    expire,
    incident,
    micros,
    reasons,
    silence,
)
from tests.harness.examples import examples

BUSY = AlertSettings(
    receivers=(
        PAGER,
        ReceiverSettings(name="boss", min_severity=Severity.HIGH, send_extended=True),
        ReceiverSettings(name="shy", send_resolved=False, pages_per_hour=5),
    ),
    repeat_interval_s=50,
    alert_max_age_s=60,
    summary_wait_s=5,
    summary_max_wait_s=20,
    summary_listed=2,
    max_waiting=4,
)
NONE: Set[int] = frozenset()


@dataclass(frozen=True)
class Arrives:
    """A record comes after `wait` seconds."""

    wait: float
    record: Incident


@dataclass(frozen=True)
class Ends:
    """The `which`-th of the pending deliveries ends after `wait` seconds."""

    wait: float
    which: int
    well: bool


@dataclass(frozen=True)
class Asks:
    """A person asks for something after `wait` seconds."""

    wait: float
    command: Command


Happening = Arrives | Ends | Asks


@st.composite
def commands(draw: st.DrawFn, second: float, name: str, serial: int) -> Command:
    """Silences of all or of some, some of them short; ends of them; acknowledgements."""
    if draw(st.booleans()):
        return acknowledge(name)
    if draw(st.booleans()):
        return expire(f"s{draw(st.integers(0, serial))}", at=second)
    matchers = draw(
        st.sampled_from(((), (f"incident={name}",), ("severity<=medium",), ("model=a",)))
    )
    return silence(
        f"s{serial}", *matchers, ends=second + draw(st.sampled_from((1, 20, 90))), at=second
    )


@st.composite
def timelines(draw: st.DrawFn) -> list[Happening]:
    """Histories of a few incidents as correlate writes them, mingled with the fates of
    deliveries.
    """
    known: dict[
        str, tuple[str, int, int]
    ] = {}  # in each of four places: name, revision and severity of its incident
    second, made = 0.0, list[Happening]()
    for serial in range(draw(st.integers(1, 50))):
        wait = draw(st.sampled_from((0, 0.5, 4, 30)))
        second += wait
        if draw(st.booleans()):
            made.append(Ends(wait, draw(st.integers(0, 5)), draw(st.booleans())))
            continue
        place = draw(st.sampled_from("abcd"))
        if draw(st.integers(0, 3)) == 0:
            made.append(
                Asks(wait, draw(commands(second, known.get(place, ("none", 0, 0))[0], serial)))
            )
            continue
        is_new = place not in known
        name, revision, rank = known.get(place, (f"i{serial}", 0, draw(st.integers(0, 4))))
        change = (
            IncidentChange.OPENED if is_new else draw(st.sampled_from(list(IncidentChange)[1:]))
        )
        if change is IncidentChange.ESCALATED and rank == 4:
            change = IncidentChange.UPDATED
        rank += change is IncidentChange.ESCALATED
        known[place] = (name, revision + 1, rank)
        if change is IncidentChange.RESOLVED:
            del known[place]
        age = draw(st.sampled_from((0, 0, 0, 100)))
        severity = list(Severity)[rank]
        record = incident(name, change, second - age, revision=revision + 1, severity=severity)
        made.append(Arrives(wait, replace(record, models=tuple("abcdefgh"[: (revision + 2) // 2]))))
    return made


def played(timeline: list[Happening], flushes: Set[int] = NONE, restarts: Set[int] = NONE) -> Desk:
    """The desk after the timeline; flushed before some happenings, and before others by a process
    that then dies.
    """
    desk = Desk(BUSY)
    for place, happening in enumerate(timeline):
        if place in flushes or place in restarts:
            desk.flush()
        if place in restarts:
            desk.restart()
        second = desk.now + happening.wait
        if isinstance(happening, Arrives):
            desk.at(second, happening.record)
            continue
        if isinstance(happening, Asks):
            desk.ask(second, happening.command)
            continue
        desk.pass_to(second)
        if pending := desk.core.pending():
            delivery = pending[happening.which % len(pending)]
            _ = desk.delivered(delivery) if happening.well else desk.failed(delivery)
    desk.flush()
    return desk


@settings(max_examples=examples(200), deadline=None)
@given(timelines(), st.sets(st.integers(0, 49)), st.sets(st.integers(0, 49)))
def test_stopping_anywhere_gives_the_same_decisions_and_rows(
    timeline: list[Happening], flushes: Set[int], restarts: Set[int]
) -> None:
    """Records, messages, pending deliveries and rows, to the byte."""
    whole, cut = played(timeline), played(timeline, flushes, restarts)
    assert cut.decided == whole.decided
    assert cut.rows == whole.rows
    assert cut.core.pending() == whole.core.pending()
    assert cut.core.next_wake() == whole.core.next_wake()


@settings(deadline=None)
@given(timelines())
def test_records_that_come_twice_decide_nothing(timeline: list[Happening]) -> None:
    """The whole lane written again: nothing but DUPLICATE, and no row changes."""
    desk = played(timeline)
    for offset, happening in enumerate(h for h in timeline if isinstance(h, Arrives)):
        again = replace(happening.record, offset=offset, ordinal=0)
        assert reasons(desk.core.on_incident(again, offset=999, now=micros(desk.now))) == [
            Reason.DUPLICATE
        ]
    assert desk.core.changed() == []


@settings(deadline=None)
@given(timelines())
def test_resolved_never_comes_before_opened(timeline: list[Happening]) -> None:
    """An end is begun only after a delivered message, or summary, that told the receiver of the
    incident; and never two at once.
    """
    desk = played(timeline)
    told: set[tuple[str, str]] = set()
    under_way: dict[str, Delivery] = {}
    for _, decision in desk.decided:
        if (delivery := decision.delivery) is not None:
            about = (delivery.receiver, delivery.incident_id)
            if delivery.reason is not Reason.SUMMARY:
                others = [d for d in under_way.values() if d.reason is not Reason.SUMMARY]
                assert about not in {(d.receiver, d.incident_id) for d in others}
            if delivery.reason in (Reason.RESOLVED, Reason.ACKNOWLEDGED):
                assert about in told
            under_way[delivery.notification_id] = delivery
        elif decision.notification is not None and decision.notification.outcome in (
            "delivered",
            "failed",
        ):
            ended = under_way.pop(decision.notification.id)
            if decision.notification.outcome == "delivered":
                told |= _told_by(ended)


def _told_by(delivery: Delivery) -> set[tuple[str, str]]:
    data = orjson.loads(delivery.body)["data"]
    if "incident" in data:
        return {(delivery.receiver, data["incident"]["id"])}
    return {(delivery.receiver, item["id"]) for item in data["incidents"]}


@settings(deadline=None)
@given(timelines())
def test_ids_of_messages_are_made_once_and_stay(timeline: list[Happening]) -> None:
    """No id is begun twice, and every outcome is of an id that was begun."""
    desk = played(timeline)
    begun = [d.delivery.notification_id for _, d in desk.decided if d.delivery is not None]
    assert len(begun) == len(set(begun))
    ended = [n.id for n in desk.notifications if n.outcome in ("delivered", "failed")]
    assert set(ended) <= set(begun)
    assert len(ended) == len(set(ended))
    assert sorted(set(begun) - set(ended)) == sorted(d.notification_id for d in desk.core.pending())


@settings(deadline=None)
@given(timelines())
def test_everything_ends_when_receivers_answer(timeline: list[Happening]) -> None:
    """When all deliveries get an outcome and time passes, nothing is pending and only open
    incidents are remembered.
    """
    desk = played(timeline)
    desk.flush()
    desk.restart(
        replace(BUSY, repeat_interval_s=None)
    )  # what is open is repeated as long as it is open
    for _ in range(500):
        desk.pass_to(desk.now + 30)
        for delivery in desk.core.pending():
            desk.delivered(delivery)
        if not desk.core.pending() and desk.core.next_wake() is None:
            break
    assert desk.core.pending() == []
    desk.flush()
    last = {h.record.id: h.record.change for h in timeline if isinstance(h, Arrives)}
    remembered = {key.split(b"/")[1].decode() for key in desk.rows if key.startswith(b"told/")}
    assert all(last[name] is not IncidentChange.RESOLVED for name in remembered)
    assert not [key for key in desk.rows if key.startswith(b"summary/")]


def test_message_that_was_decided_is_sent_again_under_its_id_after_a_kill() -> None:
    """Its deadline counts on; its fate is not known, so the receiver may see it twice, and knows it
    by its id.
    """
    desk = Desk()
    [opened] = deliveries(desk.at(0, incident("i1", IncidentChange.OPENED, 0)))
    desk.flush()
    desk.now = 100
    desk.restart()
    assert desk.core.pending() == [opened]
    desk.delivered(opened)
    assert desk.delivered(opened) == [], "the second answer changes nothing"


def test_newer_state_is_refused() -> None:
    """A row of each kind that a newer program wrote ends the process, and so does a row of an
    unknown kind.
    """
    desk = Desk()
    desk.at(
        3600, incident("i1", IncidentChange.OPENED, 0), incident("i2", IncidentChange.OPENED, 3600)
    )
    desk.flush()
    assert {key.split(b"/")[0] for key in desk.rows} == {
        b"ledger",
        b"source",
        b"told",
        b"summary",
        b"open",
        b"paged",
    }
    for key, value in desk.rows.items():
        with pytest.raises(NewerState):
            Desk().core.restore({key: b"\xff\xff\xff\xff" + value[4:]})
    with pytest.raises(NewerState):
        Desk().core.restore({b"future/1": b""})


@settings(deadline=None)
@given(timelines())
def test_what_a_silence_held_back_is_told_if_it_is_still_open(timeline: list[Happening]) -> None:
    """A long time after all silences, nothing is held back any more: it was told, listed,
    acknowledged, or is over.
    """
    desk = played(timeline)
    desk.pass_to(desk.now + 100)
    desk.flush()
    held = [
        key
        for key, value in desk.rows.items()
        if key.startswith(b"told/") and b'"held":""' not in value
    ]
    assert held == []


def test_state_of_an_earlier_release_goes_on() -> None:
    """Its messages that were under way are begun again, as they were written, and every one is a
    message.
    """
    kept = json.loads((Path(__file__).parent / "golden" / "state-0.1.0.json").read_text())
    both = AlertSettings(
        receivers=(
            ReceiverSettings(name="pager"),
            ReceiverSettings(name="chat", send_extended=True),
        )
    )
    desk = Desk(both)
    desk.rows = {bytes.fromhex(key): bytes.fromhex(value) for key, value in kept.items()}
    desk.restart()
    desk.now = 2020.0
    pending = desk.core.pending()
    assert [delivery.reason for delivery in pending] == [
        *[Reason.OPENED] * 4,
        *[Reason.SUMMARY] * 2,
    ]
    for delivery in pending:
        parse(delivery.body)
        desk.delivered(delivery)
    assert {delivery.reason for delivery in desk.core.pending()} >= {Reason.ESCALATED}
    desk.commands = 2
    assert reasons(desk.ask(2021, expire("s1"))) == [Reason.COMMANDED]
