"""The worlds of benchmarks.detection: what is made is what is said, and goes through a backtest."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from benchmarks.detection.faults import KINDS, fault_rows, planted
from benchmarks.detection.playing import label, play
from benchmarks.detection.rows import Plan
from benchmarks.detection.worlds import BUCKET_US, HOUR, START, Burst, Series, World, steady
from schemas.records.anomalies import Direction


def whole(world: World) -> pl.DataFrame:
    """All events of a world."""
    return pl.concat(list(world.tables()))


def test_the_same_seed_makes_the_same_events_in_the_order_of_time() -> None:
    """Another seed makes others; rates and shares of errors are about what was asked for."""
    one, same, other = (
        whole(World([Series("a", 5.0, steady), Series("b", 1.0, steady)], 0.25, seed))
        for seed in (1, 1, 2)
    )
    assert one.equals(same)
    assert not one.equals(other)
    assert one["event_time"].is_sorted()
    assert one.filter(pl.col("application") == "a").height == pytest.approx(5 * 21_600, rel=0.02)
    assert one["status"].mean() == pytest.approx(0.005, rel=0.6)


def test_a_planted_fault_is_in_the_events_between_its_buckets_alone() -> None:
    """Of each kind: the array that it names changes there, and nowhere else."""
    for name, kind in KINDS.items():
        series, before = Series("a", 5.0, steady), Series("a", 5.0, steady)
        World([series], 0.25, 1), World([before], 0.25, 1)
        kind.apply(series, HOUR, 2 * HOUR)
        changed = getattr(series, kind.array) != getattr(before, kind.array)
        assert changed[HOUR : 2 * HOUR].sum() >= HOUR - 1, name
        assert not changed[:HOUR].any(), name
        assert not changed[2 * HOUR :].any(), name


def test_labels_of_planted_faults_name_a_side_and_do_not_overlap() -> None:
    """With quiet between them; traffic that falls is below, all else above."""
    world = World([Series("a", 0.1), Series("b", 0.1)], 2, 1)
    labels = planted(world, 1)
    assert len(labels) > 20
    for one in labels:
        is_less = str(one.given["kind"]).startswith("traffic -")
        assert one.side is (Direction.BELOW if is_less else Direction.ABOVE)
        assert one.shows is not None
    for name in "ab":
        own = [one for one in labels if one.application == name]
        for one, after in pairwise(own):
            assert after.start - one.end >= 3600 * 1_000_000


def test_a_user_s_burst_is_that_user_s_alone() -> None:
    """At the rate and with the prompts that it has."""
    world = World([Series("a", 1.0, steady, users=50)], 0.25, 1)
    world.bursts.append(Burst(0, "a/u5", 2.0, HOUR, 2 * HOUR, 20.0))
    events = whole(world).filter(pl.col("user") == "a/u5")
    inside = pl.col("event_time").is_between(
        START + HOUR * BUCKET_US, START + 2 * HOUR * BUCKET_US, closed="left"
    )
    burst, usual = events.filter(inside), events.filter(~inside)
    assert burst.height > 2 * 3600 * 0.9
    assert usual.height < 5 * 3600 * 0.2
    assert np.median(burst["prompt_tokens"]) > 10 * np.median(usual["prompt_tokens"])


def test_a_world_goes_through_a_backtest() -> None:
    """Every event counts, and an outage is found."""
    series = Series("a", 2.0, steady)
    world = World([series], 1 / 12, 1)
    series.errors[HOUR : HOUR + 60] = 1.0
    played = play(world.tables(), [label("a", "outage", HOUR, HOUR + 60)])
    assert played.result.replay.events == whole(world).height
    (found,) = played.matches.labels
    assert found.found_by is not None
    assert played.cpu_s > 0


@pytest.mark.nightly
def test_the_row_of_faults_tells_its_seed_size_and_cost() -> None:
    """At the least scale: a series of each volume."""
    (row,) = fault_rows(Plan(seed=3, scale=0.1))
    assert (row.seed, row.series) == (3, 7)
    assert row.numbers["faults"] > 50  # type: ignore[operator]
    assert 0 < row.numbers["found"] < 1  # type: ignore[operator]
    assert row.events > 0
    assert row.cpu_s > 0
