"""What a load takes: never less for more, enough and not one too many, and refused where nothing
was measured.
"""

from dataclasses import replace
from itertools import pairwise
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topology.capacity import measured
from topology.capacity.demand import DAYS, STORES, CapacityRefused, Demand
from topology.capacity.measured import CONSTANTS, Curve
from topology.capacity.planning import Plan, busy, planned, share_of

RATES = st.floats(min_value=10.0, max_value=3e5)
SUBJECTS = st.integers(min_value=1, max_value=500_000)
DEMANDS = st.builds(
    Demand,
    events_per_s=RATES,
    subjects=SUBJECTS,
    users=st.integers(min_value=0, max_value=500_000),
    detectors=st.booleans(),
    store=st.just("none"),
)
MORE = st.floats(min_value=1.0, max_value=3.0)


def _is_no_less(more: Plan, less: Plan) -> None:
    """Of whatever more of the load must not shrink; memory is of one process, and more of them
    share the subjects.
    """
    assert more.partitions >= less.partitions
    assert all(more.workers[stage] >= count for stage, count in less.workers.items())
    disk, before = more.of("disk"), less.of("disk")
    assert all(disk[name] >= gb * (1 - 1e-9) for name, gb in before.items())


@given(DEMANDS, MORE)
def test_more_events_never_take_less(demand: Demand, times: float) -> None:
    """Workers, partitions and every line of disk."""
    _is_no_less(planned(replace(demand, events_per_s=demand.events_per_s * times)), planned(demand))


@given(DEMANDS, MORE)
def test_more_subjects_never_take_less(demand: Demand, times: float) -> None:
    """Workers, partitions and every line of disk."""
    _is_no_less(
        planned(replace(demand, subjects=int(demand.subjects * min(times, 1.7)))), planned(demand)
    )


@given(DEMANDS, st.floats(min_value=50, max_value=2_000), MORE)
def test_larger_records_never_take_less(demand: Demand, size: float, times: float) -> None:
    """Workers, partitions and every line of disk."""
    less = replace(demand, events_per_s=min(demand.events_per_s, 1e5), record_bytes=size)
    _is_no_less(planned(replace(less, record_bytes=size * times)), planned(less))


@given(DEMANDS, st.sampled_from(sorted(DAYS)), st.floats(min_value=0.0, max_value=365.0))
def test_longer_retention_takes_more_disk_and_nothing_else(
    demand: Demand, what: str, days: float
) -> None:
    """A day more of anything is seen on disk alone."""
    demand = replace(
        demand, store="embedded", stored_share=0.0, events_per_s=min(demand.events_per_s, 1e5)
    )
    less = planned(
        replace(demand, subjects=min(demand.subjects, 10_000), days={**DAYS, what: days})
    )
    more = planned(replace(less.demand, days={**DAYS, what: days + 1}))
    _is_no_less(more, less)
    assert (more.workers, more.partitions, more.of("memory")) == (
        less.workers,
        less.partitions,
        less.of("memory"),
    )


@given(DEMANDS)
def test_workers_are_enough_and_not_one_too_many(demand: Demand) -> None:
    """The busiest keeps within what is planned for; one worker fewer would not, or would have more
    subjects than were measured.
    """
    curve = measured.WITH_DETECTORS if demand.detectors else measured.WINDOWS_ONLY
    workers = planned(demand).workers["detect"]
    assert busy(demand, workers) <= measured.BUSY.value
    if workers > 1:
        names = demand.subjects + demand.users * demand.detectors
        share = share_of(workers - 1)
        too_many = demand.subjects * share > curve.most or names * share > measured.MEMORY.most
        assert too_many or busy(demand, workers - 1) > measured.BUSY.value


@given(DEMANDS)
def test_detectors_never_take_fewer_workers_than_windows_alone(demand: Demand) -> None:
    """Looking costs."""
    windows_only = planned(replace(demand, detectors=False))
    assert (
        planned(replace(demand, detectors=True)).workers["detect"] >= windows_only.workers["detect"]
    )


@pytest.mark.parametrize("store", STORES)
def test_every_line_has_a_reason(store: str) -> None:
    """A number without one is a guess; the store's lines are there where there is a store."""
    plan = planned(Demand(100_000, 50_000, users=20_000, store=store, stored_share=0.01))
    assert all(line.why and line.unit for line in plan.lines)
    assert ("sink" in plan.workers) == ("stored-aggregates" in plan.of("disk")) == (store != "none")
    assert {line.group for line in plan.lines} == {
        "workers",
        "partitions",
        "memory",
        "disk",
        "time",
    }


def test_the_whole_is_its_parts_with_headroom() -> None:
    """Disk: what is kept, and a fifth free; memory: each process with its own."""
    plan = planned(Demand(100_000, 50_000))
    disk, memory = plan.of("disk"), plan.of("memory")
    assert disk.pop("all") == pytest.approx(sum(disk.values()) / (1 - measured.FREE.value))
    assert memory.pop("all") == sum(mb * plan.workers[stage] for stage, mb in memory.items())


@pytest.mark.parametrize(
    ("demand", "why"),
    [
        (Demand(0, 1), "more than 0"),
        (Demand(-5, 1), "more than 0"),
        (Demand(nan, 1), "more than 0"),
        (Demand(inf, 1), "more than 0"),
        (Demand(10, 0), "at least one subject"),
        (Demand(10, 10, users=-1), "-1 users"),
        (Demand(1, 100_000), "forgotten"),
        (Demand(1e9, 100), "plan several installations"),
        (Demand(1e6, 10**9), "plan several installations"),
        (Demand(10, 10, store="paper"), "no store 'paper'"),
        (Demand(10, 10, stored_share=1.5), "0 to 1"),
        (Demand(10, 10, replicas=0), "at least one copy"),
        (Demand(10, 10, record_bytes=0), "a record is 50 to"),
        (Demand(10, 10, days={**DAYS, "telemetry": -1.0}), "telemetry cannot be kept"),
        (Demand(1e5, 10, stored_share=1.0), "smaller share"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nonsense_is_refused(demand: Demand, why: str) -> None:
    """One line that says what is wrong, or what to do."""
    with pytest.raises(CapacityRefused, match=why) as refused:
        planned(demand)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "name", [name for name, constant in sorted(CONSTANTS.items()) if isinstance(constant, Curve)]
)
def test_curves_never_fall(name: str) -> None:
    """Which "more never takes less" rests on."""
    curve = CONSTANTS[name]
    assert isinstance(curve, Curve)
    for (fewer, before), (more, after) in pairwise(curve.points):
        assert fewer < more
        assert before <= after
        assert before <= curve.at((fewer + more) / 2) <= after
    assert curve.at(1) == curve.points[0][1]
    assert curve.at(curve.most) == curve.points[-1][1]
    with pytest.raises(ValueError, match="more than"):
        curve.at(curve.most + 1)
