"""What counts as bounded after an hour of churn, and that the hour runs."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from benchmarks.soak import Look, courses, unbounded
from tests.benchmarks.running import ROOT
from tests.harness.showing import BenchmarkFailed

RATE = 1000.0


def _looks(
    count: int = 90,
    pss: Callable[[float], float] = lambda at: 200.0,
    files: Callable[[float], float] = lambda at: 30.0,
    queue: Callable[[float], float] = lambda at: 100.0,
) -> list[Look]:
    """A look every ten seconds, each number a function of its moment."""
    moments = [number * 10.0 for number in range(count)]
    return [
        Look(at, pss(at), pss(at) + 40, files(at), 15.0, queue(at), at * RATE) for at in moments
    ]


def test_what_is_flat_is_bounded() -> None:
    """And its slope is none."""
    found = courses(_looks())
    assert unbounded(found, RATE) == []
    assert (found["pss_mb"].start, found["pss_mb"].end, found["pss_mb"].per_hour) == (
        200.0,
        200.0,
        0.0,
    )


def test_growth_within_the_first_third_is_warm_up() -> None:
    """What a worker takes once is no leak."""
    assert unbounded(courses(_looks(pss=lambda at: min(200.0, at))), RATE) == []


def test_memory_that_grows_on_is_not_bounded() -> None:
    """Both of its numbers are named, with how they grew; the slope is per hour."""
    found = courses(_looks(pss=lambda at: 200.0 + at / 10))
    assert [line.split()[0] for line in unbounded(found, RATE)] == ["pss_mb", "rss_mb"]
    assert found["pss_mb"].per_hour == pytest.approx(360.0)


def test_open_files_that_grow_are_not_bounded() -> None:
    """Three more are a leak of each visit, not chance."""
    (line,) = unbounded(courses(_looks(files=lambda at: 30.0 + at / 100)), RATE)
    assert line.startswith("open_files grew")


def test_open_files_may_be_at_one_level_more_often_than_before() -> None:
    """They are more while the worker has all lanes: that is for less than half of the looks at
    first, and for more than half in the end.
    """
    looks = _looks(files=lambda at: 33.0 if at / 10 % 10 < (4 if at < 600 else 6) else 29.0)
    assert unbounded(courses(looks), RATE) == []


@pytest.mark.parametrize("queue", [lambda at: at * 10, lambda at: 40_000.0 if at == 600 else 0.0])
def test_a_queue_that_is_not_worked_off_is_not_bounded(queue: Callable[[float], float]) -> None:
    """One that grows, and one that once stood for longer than half a minute."""
    (line,) = unbounded(courses(_looks(queue=queue)), RATE)
    assert line.startswith("the queue was not worked off")


def test_too_few_looks_say_nothing() -> None:
    """Rather than that all is well."""
    with pytest.raises(BenchmarkFailed, match="--minutes"):
        courses(_looks(5))


@pytest.mark.nightly
@pytest.mark.usefixtures("kafka_jars")
def test_half_a_minute_of_it_runs() -> None:
    """A worker, traffic and another worker that comes; the status says what the object says."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", "--json", "--minutes", "0.5", "--rate", "300"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    result = json.loads(done.stdout)
    assert done.returncode == (0 if result["bounded"] else 1)
    assert result["events"] > 0
    assert result["visits"] == 1
    for name in ("pss_mb", "rss_mb", "open_files", "threads", "queue_records"):
        assert set(result[name]) == {"start", "end", "max", "per_hour"}
    assert result["open_files"]["max"] > 3
