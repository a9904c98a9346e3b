"""A score for each value of one series, from that value and the values before it."""

import math
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.detectors.single_series.detector import SingleSeries
from agents.detectors.single_series.extremes import Extremes
from agents.detectors.single_series.own_past import Cooldown
from agents.detectors.single_series.policy import ALARM, Policy
from agents.detectors.single_series.ranks import Ranks
from agents.detectors.single_series.shifts import Dependence
from agents.detectors.single_series.stretches import Stretches

STEP_S = 300.0
SMALL = Policy(warm_up=10, shift_warm_up=40, rank_least=20, stretch_points=3, stretch_rows=2)
"""Speaks within a few rows, so that short series say something."""


def scores(
    values: Sequence[float], policy: Policy | None = None, step_s: float = STEP_S
) -> list[float]:
    detector = SingleSeries(policy or Policy())
    return [detector.update(row * step_s, value) for row, value in enumerate(values)]


def noise(rows: int, seed: int = 1) -> list[float]:
    drawn: list[float] = np.random.default_rng(seed).normal(size=rows).tolist()
    return drawn


finite = st.floats(allow_nan=False, allow_infinity=False)
values = st.lists(st.one_of(finite, st.sampled_from([0.0, 1.0, math.nan, math.inf])), max_size=150)


@given(values, values)
@settings(max_examples=100, deadline=None)
def test_what_comes_later_changes_no_score(before: list[float], after: list[float]) -> None:
    """A prefix has the scores that it has within the whole: nothing of the range, the length or the
    future is known.
    """
    whole = scores([*before, *after], SMALL, 7_000.0)
    assert whole[: len(before)] == scores(before, SMALL, 7_000.0)


def test_a_long_prefix_has_the_scores_of_the_whole() -> None:
    """With the shipped configuration too, past all warm-ups and the forgetting of ranks."""
    drawn = noise(3_000)
    drawn[2_500:] = [value + 4.0 for value in drawn[2_500:]]
    whole = scores(drawn)
    assert max(whole) > ALARM
    assert whole[:1_700] == scores(drawn[:1_700])


@given(st.lists(finite, max_size=150))
@settings(max_examples=100, deadline=None)
def test_every_score_is_a_number_from_0_to_1(drawn: list[float]) -> None:
    """For any floats, the largest and denormal ones too."""
    assert all(0.0 <= score <= 1.0 for score in scores(drawn, SMALL, 7_000.0))


@pytest.mark.parametrize(
    "drawn",
    [
        [],
        [5.0],
        [0.0] * 800,
        [math.pi] * 800,
        [0.1 + 0.2, 0.3] * 400,
        [math.nan, math.inf, -math.inf] * 300,
        [1e9, 1e9 * (1 + 1e-14)] * 400,
    ],
    ids=["none", "one", "zeros", "constant", "rounding", "not finite", "relative rounding"],
)
def test_a_series_without_change_has_no_score(drawn: list[float]) -> None:
    """Nothing is odd in it, and nothing is divided by zero."""
    assert scores(drawn) == [0.0] * len(drawn)


@pytest.mark.parametrize("largest", [1e300, sys.float_info.max, -sys.float_info.max, 5e-324])
def test_one_extreme_value_among_ordinary_ones_is_an_alarm_or_nothing(largest: float) -> None:
    """And scores stay finite after it."""
    drawn = noise(1_200)
    drawn[700] = largest
    found = scores(drawn)
    assert all(math.isfinite(score) for score in found)
    assert (found[700] > ALARM) == (abs(largest) > 1.0)


@pytest.mark.parametrize("unit", [1_000.0, 1e-290, 1e290])
def test_the_unit_of_the_values_does_not_matter(unit: float) -> None:
    """The same series in bytes or gigabytes has the same scores."""
    drawn = [value + 10.0 * (row == 900) for row, value in enumerate(noise(1_200))]
    base = scores(drawn)
    assert max(base) > ALARM
    assert scores([value * unit for value in drawn]) == pytest.approx(base, abs=1e-6)


def test_the_zero_of_the_values_does_not_matter() -> None:
    """Degrees Celsius or kelvin."""
    drawn = [value + 10.0 * (row == 900) for row, value in enumerate(noise(1_200))]
    assert scores([value + 273.15 for value in drawn]) == pytest.approx(scores(drawn), abs=1e-6)


def test_a_value_that_is_not_finite_scores_0_and_is_not_learnt() -> None:
    """The rest has the scores of a series in which that row repeats nothing."""
    drawn = noise(900)
    with_gap = [*drawn[:300], math.nan, *drawn[300:]]
    found = scores(with_gap, Policy(warm_up=0))
    assert found[300] == 0.0
    assert found[:300] == scores(drawn[:300], Policy(warm_up=0))


def test_a_shift_of_the_level_is_reported_once_when_it_begins() -> None:
    """By one standard deviation, within some tens of rows; then it is the new normal. One alarm
    elsewhere may be by chance.
    """
    drawn = noise(6_000, seed=3)
    drawn[3_000:] = [value + 1.0 for value in drawn[3_000:]]
    alarms = [row for row, score in enumerate(scores(drawn)) if score >= 8 / 9]
    assert any(3_000 <= row <= 3_060 for row in alarms)
    assert sum(not 3_000 <= row < 3_500 for row in alarms) <= 1


def test_a_spread_that_doubles_is_reported() -> None:
    """Though the level stays."""
    drawn = noise(4_000, seed=5)
    drawn[3_000:] = [2.0 * value for value in drawn[3_000:]]
    alarms = [row for row, score in enumerate(scores(drawn)) if score >= 8 / 9]
    assert any(3_000 <= row <= 3_120 for row in alarms)
    assert sum(row < 3_000 for row in alarms) <= 1


def test_ranks_give_the_same_scores_whatever_the_distribution() -> None:
    """A monotone change of all values changes no rank."""
    drawn = noise(500)
    plain, bent = Ranks(100, 20), Ranks(100, 20)
    for value in drawn:
        assert plain.update(value) == bent.update(math.exp(3.0 * value))


def test_ranks_know_the_last_values_only() -> None:
    """After a memory of other values, a value is again in the middle."""
    ranks = Ranks(memory=50, least=10)
    for value in [*range(50), *range(1_000, 1_050)]:
        ranks.update(float(value))
    assert ranks.count == 50
    assert ranks.update(1_024.5) == (pytest.approx(0.0, abs=0.03), pytest.approx(-1.9, abs=0.3))


def test_dependent_scores_are_known_as_such() -> None:
    """Independent ones are left alone; those that follow each other have a large inflation."""
    independent, dependent = Dependence(), Dependence()
    kept = 0.0
    for drawn in noise(4_000):
        kept = 0.95 * kept + math.sqrt(1 - 0.95**2) * drawn
        independent.add(drawn)
        dependent.add(kept)
    assert independent.inflation < 1.2
    assert 10.0 < dependent.inflation < 50.0


def test_a_weaker_strength_passes_when_the_cooldown_is_over() -> None:
    """And a stronger one at once."""
    cooldown = Cooldown(rows=10)
    rows = [(0, 3.0), (5, 2.0), (6, 4.0), (11, 3.5), (16, 3.9), (17, 3.9)]
    assert [cooldown.update(*row) for row in rows] == [3.0, 0.0, 4.0, 0.0, 0.0, 3.9]


def test_a_record_is_measured_by_the_range_before_it() -> None:
    """Twice the range beyond it is 2, and then the range is wider."""
    extremes = Extremes(spread=0.0, memory=100)
    assert [extremes.update(value) for value in (0.0, 1.0, 3.0, 3.0, -3.0)] == [0, 0, 2, 0, 1]


def test_a_stretch_that_came_before_is_near() -> None:
    """A repeated pattern has distance 0; one that was never there has not."""
    stretches = Stretches(4, 2, 1, 100, 1_000)
    pattern = [0.0, 1.0, 4.0, 2.0] * 40
    assert max(stretches.update(value) for value in pattern[40:]) == pytest.approx(0.0, abs=1e-6)
    assert stretches.update(30.0) > 1.0


def test_memory_does_not_grow_with_the_series() -> None:
    """All that is kept after 12,000 rows is as large as after 8,000."""

    def size(thing: object, seen: set[int]) -> int:
        if id(thing) in seen or isinstance(thing, Policy | type):
            return 0
        seen.add(id(thing))
        if isinstance(thing, np.ndarray):
            return thing.nbytes
        inside: list[object] = []
        if isinstance(thing, list | tuple) or type(thing).__name__ == "deque":
            inside = list(thing)  # type: ignore[call-overload]
        else:
            slots = [
                name for each in type(thing).__mro__ for name in getattr(each, "__slots__", ())
            ]
            names = [*slots, *getattr(thing, "__dict__", {})]
            inside = [getattr(thing, name) for name in names if hasattr(thing, name)]
        return (
            1
            + sum(size(each, seen) for each in inside if not isinstance(each, float | int))
            + (len(inside))
        )

    detector, sizes = SingleSeries(Policy()), []
    for row, value in enumerate(noise(12_000)):
        detector.update(row * STEP_S, value)
        if row + 1 in (8_000, 12_000):
            sizes.append(size(detector, set()))
    assert sizes[1] <= 1.01 * sizes[0]


def test_the_scores_of_a_small_series_stay_as_they_are() -> None:
    """A golden case: a sawtooth of a day, a spike, a shift. A change of the detector shows here."""
    drawn = [float(row % 48) for row in range(700)]
    drawn[400] += 60.0
    for row in range(550, 700):
        drawn[row] += 25.0
    found = scores(drawn, step_s=1_800.0)
    reported = {row: round(score, 3) for row, score in enumerate(found) if score > 0.5}
    assert reported == pytest.approx(GOLDEN, abs=0.002)


GOLDEN = {
    400: 0.949,
    550: 0.651,
    553: 0.659,
    554: 0.675,
    558: 0.681,
    559: 0.685,
    666: 0.889,
}
