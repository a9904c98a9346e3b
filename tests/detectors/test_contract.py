"""What every detector promises, whatever its method: the suite that each of them passes."""

import itertools
import math
import pickle
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.detectors.contract import (
    AtCloseDetector,
    AtOnceDetector,
    Closed,
    Detector,
    Finding,
    Kind,
)
from agents.detectors.deviation.detector import DeviationDetector
from agents.detectors.profile.detector import ProfileDetector
from agents.detectors.scores import significant
from agents.detectors.settings import Comparison, Deviation, LeastChange, Profile, Rule
from agents.detectors.threshold.detector import ThresholdDetector
from streams.state.chunks import split_key
from streams.state.tables import Table
from tests.detectors.events import Segment, random_events
from tests.detectors.traffic import Fault, World, closes
from tests.detectors.users import Attack, Crowd, closes_of_users
from tests.harness.examples import examples

Step = Segment | Closed
State = dict[str, Table]


class Told(Protocol):
    """Takes one step and says what was found."""

    def __call__(self, tables: State, step: Step) -> Sequence[Finding]: ...


@dataclass(frozen=True)
class Case:
    """A detector with eager settings, and input on which it finds something."""

    detector: Detector
    step: Told
    steps: Sequence[Step]


def threshold_case() -> Case:
    """Rules that hit often, with and without names."""
    detector = ThresholdDetector(
        (
            Rule("slow", "latency_us", Comparison.ABOVE, 800_000.0),
            Rule("false", "quality.truth", Comparison.AT_MOST, 0.5, application="application1"),
            Rule(
                "other",
                "quality.truth",
                Comparison.NOT_EQUAL,
                0.5,
                tenant="tenant0",
                model="model2",
            ),
        )
    )
    checked: AtOnceDetector = detector
    whole = random_events(400, seed=5)
    steps = [whole.cut(start, start + 40) for start in range(0, 400, 40)]
    return Case(detector, lambda tables, step: checked.at_once(tables, as_segment(step)), steps)


def deviation_case() -> Case:
    """Series that learn fast and then see a fault of everything."""
    change = LeastChange(1.1, 1.1, 1.1, 1.1, 0.01, 1.1)
    detector = DeviationDetector(
        Deviation(
            false_alarms_per_week=100.0, repeat_buckets=2, give_in_buckets=10, least_change=change
        )
    )
    fault = Fault(at=45, until=60, rate=3, latency=4, first_token=2, tokens=5, error_rate=0.5)
    world = World(rate=0.5, burstiness=0.2, error_rate=0.05)
    apart = {"applications": np.arange(40), "application_count": 40}
    steps = [replace(closed, **apart) for closed in closes(world, 40, 80, 3, fault)]
    return Case(detector, at_close(detector), steps)


def profile_case() -> Case:
    """Users of three applications, one of whom goes wild."""
    detector = ProfileDetector(
        Profile(
            window_buckets=5,
            threshold=3.0,
            newcomer_threshold=3.0,
            crowd_threshold=1.0,
            least_ratio=1.5,
            least_buckets=5,
            repeat_buckets=2,
            give_in_buckets=10,
        )
    )
    crowd = Crowd(users=60, applications=3, rate=1.0, session_buckets=20, newcomers=0.3)
    return Case(
        detector, at_close(detector), list(closes_of_users(crowd, 70, 4, Attack(40, 7, 2.0, 20)))
    )


def at_close(detector: AtCloseDetector) -> Told:
    """Its steps are closed buckets."""

    def step(tables: State, closed: Step) -> Sequence[Finding]:
        assert isinstance(closed, Closed)
        said = detector.at_close(tables, closed)
        assert detector.bands == (() if said.bands is None else said.bands.metrics)
        return said.findings

    return step


def as_segment(step: Step) -> Segment:
    """The step, which is one of events."""
    assert isinstance(step, Segment)
    return step


CASES: dict[str, Callable[[], Case]] = {
    "threshold": threshold_case,
    "deviation": deviation_case,
    "profile": profile_case,
}


@pytest.fixture(params=sorted(CASES), scope="module")
def case(request: pytest.FixtureRequest) -> Case:
    """Every detector in turn."""
    return CASES[request.param]()


def fresh(detector: Detector, capacity: int = 64) -> State:
    """Empty tables."""
    return {spec.name: Table(spec, capacity) for _, spec in detector.tables}


def driven(case: Case, tables: State, steps: Iterable[Step]) -> list[Finding]:
    """All that was found, in order."""
    return [finding for step in steps for finding in case.step(tables, step)]


def contents(tables: State) -> dict[str, bytes]:
    """The bytes of all rows that are not zero at the end."""
    return {name: table.rows.tobytes().rstrip(b"\0") for name, table in tables.items()}


def resumed(detector: Detector, stored: dict[bytes, bytes]) -> State:
    """New tables with what a topic holds."""
    tables = fresh(detector)
    pages: dict[str, dict[int, bytes]] = {}
    for key, value in stored.items():
        name, page = split_key(key)
        pages.setdefault(name, {})[page] = value
    for name, table in tables.items():
        table.restore(pages.get(name, {}))
    return tables


def flushed(tables: State, stored: dict[bytes, bytes]) -> None:
    """Writes the changes to what a compacted topic would hold."""
    for table in tables.values():
        for key, value in table.changes():
            if value is None:
                stored.pop(key, None)
            else:
                stored[key] = value


def test_the_input_of_this_suite_makes_the_detector_speak(case: Case) -> None:
    """A suite over a silent detector would promise nothing."""
    assert len(driven(case, fresh(case.detector), case.steps)) >= 10


def test_a_second_run_says_the_same_to_the_byte(case: Case) -> None:
    """Deterministic: findings and state."""
    first, second = fresh(case.detector), fresh(case.detector, capacity=10_000)
    assert driven(case, first, case.steps) == driven(case, second, case.steps)
    assert contents(first) == contents(second)


@settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_stopping_anywhere_and_resuming_from_what_was_stored_changes_nothing(
    case: Case, data: st.DataObject
) -> None:
    """Flushes and restarts at arbitrary places: same findings, same bytes."""
    stops = data.draw(st.sets(st.integers(1, len(case.steps) - 1), min_size=1, max_size=5))
    whole = fresh(case.detector)
    expected = driven(case, whole, case.steps)
    stored: dict[bytes, bytes] = {}
    tables, found = fresh(case.detector), []
    for index, step in enumerate(case.steps):
        if index in stops:
            flushed(tables, stored)
            tables = resumed(case.detector, stored)
        found += case.step(tables, step)
    assert found == expected
    assert contents(tables) == contents(whole)


def test_a_detector_keeps_nothing_of_its_own(case: Case) -> None:
    """All that is learnt is in the tables; the detector is a frozen policy, and one of it serves
    any number of lanes.
    """
    before = pickle.dumps(vars(case.detector))
    driven(case, fresh(case.detector), case.steps)
    assert pickle.dumps(vars(case.detector)) == before


def test_memory_is_bounded_by_subjects_not_by_events(case: Case) -> None:
    """Twice the events of the same subjects take the same rows."""
    tables = fresh(case.detector)
    driven(case, tables, case.steps[:5])
    sizes = {name: table.rows.nbytes for name, table in tables.items()}
    driven(case, tables, case.steps[5:])
    assert {name: table.rows.nbytes for name, table in tables.items()} == sizes


def test_what_is_told_is_finite_and_can_be_computed_again(case: Case) -> None:
    """Scores are equal to those computed from the evidence, and rounded; nothing told is NaN or
    infinite.
    """
    for finding in driven(case, fresh(case.detector), case.steps):
        evidence = dict(finding.evidence)
        numbers = [finding.observed, finding.score, finding.confidence, *evidence.values()]
        assert all(map(math.isfinite, numbers))
        assert case.detector.recompute(finding.metric, evidence) == finding.score
        assert float(significant(np.array([finding.score]))[0]) == finding.score
        assert 0.0 <= finding.confidence <= 1.0
        assert finding.window_start <= finding.event_time <= finding.window_end
        assert finding.reason


def test_findings_come_in_the_order_of_their_subjects_or_events(case: Case) -> None:
    """At once: by position. At close: by row as closed, then by metric as declared."""
    tables = fresh(case.detector)
    for step in case.steps:
        found = case.step(tables, step)
        if isinstance(step, Closed):
            places = {row: place for place, row in enumerate(step.rows.tolist())}
            order = [places[finding.row] for finding in found]
        else:
            order = [finding.position if finding.position is not None else -1 for finding in found]
        assert order == sorted(order)


def test_what_is_given_is_not_written_to(case: Case) -> None:
    """Arrays of events and buckets belong to the lane."""
    tables = fresh(case.detector)
    for step in case.steps:
        arrays = step.numbers if isinstance(step, Closed) else step.metrics
        before = pickle.dumps(arrays)
        case.step(tables, step)
        assert pickle.dumps(arrays) == before


def test_a_forgotten_subject_is_a_new_one(case: Case) -> None:
    """After its rows are zero bytes, a detector says what it would of a lane that never met
    anybody.
    """
    half = len(case.steps) // 2
    tables = fresh(case.detector)
    driven(case, tables, case.steps[:half])
    for table in tables.values():
        table.clear(np.arange(len(table)))
    new = fresh(case.detector)
    assert driven(case, tables, case.steps[half:]) == driven(case, new, case.steps[half:])
    assert contents(tables) == contents(new)


@settings(max_examples=examples(30), deadline=None)
@given(cuts=st.sets(st.integers(1, 399), max_size=40))
def test_a_batch_equals_its_events_however_it_is_cut(cuts: set[int]) -> None:
    """At once: findings and state do not depend on where batches end."""
    case, whole = threshold_case(), random_events(400, seed=5)
    expected, tables = fresh(case.detector), fresh(case.detector)
    at_once = [
        replace(f, position=int(whole.offsets[f.position or 0])) for f in case.step(expected, whole)
    ]
    found = []
    edges = [0, *sorted(cuts), 400]
    for start, end in itertools.pairwise(edges):
        part = whole.cut(start, end)
        found += [
            replace(f, position=int(part.offsets[f.position or 0])) for f in case.step(tables, part)
        ]
    assert found == at_once
    assert contents(tables) == contents(expected)


def test_one_event_at_a_time_says_the_same_as_all_at_once() -> None:
    """At once: the extreme cut."""
    case, whole = threshold_case(), random_events(400, seed=5)
    expected, tables = fresh(case.detector), fresh(case.detector)
    at_once = [f.event_time for f in case.step(expected, whole)]
    assert [
        f.event_time for i in range(400) for f in case.step(tables, whole.cut(i, i + 1))
    ] == at_once
    assert contents(tables) == contents(expected)


@pytest.mark.parametrize("make", [deviation_case, profile_case])
def test_nothing_is_said_before_there_is_enough_data(make: Callable[[], Case]) -> None:
    """At close: the wildest beginning is no anomaly."""
    case = make()
    wild = [step for step in case.steps if isinstance(step, Closed)][40:46]
    assert driven(case, fresh(case.detector), wild) == []


def test_a_series_is_judged_by_its_own_buckets_alone() -> None:
    """At close, series: each alone gives the rows and findings that all together give."""
    case = deviation_case()
    together = fresh(case.detector)
    found = driven(case, together, case.steps)
    alone = fresh(case.detector)
    parts = [
        finding
        for row in range(40)
        for finding in driven(case, alone, [one(s, row) for s in case.steps])
    ]
    assert contents(alone) == contents(together)
    assert sorted(parts, key=lambda f: (f.event_time, f.row)) == found


def test_a_user_is_judged_by_the_application_s_users_alone() -> None:
    """At close, users: each application alone gives the rows and findings that all together
    give.
    """
    case = profile_case()
    together, alone = fresh(case.detector), fresh(case.detector)
    found = driven(case, together, case.steps)
    parts = [
        finding
        for number in range(3)
        for finding in driven(case, alone, [only(s, number) for s in case.steps])
    ]
    assert contents(alone) == contents(together)
    assert sorted(parts, key=lambda f: (f.event_time, f.row)) == found


def only(step: Step, application: int) -> Closed:
    """The bucket with the requests of one application's users."""
    assert isinstance(step, Closed)
    numbers = {
        name: np.where(step.applications == application, v, 0) for name, v in step.numbers.items()
    }
    return replace(step, numbers=numbers)


def one(step: Step, row: int) -> Closed:
    """The bucket of one subject."""
    assert isinstance(step, Closed)
    part = slice(row, row + 1)
    return replace(
        step,
        rows=step.rows[part],
        numbers={name: values[part] for name, values in step.numbers.items()},
        sketches={name: values[part] for name, values in step.sketches.items()},
        applications=step.applications[part],
        seen_before=step.seen_before[part],
    )


def test_every_table_is_packed_and_little_endian(case: Case) -> None:
    """Rows are bytes on a topic: no padding, no native order."""
    for _, spec in case.detector.tables:
        fields = [spec.dtype[name] for name in spec.dtype.names or ()]
        assert sum(field.itemsize for field in fields) == spec.dtype.itemsize
        assert all(field.base.byteorder in "<|=" for field in fields)


def test_each_table_says_whose_rows_it_holds(case: Case) -> None:
    """Names of tables are unique in a lane."""
    names = [spec.name for make in CASES.values() for _, spec in make().detector.tables]
    assert len(set(names)) == len(names)
    assert all(isinstance(kind, Kind) for kind, _ in case.detector.tables)
