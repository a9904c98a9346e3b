"""The references of the exactness benchmark: they agree with each other, and how blocks are cut
changes nothing.
"""

import doctest
import random
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType

import pytest

from agents.detectors.settings_codec import version_of
from schemas.records.aggregates import Aggregate
from schemas.records.anomalies import Anomaly, SignalChange, SignalStatus
from streams.control.records import Publication, settings_control
from streams.lane.outgoing import Outgoing
from tests.harness.exactness.plan import SPAN_US, Plan
from tests.harness.reference import lane_state, sums, tally, undisturbed
from tests.harness.reference.detecting import slow_lane as slow
from tests.harness.reference.listening import wrong_marks
from tests.harness.reference.reading import Stored
from tests.harness.reference.sums import without_bands
from tests.harness.reference.tally import tallied
from tests.harness.reference.undisturbed import Undisturbed, cut, detect_lane

APPEND_STEP_US = 3_000


@pytest.fixture(scope="module")
def plan() -> Plan:
    """A small run, without detectors that learn: those the slow lane does not know."""
    return Plan(
        "nowhere", events=6_000, subjects=24, seed=3, learning=False, start=1_790_000_000_000_000
    )


@pytest.fixture(scope="module")
def records(plan: Plan) -> list[Stored]:
    """One lane with everything in it: traffic, settings, ticks, bad records."""
    return list(_lane(plan))


def test_the_slow_lane_and_the_undisturbed_lane_say_the_same(
    plan: Plan, records: list[Stored]
) -> None:
    """Two programs with one rule book: buckets, verdicts of rules, watermarks, dead letters, open
    buckets and clock are equal.
    """
    reference = slow(0, plan.lanes, plan.names, plan.control_key.reveal(), plan.versions)
    for record in records:
        reference.take(record)
    lane = _fed(plan, records, lambda: 100)
    closed = [Aggregate.from_bytes(value) for _, value in lane.outputs.aggregates]
    assert [without_bands(each).to_bytes() for each in closed] == [
        each.to_bytes() for each in reference.closed
    ]
    told = [Anomaly.from_bytes(value) for value in lane.outputs.anomalies.values()]
    assert [
        (each.offset, each.rule, each.score, each.first) for each in told if each.rule is not None
    ] == [(each.offset, each.rule, each.score, each.first) for each in reference.told.anomalies]
    changes = [SignalChange.from_bytes(value) for value in lane.outputs.changes.values()]
    ends = [each for each in changes if each.rule is not None and each.status.is_end]
    assert {
        (each.offset, (each.tenant, each.application, each.model), each.rule, each.status)
        for each in ends
    } == {*reference.told.ends}
    assert {each.status for each in ends} >= {SignalStatus.NORMAL}
    assert lane.outputs.watermarks.keys() == lane.outputs.heard.keys()
    assert list(wrong_marks(reference.told.watermarks, lane.outputs)) == []
    assert lane.outputs.dead == reference.told.dead
    state = lane_state.compared_slowly(lane.rows(), reference)
    assert state.compared > 10
    assert state.errors == 0, state
    assert len(set(reference.told.dead.values())) >= 2
    assert reference.late > 0


def test_a_watermark_that_is_missing_and_one_too_many_are_seen(
    plan: Plan, records: list[Stored]
) -> None:
    """Of a partition that listens, and of one that nothing was said to."""
    reference = slow(0, plan.lanes, plan.names, plan.control_key.reveal(), plan.versions)
    for record in records:
        reference.take(record)
    outputs = _fed(plan, records, lambda: 100).outputs
    (partition, marks), *_ = outputs.watermarks.items()
    gone = list(marks)[-1]
    del marks[gone]
    nowhere = max(outputs.watermarks) + 1
    outputs.watermarks[nowhere] = {gone: b""}
    wrong = list(wrong_marks(reference.told.watermarks, outputs))
    assert sorted(wrong) == [("missing", partition, gone[1:]), ("unexpected", nowhere, gone[1:])]


def test_single_records_and_blocks_make_the_same_lane(plan: Plan, records: list[Stored]) -> None:
    """The undisturbed lane may be fed in blocks, since one fed record by record is the same to the
    byte.
    """
    some = records[:1_500]
    sizes = random.Random(5)
    one_by_one, in_blocks = (
        _fed(plan, some, lambda: 1),
        _fed(plan, some, lambda: sizes.choice((2, 9, 70, 400))),
    )
    assert one_by_one.outputs == in_blocks.outputs
    assert lane_state.compared(one_by_one.rows(), in_blocks.rows()).errors == 0


@pytest.mark.parametrize("module", [sums, tally, undisturbed])
def test_the_examples_of_a_module_hold(module: ModuleType) -> None:
    """What a docstring shows is what happens."""
    failed, tried = doctest.testmod(module)
    assert tried
    assert not failed


def test_a_tally_tells_repeated_from_contradicted() -> None:
    """The same name with the same bytes again is no error where it may come again; with other bytes
    it always is.
    """
    once = tallied("x", {1: b"a"}, [(1, b"a"), (1, b"a")], once=True)
    again = tallied("x", {1: b"a"}, [(1, b"a"), (1, b"a"), (1, b"b")], once=False)
    assert (once.duplicates, once.errors) == (1, 1)
    assert (again.repeated, again.unequal, again.errors) == (1, 1, 1)


def _fed(plan: Plan, records: list[Stored], size: Callable[[], int]) -> Undisturbed:
    lane = detect_lane(0, plan.lanes, plan.names, plan.control_key, plan.versions)
    for group in cut(iter(records), iter(size, 0)):
        lane.take(group)
    return lane


def _lane(plan: Plan) -> Iterator[Stored]:
    rng = random.Random(plan.seed)
    offset = 0

    def at(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> Stored:
        nonlocal offset
        offset += 1
        appended = (plan.start + SPAN_US + offset * APPEND_STEP_US) // 1000
        return Stored(0, offset - 1, appended, key, value, tuple(headers))

    def control(record: Outgoing) -> Stored:
        return at(None, record.value, record.headers)

    def settings(version: str, number: int) -> Stored:
        return control(
            settings_control(
                plan.names.telemetry, 0, Publication(number, version), plan.control_key
            )
        )

    yield settings(version_of(plan.first), 1)
    changed = False
    for chunk in plan.traffic.chunks():
        if not changed and offset > plan.events // 2:
            changed = True
            yield settings(version_of(plan.second), 2)
            yield settings(version_of(plan.first), 1)
        for key, value, headers in zip(chunk.keys, chunk.values, chunk.headers, strict=True):
            yield at(key, value, headers)
            if rng.random() < 0.002:
                yield at(None, None, [("sentinel-tick", b"1")])
