"""What lasts stays open; what ends an incident without data, or against it, is never called
resolved.
"""

from dataclasses import replace

import pytest

from agents.correlation.incident_table import OTHER_APPLICATIONS
from agents.correlation.open_incident import OpenIncident
from agents.correlation.settings import CorrelationSettings
from agents.stages.correlate import CorrelateLane
from schemas.errors import BadRecord
from schemas.records.anomalies import SignalChange, SignalStatus
from schemas.records.control import Audit, AuditOutcome, CommandKind
from schemas.records.incidents import Incident, IncidentChange, IncidentState
from schemas.secrets import Secret
from streams.control.command_log import UNSIGNED, arrived, command_record, lane_command_record
from streams.control.records import COMMAND, SIGNAL, SIGNATURE, WATERMARK
from streams.lane.outgoing import REASON, Outgoing
from streams.state.chunks import seal
from streams.topic_names import TopicNames
from tests.correlation.timeline import (
    START_S,
    Lane,
    anomaly,
    arrives,
    becomes,
    changes,
    closed_by,
    closes,
    ends,
    micros,
    seconds,
    tick,
    watermark,
)
from tests.harness.reference.reading import Stored
from tests.harness.reference.undisturbed import block_of
from topology.control.reading import Read

OPENED, ESCALATED, UPDATED, RESOLVED, NO_DATA, NEW_LEVEL, GIVEN_UP, CLOSED = IncidentChange
DAY_S = 86_400
FOUND = anomaly(0, source=(0, 1, 0))


def opened(settings: CorrelationSettings | None = None) -> Lane:
    """A lane with one open incident, whose source lane moved last at second 0."""
    lane = Lane(settings)
    lane.at(0, arrives(FOUND), watermark(0, source_offset=1))
    return lane


def test_hours_of_silence_resolve_nothing() -> None:
    """Ticks alone: the incident stays open, says since when no data comes, and says it once."""
    lane = opened(CorrelationSettings(quiet_s=180, silence_s=60))
    for second in range(10, DAY_S, 10):
        lane.at(second, tick())
    assert changes(lane.told) == [OPENED, NO_DATA]
    assert lane.told[1].no_data_since == micros(0)
    assert lane.told[1].note == "no data since 2023-11-14 22:13:20 UTC"
    assert lane.core.wants_ticks


def test_hours_of_time_without_an_end_resolve_nothing() -> None:
    """Watermarks go on, since others have data; no anomaly comes and no end."""
    lane = opened()
    for second in range(10, DAY_S, 60):
        lane.at(second, watermark(second, source_offset=second))
    assert changes(lane.told) == [OPENED]


def test_recovery_after_a_day_ends_the_incident_and_opens_nothing() -> None:
    """The end comes with the first data, and the quiet counts from there."""
    lane = opened()
    for second in range(10, DAY_S, 600):
        lane.at(second, tick())
    lane.at(DAY_S, ends(DAY_S, FOUND, source=(0, 2, 0)), watermark(DAY_S, source_offset=2))
    lane.at(DAY_S + 180, watermark(DAY_S + 180, source_offset=3))
    assert changes(lane.told) == [OPENED, NO_DATA, RESOLVED]
    assert seconds(lane.told[-1].resolved_at or 0) == DAY_S + 180
    assert lane.told[-1].no_data_since is None
    assert not lane.core.wants_ticks


def test_one_signal_that_lasts_holds_the_incident_open() -> None:
    """Of two, one ends: nothing is over."""
    lane = opened()
    lane.at(
        1, arrives(anomaly(1, source=(0, 2, 0), metric="cost")), ends(5, FOUND, source=(0, 3, 0))
    )
    lane.at(2000, watermark(2000, source_offset=4))
    assert RESOLVED not in changes(lane.told)
    lane.at(
        2001,
        ends(2001, anomaly(1, metric="cost"), source=(0, 5, 0)),
        watermark(2300, source_offset=6),
    )
    assert changes(lane.told)[-1] is RESOLVED


def test_a_lane_without_more_to_say_is_not_missed_while_another_says_that_it_lasts() -> None:
    """Detect tells its watermark only where it has a signal open: of two lanes, the one whose
    signal ended falls silent for good.
    """
    lane = opened()
    other = anomaly(1, source=(1, 1, 0), metric="cost")
    lane.at(
        1,
        arrives(other),
        arrives(anomaly(2, source=(0, 2, 0), first=False)),
        watermark(2, source_offset=2),
    )
    lane.at(3, ends(3, FOUND, source=(0, 3, 0)), watermark(3, source_offset=3))
    for second in range(10, 2 * DAY_S, 60):
        lane.at(second, watermark(second, lane=1, source_offset=second))
        if second == 3610:
            lane.flush()
            lane.restart()
    assert changes(lane.told) == [OPENED, UPDATED]
    for second in range(2 * DAY_S, 2 * DAY_S + 600, 10):
        lane.at(second, tick())
    assert changes(lane.told) == [OPENED, UPDATED, NO_DATA]


def test_a_lane_that_died_is_not_the_end_of_data_while_another_one_lives() -> None:
    """A signal in each, both open: data is missed when it comes from neither."""
    lane = opened()
    lane.at(1, arrives(anomaly(1, source=(1, 1, 0), metric="cost")))
    for second in range(10, 4000, 10):
        lane.at(second, watermark(second, lane=1, source_offset=second))
    assert changes(lane.told) == [OPENED, UPDATED]
    for second in range(4000, 5000, 10):
        lane.at(second, tick())
    assert changes(lane.told) == [OPENED, UPDATED, NO_DATA]


def test_incident_is_over_by_its_lanes_own_word_when_every_lane_has_fallen_silent() -> None:
    """A lane that lags held the time, and says no more; the incident's own lane had passed the
    quiet time before it fell silent too.
    """
    lane = opened()
    lane.at(
        1,
        arrives(anomaly(-7200, source=(1, 1, 0), application="lagging")),
        watermark(-7200, lane=1, source_offset=1),
    )
    lane.at(2, ends(2, FOUND, source=(0, 2, 0)))
    for second in range(10, 3700, 10):
        lane.at(
            second,
            watermark(second, source_offset=second),
            watermark(second - 7200, lane=1, source_offset=second),
        )
    assert RESOLVED not in changes(lane.told)
    assert lane.at(3750, tick()) == []
    lane.flush()
    lane.restart()
    [over] = [one for one in lane.at(3751, tick()) if one.application == FOUND.application]
    assert (over.change, seconds(over.resolved_at or 0)) == (RESOLVED, 182)


def test_end_in_another_lane_is_not_the_end_here() -> None:
    """A series that two lanes see has a signal in each."""
    lane = opened()
    lane.at(1, ends(1, FOUND, source=(1, 9, 0)), watermark(900, source_offset=2))
    assert changes(lane.told) == [OPENED]


def test_incident_without_data_is_given_up_after_days_and_not_resolved() -> None:
    """A state and a change of its own, `give_up_s` of append time after the data was missed."""
    lane = opened(CorrelationSettings(give_up_s=3 * DAY_S))
    lane.at(300, tick())
    assert lane.at(3 * DAY_S + 300, tick()) == []
    [given_up] = lane.at(3 * DAY_S + 300.000001, tick())
    assert (given_up.state, given_up.change) == (IncidentState.GIVEN_UP, GIVEN_UP)
    assert given_up.note == "given up: no data for 3 days"
    assert not lane.core.wants_ticks
    assert lane.at(3 * DAY_S + 400, ends(3 * DAY_S + 400, FOUND, source=(0, 2, 0))) == []


def test_signal_that_was_given_up_or_retired_makes_no_resolved() -> None:
    """A subject that detect has forgotten, and a rule that the settings have no more."""
    for status, state in (
        (SignalStatus.GIVEN_UP, IncidentState.GIVEN_UP),
        (SignalStatus.RETIRED, IncidentState.CLOSED),
    ):
        lane = opened()
        [ended] = lane.at(
            900, becomes(status, 10, FOUND, source=(0, 2, 0)), watermark(900, source_offset=3)
        )
        assert ended.state is state
        assert ended.note == f"latency is {status}"


def test_level_that_was_taken_is_told_once_and_stays_open_while_data_comes() -> None:
    """Days of it: no data is missed, nothing given up."""
    lane = opened()
    [told] = lane.at(3600, becomes(SignalStatus.NEW_LEVEL, 3600, FOUND, source=(0, 2, 0)))
    assert (told.change, told.state, told.new_level_since) == (
        NEW_LEVEL,
        IncidentState.OPEN,
        micros(3600),
    )
    for second in range(3600, 6 * DAY_S, 120):
        lane.at(second, watermark(second, source_offset=second))
    assert changes(lane.told) == [OPENED, NEW_LEVEL]
    lane.at(
        6 * DAY_S,
        ends(6 * DAY_S, FOUND, source=(0, 9**9, 0)),
        watermark(6 * DAY_S + 200, source_offset=9**9),
    )
    assert changes(lane.told) == [OPENED, NEW_LEVEL, RESOLVED]


def test_silence_that_is_told_again_does_not_count_as_data() -> None:
    """A request rate of 0 says that no data comes; one above says that it does."""
    rate = {"metric": "request_rate", "expected": 2.0, "score": 9.0}
    silent = anomaly(0, source=(0, 1, 0), observed=0.0, **rate)  # type: ignore[arg-type]
    lane = Lane()
    lane.at(
        0, arrives(silent), becomes(SignalStatus.NO_DATA, 180, silent, source=(0, 2, 0), since=-30)
    )
    assert lane.told[-1].no_data_since == micros(-30)
    lane.at(240, arrives(anomaly(240, source=(0, 3, 0), observed=0.0, first=False, **rate)))  # type: ignore[arg-type]
    assert changes(lane.told) == [OPENED, NO_DATA]
    [again] = lane.at(
        360, arrives(anomaly(360, source=(0, 4, 0), observed=0.1, first=False, **rate))
    )  # type: ignore[arg-type]
    assert (again.change, again.no_data_since, again.note) == (UPDATED, None, "")


def test_signals_beyond_the_limit_are_counted_and_none_is_taken_for_over() -> None:
    """Five users, two listed: the incident ends with the fifth end, in whatever order they come."""
    lane = Lane(CorrelationSettings(max_signals=2))
    found = [anomaly(0, source=(0, n + 1, 0), user=f"u-{n}") for n in range(5)]
    lane.at(0, *(arrives(one) for one in found))
    lane.at(
        5,
        *(arrives(anomaly(5, source=(0, n + 10, 0), user=f"u-{n}", first=False)) for n in range(5)),
    )
    for n, one in enumerate(reversed(found)):
        lane.at(
            10 + n, ends(10, one, source=(0, 20 + n, 0)), watermark(600 + n, source_offset=20 + n)
        )
        assert (RESOLVED in changes(lane.told)) is (n == 4)


def test_the_end_of_a_signal_that_was_closed_by_hand_is_not_taken_for_one_of_another_incident() -> (
    None
):
    """That has signals which it only counts: it stays open while one of them lasts."""
    lane = Lane(CorrelationSettings(max_signals=2))
    closed = anomaly(0, source=(0, 1, 0), metric="m1")
    lane.at(0, watermark(0, source_offset=0), arrives(closed))
    lane.at(1, closes("ann", lane.told[0].id))
    found = [anomaly(5, source=(0, 10 + n, 0), metric=f"n{n}") for n in range(3)]
    lane.at(5, *map(arrives, found))
    lane.at(60, ends(60, closed, source=(0, 60, 0)))
    lane.at(61, *(ends(61, one, source=(0, 61, n)) for n, one in enumerate(found[:2])))
    lane.at(400, watermark(400, source_offset=400))
    assert (lane.core.open_incidents, RESOLVED in changes(lane.told)) == (1, False)
    lane.at(401, ends(401, found[2], source=(0, 401, 0)), watermark(900, source_offset=402))
    assert lane.told[-1].change is RESOLVED


def test_shared_incident_of_applications_beyond_the_budget_ends_with_all_of_them() -> None:
    """Also where an application has room of its own by then."""
    lane = Lane(CorrelationSettings(max_open=1))
    apps = [anomaly(0, source=(0, n + 1, 0), application=f"app-{n}") for n in range(3)]
    lane.at(0, *(arrives(one) for one in apps))
    lane.at(1, ends(1, apps[0], source=(0, 10, 0)), watermark(300, source_offset=10))
    lane.at(301, arrives(anomaly(301, source=(0, 11, 0), application="app-1", first=False)))
    assert lane.core.open_incidents == 1
    lane.at(302, ends(302, apps[1], source=(0, 12, 0)), watermark(900, source_offset=12))
    assert lane.told[-1].application == "app-0"
    lane.at(901, ends(901, apps[2], source=(0, 13, 0)), watermark(1500, source_offset=13))
    assert (lane.told[-1].change, lane.told[-1].application) == (RESOLVED, OTHER_APPLICATIONS)


def test_closed_incident_stays_closed_until_what_was_wrong_was_normal_once() -> None:
    """Repeats of the same signal open nothing, another signal does, and the same one does after its
    end.
    """
    lane = opened()
    [closed] = lane.at(60, closes("ann", lane.told[0].id, comment="known"))
    assert (closed.state, closed.change, closed.note) == (
        IncidentState.CLOSED,
        CLOSED,
        "closed by ann: known",
    )
    assert lane.at(120, arrives(anomaly(120, source=(0, 2, 0), first=False))) == []
    [other] = lane.at(121, arrives(anomaly(121, source=(0, 3, 0), metric="cost")))
    assert (other.change, other.metrics) == (OPENED, ("cost",))
    assert lane.at(200, ends(200, FOUND, source=(0, 4, 0))) == []
    lane.at(
        201,
        ends(201, anomaly(121, metric="cost"), source=(0, 5, 0)),
        watermark(500, source_offset=5),
    )
    [again] = lane.at(600, arrives(anomaly(600, source=(0, 6, 0))))
    assert (again.change, again.metrics) == (OPENED, ("latency",))


def test_what_is_not_open_cannot_be_closed() -> None:
    """Nor can another tenant's; each gets an answer."""
    lane = opened()
    name = lane.told[0].id
    for asked in (closed_by("ann", "nothing"), closed_by("ann", name, tenant="other")):
        made, outcome, detail = lane.core.on_close(asked, offset=9, append_time=micros(9))
        assert (made, outcome) == ([], AuditOutcome.REFUSED)
        assert detail == "no incident of this tenant with this id is open"
    assert (
        lane.core.on_close(closed_by("ann", name), offset=9, append_time=micros(9))[1]
        is AuditOutcome.APPLIED
    )
    assert (
        lane.core.on_close(closed_by("ann", name), offset=10, append_time=micros(9))[1]
        is AuditOutcome.REFUSED
    )


def test_closed_signals_are_forgotten_when_nothing_is_heard_of_them() -> None:
    """After `give_up_s` of append time: the rows are bounded by what people closed of late."""
    lane = opened(CorrelationSettings(give_up_s=600))
    lane.at(60, closes("ann", lane.told[0].id))
    lane.at(61, arrives(anomaly(61, source=(0, 2, 0), metric="cost")))
    assert lane.core.wants_ticks
    lane.at(2000, tick())
    lane.flush()
    assert not [key for key in lane.rows if key.startswith(b"closed/")]


def test_closed_signals_ask_for_time_to_pass_until_they_are_forgotten() -> None:
    """Else an anomaly that lasts, weeks later, would be taken for what was closed."""
    lane = opened(CorrelationSettings(give_up_s=600))
    lane.at(60, closes("ann", lane.told[0].id))
    assert lane.core.open_incidents == 0
    assert lane.core.wants_ticks
    lane.at(700, tick())
    assert not lane.core.wants_ticks


NAMES = TopicNames("t.")
KEY = Secret("the key of these tests")


def forged_change(**fields: int) -> bytes:
    """What becomes of the signal of `FOUND`, at a time that cannot be."""
    change = SignalChange(
        tenant=FOUND.tenant,
        application=FOUND.application,
        model=FOUND.model,
        metric=FOUND.metric,
        detector=FOUND.detector,
        status=SignalStatus.NO_DATA,
        event_time=FOUND.event_time,
        settings_version="0",
        reason="",
        lane=FOUND.lane,
        offset=FOUND.offset + 1,
        ordinal=0,
    )
    return replace(change, **fields).to_bytes()  # type: ignore[arg-type]


def lane_takes(program: CorrelateLane, *records: Outgoing) -> list[Outgoing]:
    """What comes of records as they stand in the lane."""
    at_ms = START_S * 1000
    stored = [Stored(3, n, at_ms, one.key, one.value, one.headers) for n, one in enumerate(records)]
    return program.step(block_of(NAMES.anomalies, 0, stored)).now


def test_signed_command_in_the_lane_closes_and_is_audited() -> None:
    """A forged one, one of another tenant and one of another kind are dead letters, with their
    reasons.
    """
    program = CorrelateLane(3, CorrelationSettings(), NAMES, KEY)
    first = Outgoing(NAMES.anomalies, b"acme", FOUND.to_bytes())
    name = Incident.from_bytes(lane_takes(program, first)[0].value or b"").id
    right = lane_command_record(NAMES.anomalies, closed_by("ann", name), KEY)
    forged = lane_command_record(NAMES.anomalies, closed_by("eve", name), Secret("another"))
    moved = lane_command_record("t.elsewhere", closed_by("eve", name), KEY)
    stolen = Outgoing(right.topic, b"other", None, right.headers)
    out = lane_takes(
        CorrelateLane(3, CorrelationSettings(), NAMES, KEY), first, forged, moved, stolen, right
    )
    reasons = [dict(one.headers)[REASON].decode() for one in out if one.topic == NAMES.dead_letters]
    assert reasons == [UNSIGNED] * 3
    (answer,) = [Audit.from_bytes(one.value or b"") for one in out if one.topic == NAMES.audit]
    assert (answer.action, answer.author, answer.outcome) == (
        CommandKind.CLOSE,
        "ann",
        AuditOutcome.APPLIED,
    )
    last = [Incident.from_bytes(one.value or b"") for one in out if one.topic == NAMES.incidents][
        -1
    ]
    assert last.state is IncidentState.CLOSED


def test_copies_of_a_signed_close_end_no_later_incident() -> None:
    """Again in its own lane, or in another: the incident that it names is over, or was never there;
    that it was asked again is on record.
    """
    program, other = (CorrelateLane(lane, CorrelationSettings(), NAMES, KEY) for lane in (3, 4))
    found = Outgoing(NAMES.anomalies, b"acme", FOUND.to_bytes())
    first = Incident.from_bytes(lane_takes(program, found)[0].value or b"")
    command = lane_command_record(NAMES.anomalies, closed_by("ann", first.id), KEY)
    lane_takes(program, command)
    later = Outgoing(
        NAMES.anomalies, b"acme", anomaly(600, source=(0, 3, 0), metric="cost").to_bytes()
    )
    for lane in (program, other):
        opened_later, answer = lane_takes(lane, later, command)
        assert Incident.from_bytes(opened_later.value or b"").id != first.id
        assert Audit.from_bytes(answer.value or b"").outcome is AuditOutcome.REFUSED
        assert lane._correlator.open_incidents == 1


def test_a_signed_close_counts_on_its_own_topic_only() -> None:
    """On `commands` it is a forgery, and so is a command of that topic in a lane of anomalies."""
    name = closed_by("ann", "i1")
    moved = lane_command_record(NAMES.anomalies, name, KEY)
    there = Read(NAMES.commands, 0, 0, moved.key, name.to_bytes(), moved.headers)
    assert (arrived(NAMES.commands, KEY, 0, there).fault or BadRecord("")).reason == UNSIGNED
    asked = command_record(NAMES.commands, name, KEY)
    signature = dict(asked.headers)[SIGNATURE]
    here = Outgoing(
        NAMES.anomalies, asked.key, None, ((COMMAND, asked.value or b""), (SIGNATURE, signature))
    )
    (letter,) = lane_takes(CorrelateLane(3, CorrelationSettings(), NAMES, KEY), here)
    assert dict(letter.headers)[REASON].decode() == UNSIGNED


def test_unreadable_change_is_a_dead_letter() -> None:
    """Nothing else of the lane is lost by it."""
    program = CorrelateLane(3, CorrelationSettings(), NAMES)
    bad = Outgoing(
        NAMES.anomalies, b"acme", None, (("sentinel-signal", b"\x00\x00\x00\x00\x0bnonsense"),)
    )
    out = lane_takes(program, bad, Outgoing(NAMES.anomalies, b"acme", FOUND.to_bytes()))
    assert [one.topic for one in out] == [NAMES.dead_letters, NAMES.incidents]


def test_row_of_version_1_is_read_and_what_lasts_is_told_again() -> None:
    """An incident that an older program opened: without signals it is over when time has passed,
    with them it is held open.
    """
    lane = opened()
    lane.flush()
    (key,) = [key for key in lane.rows if key.startswith(b"open/")]
    kept = OpenIncident.from_row(lane.rows[key], 100, 250, lane.settings.thresholds)
    lane.rows[key] = seal(1, version_1(kept))
    lane.restart()
    assert lane.core.open_incidents == 1
    lane.at(60, arrives(anomaly(60, source=(0, 5, 0), first=False)))
    lane.at(2000, watermark(2000, source_offset=6))
    assert changes(lane.told) == [OPENED]
    lane.at(2001, ends(2001, FOUND, source=(0, 7, 0)), watermark(2300, source_offset=8))
    assert changes(lane.told) == [OPENED, RESOLVED]


def version_1(incident: OpenIncident) -> bytes:
    """The body that an older program wrote."""
    body = memoryview(incident.row())[4:]
    signals = incident.signals.row()
    at = bytes(body).index(signals)
    return bytes(body[: at - 17]) + bytes(body[at + len(signals) :])


def test_rows_of_version_2_take_the_incidents_lane_for_that_of_its_signals() -> None:
    """An incident, and what a person closed: both end as before."""
    lane = opened()
    lane.at(1, arrives(anomaly(1, source=(0, 2, 0), application="shop")))
    lane.at(2, closes("ann", lane.told[1].id))
    lane.flush()
    for key, version in ((b"open/", 2), (b"closed/", 1)):
        (name,) = [one for one in lane.rows if one.startswith(key)]
        body = bytes(memoryview(lane.rows[name])[4:])
        at = body.index(b"\1\0\0\0\0\0\0\0")
        lane.rows[name] = seal(version, body[: at + 32] + body[at + 36 :])
    lane.restart()
    assert (lane.core.open_incidents, lane.core.wants_ticks) == (1, True)
    assert lane.at(3, arrives(anomaly(3, source=(0, 3, 0), application="shop", first=False))) == []
    lane.at(4, ends(4, FOUND, source=(0, 4, 0)), watermark(200, source_offset=5))
    assert changes(lane.told)[-1] is RESOLVED


@pytest.mark.parametrize(
    "status", [SignalStatus.NORMAL, SignalStatus.NO_DATA, SignalStatus.NEW_LEVEL]
)
def test_change_of_a_signal_that_nobody_knows_changes_nothing(status: SignalStatus) -> None:
    """Its incident was given up, or it began before this lane's state was reset."""
    lane = opened()
    lane.at(1, becomes(status, 1, anomaly(0, metric="tokens"), source=(0, 2, 0)))
    assert changes(lane.told) == [OPENED]


_SILENT = replace(FOUND, metric="request_rate", observed=0.0, expected=0.0, window_start=2**63 - 1)
HOSTILE = {
    "an anomaly after all time": (_SILENT.to_bytes(), (), "window_start"),
    "a metric without bound": (replace(FOUND, metric="x" * 70_000).to_bytes(), (), "metric"),
    "a change after all time": (None, ((SIGNAL, forged_change(since=2**63 - 1)),), "since"),
    "a change before all time": (
        None,
        ((SIGNAL, forged_change(event_time=-(10**17))),),
        "event_time",
    ),
    "a watermark after all time": (None, ((WATERMARK, b"0 5 999999999999999999"),), WATERMARK),
    "a lane that cannot be": (
        None,
        ((WATERMARK, b"999999999999999999 5 1700000000000000"),),
        WATERMARK,
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_record_that_says_what_cannot_be_is_a_dead_letter(name: str) -> None:
    """With its field; the lane goes on, tells of silence afterwards, and its state can be
    written.
    """
    value, headers, field = HOSTILE[name]
    program = CorrelateLane(3, CorrelationSettings(), NAMES)
    first = Outgoing(NAMES.anomalies, b"acme", FOUND.to_bytes())
    out = lane_takes(program, first, Outgoing(NAMES.anomalies, b"acme", value, headers))
    assert [one.topic for one in out] == [NAMES.incidents, NAMES.dead_letters]
    assert dict(out[1].headers)["sentinel-field"].decode() == field
    (told,) = program._correlator.on_tick(
        offset=9, append_time=(START_S + 86_400) * 1_000_000, passed=86_400_000_000
    )
    assert told.change is IncidentChange.NO_DATA
    assert list(program.changes())
