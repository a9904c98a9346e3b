"""Each record of an incident is told once: not again when correlate writes it again, and not never
when somebody names a place beyond all.
"""

import struct
from dataclasses import replace

import pytest

from agents.alerting import correlate_lanes
from agents.alerting.correlate_lanes import CorrelateLanes
from agents.alerting.reasons import Reason
from agents.alerting.tracked_incident import TrackedIncident
from schemas.records.incidents import Incident, IncidentChange
from streams.state.chunks import seal
from tests.alerting.timeline import Desk, incident, micros, reasons

OPENED, ESCALATED, UPDATED, RESOLVED = (
    IncidentChange.OPENED,
    IncidentChange.ESCALATED,
    IncidentChange.UPDATED,
    IncidentChange.RESOLVED,
)
FAR = 2**63 - 1
DAY_US = 86_400_000_000


def forge(desk: Desk, offset: int = FAR, name: str = "evil") -> None:
    """Somebody writes an incident of the lane that all others here come from."""
    forged = replace(incident(name, OPENED, desk.now, tenant="evil"), offset=offset)
    desk.core.on_incident(forged, offset=desk.offset, now=micros(desk.now))


def again(desk: Desk, offset: int, record: Incident) -> list[Reason]:
    """What is decided when correlate writes a record of this place again."""
    return reasons(
        desk.core.on_incident(replace(record, offset=offset), offset=999, now=micros(desk.now))
    )


@pytest.mark.parametrize("restarts", [False, True])
def test_a_place_beyond_all_blinds_nobody(restarts: bool) -> None:
    """Of any tenant; and what correlate writes again after a kill is still told once."""
    desk = Desk()
    a, b, over = incident("a", OPENED, 0), incident("b", OPENED, 1), incident("a", RESOLVED, 2)
    assert Reason.OPENED in reasons(desk.at(0, a))
    forge(desk)
    if restarts:
        desk.flush()
        desk.restart()
    assert Reason.OPENED in reasons(desk.at(1, b))
    assert desk.core.taken_back == 1
    assert again(desk, 0, a) == again(desk, 1, b) == [Reason.DUPLICATE]
    assert Reason.DUPLICATE not in reasons(desk.at(2, over))
    if restarts:
        desk.flush()
        desk.restart()
    for offset, record in ((0, a), (1, b), (2, over)):
        assert again(desk, offset, record) == [Reason.DUPLICATE]
    assert Reason.OPENED in reasons(desk.at(3, incident("c", OPENED, 3)))


def test_any_number_of_forged_places_blinds_nobody() -> None:
    """Neither many beyond all, nor such as are before what came already."""
    desk = Desk()
    for number in range(200):
        assert Reason.DUPLICATE not in reasons(
            desk.at(number, incident(f"a{number}", OPENED, number))
        )
        forge(desk, FAR - 1000 + number, f"evil{number}")
        forge(desk, 0, f"before{number}")
    for number in range(200):
        assert again(desk, number, incident(f"a{number}", OPENED, number)) == [Reason.DUPLICATE]


def test_what_is_old_came_before() -> None:
    """A lane of correlate that begins anew writes all that it ever wrote: what ended long ago is
    not remembered.
    """
    lanes = CorrelateLanes(DAY_US)
    first = replace(incident("a", RESOLVED, 0), offset=5)
    later = replace(incident("b", RESOLVED, 0), offset=6, updated_at=micros(0) + 3 * DAY_US)
    assert lanes.is_new(first, None, micros(0))
    assert b"ended/a" in dict(lanes.changes())
    assert lanes.is_new(later, None, micros(0) + 3 * DAY_US)
    rows = dict(lanes.changes())
    assert rows[b"ended/a"] is None
    assert rows[b"ended/b"] is not None
    assert not lanes.is_new(first, None, micros(0) + 3 * DAY_US)
    assert not lanes.is_new(later, None, micros(0) + 3 * DAY_US)
    assert lanes.changes() == []


def test_ends_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a restored lane forgets the same ones."""
    monkeypatch.setattr(correlate_lanes, "_MAX_ENDED", 5)
    kept: list[dict[bytes, bytes]] = []
    for restarts in (False, True):
        lanes, rows = CorrelateLanes(DAY_US), dict[bytes, bytes | None]()
        for number in range(40):
            # Three at a time, and a clock that goes back once.
            now = micros(number // 3 if number != 20 else 0)
            assert lanes.is_new(
                replace(incident(f"{97 * number % 40}", RESOLVED, 0), offset=number), None, now
            )
            if restarts:
                rows |= lanes.changes()
                lanes = CorrelateLanes(DAY_US)
                lanes.restore([(key, value) for key, value in rows.items() if value is not None])
        rows |= lanes.changes()
        kept.append({key: value for key, value in rows.items() if value is not None})
    assert kept[0] == kept[1]
    assert len(kept[0]) <= 5 + 1


def test_a_later_revision_is_new_wherever_it_says_that_it_stands() -> None:
    """The end of an incident that is open is told though its lane is not believed, at any age."""
    lanes = CorrelateLanes(DAY_US)
    opened, over = incident("a", OPENED, 0), incident("a", RESOLVED, 1)
    assert lanes.is_new(replace(opened, offset=FAR), None, micros(0))
    assert not lanes.is_new(replace(opened, offset=7), TrackedIncident(opened), micros(0))
    assert lanes.is_new(replace(over, offset=8), TrackedIncident(opened), micros(0) + 9 * DAY_US)


def test_rows_of_the_release_before_are_read() -> None:
    """They have the highest place alone, which may be one beyond all."""
    for highest, goes_on in ((4, True), (FAR, True)):
        lanes = CorrelateLanes(DAY_US)
        lanes.restore([(b"source/7", seal(1, struct.pack("<qq", highest, 0)))])
        opened = incident("a", OPENED, 0)
        assert lanes.is_new(replace(opened, offset=5), None, micros(0)) is goes_on
        assert not lanes.is_new(replace(opened, offset=5), TrackedIncident(opened), micros(0))
        old = replace(incident("b", OPENED, -9 * 86_400), offset=3)
        assert not lanes.is_new(old, None, micros(0))
