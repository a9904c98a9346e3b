"""A lane may be stopped anywhere and gone on with; what came before comes to nothing."""

from collections.abc import Set

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.correlation.open_incident import OpenIncident
from agents.correlation.settings import CorrelationSettings
from schemas.ids import record_id
from schemas.records.anomalies import Anomaly, Severity, SignalStatus
from schemas.records.incidents import IncidentChange, IncidentState
from streams.state.chunks import NewerState
from tests.correlation.timeline import (
    Lane,
    Record,
    anomaly,
    arrives,
    becomes,
    closes,
    ends,
    tick,
    watermark,
)
from tests.harness.examples import examples

BUSY = CorrelationSettings(
    quiet_s=30,
    update_every_s=10,
    silence_s=20,
    active_lane_s=15,
    max_open=3,
    max_listed=2,
    max_signals=2,
    give_up_s=300,
)

NONE: Set[int] = frozenset()


@st.composite
def timelines(draw: st.DrawFn) -> list[tuple[float, Record]]:
    """Records of three source lanes, whose offsets rise as detect writes them, and ticks."""
    append, offsets, made = 0.0, [0, 0, 0], list[tuple[float, Record]]()
    last: Anomaly | None = None
    for _ in range(draw(st.integers(1, 60))):
        append += draw(st.sampled_from((0, 0.5, 3, 12, 40, 200)))
        lane = draw(st.integers(0, 2))
        kind = draw(st.sampled_from("aaaccwwtp"))
        offsets[lane] += 1
        behind = draw(st.sampled_from((0, 2, 25, 200)))
        if kind == "a":
            found = anomaly(
                append - behind,
                source=(lane, offsets[lane], 0),
                application=draw(st.sampled_from("abcde")),
                tenant=draw(st.sampled_from(("acme", "other"))),
                metric=draw(st.sampled_from(("latency", "cost", "tokens"))),
                severity=draw(st.sampled_from(list(Severity))),
                score=draw(st.floats(0, 10)),
                first=draw(st.booleans()),
            )
            made.append((append, arrives(found)))
            last = found
        elif kind == "c" and last is not None:
            status = draw(st.sampled_from(SignalStatus))
            made.append(
                (
                    append,
                    becomes(status, append - behind, last, source=(last.lane, offsets[lane], 1)),
                )
            )
        elif kind == "p" and last is not None:
            name = record_id(last.tenant, last.application, last.id)
            made.append((append, closes("ann", name, tenant=last.tenant)))
        elif kind == "w":
            made.append(
                (append, watermark(append - behind, lane=lane, source_offset=offsets[lane]))
            )
        else:
            made.append((append, tick()))
    return made


def played(
    timeline: list[tuple[float, Record]], flushes: Set[int] = NONE, restarts: Set[int] = NONE
) -> Lane:
    """The lane after the timeline; flushed before some of its records, and before others by a
    process that then dies.
    """
    lane = Lane(BUSY)
    for place, (append, record) in enumerate(timeline):
        if place in flushes or place in restarts:
            lane.flush()
        if place in restarts:
            lane.restart()
        lane.at(append, record)
    lane.flush()
    return lane


@settings(max_examples=examples(200), deadline=None)
@given(timelines(), st.sets(st.integers(0, 59)), st.sets(st.integers(0, 59)))
def test_stopping_anywhere_gives_the_same_incidents_and_rows(
    timeline: list[tuple[float, Record]], flushes: set[int], restarts: set[int]
) -> None:
    """Wherever the batches were cut and the worker died, to the byte."""
    whole, cut = played(timeline), played(timeline, flushes, restarts)
    assert [incident.to_bytes() for incident in cut.told] == [
        incident.to_bytes() for incident in whole.told
    ]
    assert cut.rows == whole.rows


@settings(deadline=None)
@given(timelines())
def test_records_that_come_twice_make_nothing_new(timeline: list[tuple[float, Record]]) -> None:
    """Detect writes some of its records again after a fault: the same incidents come out, told
    once.
    """
    once, twice = Lane(BUSY), Lane(BUSY)
    for append, record in timeline:
        first = once.at(append, record)
        again = [*twice.at(append, record), *twice.at(append, record)]
        assert [i.id + i.change for i in again] == [i.id + i.change for i in first]


@settings(deadline=None)
@given(timelines())
def test_a_whole_lane_written_again_is_skipped(timeline: list[tuple[float, Record]]) -> None:
    """After the last record, all of them again: nothing is opened, joined or raised."""
    lane = played(timeline)
    before = len(lane.told)
    append = timeline[-1][0]
    for _, record in timeline:
        lane.at(append, record)
    assert all(incident.change is not IncidentChange.OPENED for incident in lane.told[before:])
    assert all(incident.change is not IncidentChange.ESCALATED for incident in lane.told[before:])


@settings(deadline=None)
@given(timelines())
def test_history_of_an_incident_is_whole(timeline: list[tuple[float, Record]]) -> None:
    """Opened first, resolved last and once, revisions without a gap, places in the lane rising,
    severity never falling.
    """
    told = played(timeline).told
    places = [(incident.offset, incident.ordinal) for incident in told]
    assert places == sorted(set(places))
    ranks = list(Severity)
    for name in {incident.id for incident in told}:
        history = [incident for incident in told if incident.id == name]
        assert [incident.revision for incident in history] == list(range(1, len(history) + 1))
        assert [i.change is IncidentChange.OPENED for i in history] == [True] + [False] * (
            len(history) - 1
        )
        assert all(incident.state is IncidentState.OPEN for incident in history[:-1])
        severities = [ranks.index(incident.severity) for incident in history]
        assert severities == sorted(severities)


def test_update_that_time_alone_made_is_kept() -> None:
    """A process that dies after it does not tell it again, and goes on with the next revision."""
    lane = Lane(BUSY)
    lane.at(
        0,
        arrives(anomaly(0, source=(0, 1, 0))),
        arrives(anomaly(1, source=(0, 2, 0), metric="cost")),
    )
    lane.flush()
    [updated] = lane.at(12, watermark(12, source_offset=3))
    lane.flush()
    lane.restart()
    assert lane.at(13, watermark(13, source_offset=4)) == []
    cost = anomaly(1, metric="cost")
    lane.at(14, ends(10, anomaly(0), source=(0, 4, 1)), ends(10, cost, source=(0, 4, 2)))
    [resolved] = lane.at(40, watermark(40, source_offset=5))
    assert (updated.revision, resolved.revision) == (2, 3)


def test_record_that_closes_a_bucket_may_be_anomalous_itself() -> None:
    """Detect writes the close's anomalies, the watermark, and then what it found in that very
    record: all under one offset.
    """
    lane = Lane()
    at_close, at_once = (
        anomaly(0, source=(0, 5, 0)),
        anomaly(12, source=(0, 5, 1), application="other"),
    )
    lane.at(0, arrives(at_close), watermark(10, source_offset=5))
    assert len(lane.at(0, arrives(at_once))) == 1
    again = lane.at(1, arrives(at_close), watermark(10, source_offset=5), arrives(at_once))
    assert again == []


def test_watermark_that_came_before_does_not_keep_a_lane_active() -> None:
    """A detect worker that writes old watermarks again has not moved."""
    lane = Lane()
    lane.at(0, watermark(0, lane=0, source_offset=1), watermark(0, lane=1, source_offset=1))
    lane.at(1, arrives(anomaly(0, source=(0, 2, 0))), ends(0, anomaly(0), source=(0, 2, 1)))
    lane.idles(1, 50)
    lane.at(50, watermark(0, lane=1, source_offset=1))
    lane.idles(50, 61)
    [resolved] = lane.at(61, watermark(900, lane=0, source_offset=3))
    assert resolved.change is IncidentChange.RESOLVED


@pytest.mark.parametrize("place", range(3))
def test_newer_state_is_refused(place: int) -> None:
    """A row of each kind that a newer program wrote ends the process, and so does a row of an
    unknown kind.
    """
    lane = Lane()
    lane.at(0, arrives(anomaly(0, source=(0, 1, 0))))
    lane.flush()
    assert len(lane.rows) == 3
    key = sorted(lane.rows)[place]
    lane.rows[key] = b"\xff\xff\xff\xff" + lane.rows[key][4:]
    with pytest.raises(NewerState):
        lane.restart()
    with pytest.raises(NewerState):
        Lane().core.restore({b"future/1": b""})


def test_a_flush_encodes_incidents_that_changed_and_not_all_that_are_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also when time passed by all of them because one was due."""
    encoded: list[str] = []
    row = OpenIncident.row

    def counted(incident: OpenIncident) -> bytes:
        encoded.append(incident.application)
        return row(incident)

    monkeypatch.setattr(OpenIncident, "row", counted)
    lane = Lane()
    for number in range(50):
        lane.at(0, arrives(anomaly(0, application=f"app{number}", source=(0, number, 0))))
    lane.at(1, arrives(anomaly(1, application="app7", metric="cost", source=(0, 50, 0))))
    lane.flush()
    assert sorted(encoded) == sorted(f"app{number}" for number in range(50))
    encoded.clear()
    [updated] = lane.at(31, watermark(31, source_offset=51))
    lane.flush()
    assert encoded == [updated.application] == ["app7"]
