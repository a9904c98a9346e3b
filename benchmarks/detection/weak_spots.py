"""Rows about traffic with habits, thin traffic, and heavy tails."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from benchmarks.detection.playing import Played, label, play
from benchmarks.detection.rows import Plan, Row
from benchmarks.detection.worlds import BUCKET_US, DAY, HOUR, START, Series, World, steady
from tests.harness.showing import Json
from topology.backtesting.labels import Label

_DAYS: Final = 7
_KNOWN_FROM: Final = 2
"""Days after which a habit is to be known."""
_COPIES: Final = 4


def weak_rows(plan: Plan) -> Iterator[Row]:
    """Habits first: incidents per application and week from the third day on."""
    days = max(plan.days(_DAYS), 3.0)
    for name, change in _HABITS.items():
        series = [Series(f"{name} {copy}", 1.0, steady) for copy in range(plan.times(_COPIES))]
        world = World(series, days, plan.seed + 200)
        for one in series:
            change(one, world.buckets)
        played = play(world.tables())
        known = START + _KNOWN_FROM * DAY * BUCKET_US
        late = [one for one, _ in played.matches.incidents if one.opened.opened_at >= known]
        weeks = (days - _KNOWN_FROM) / 7 * len(series)
        numbers: dict[str, Json] = {
            "per_application_week_from_day_3": round(len(late) / weeks, 2),
            "before_day_3": len(played.matches.incidents) - len(late),
        }
        details: dict[str, Json] = {"metrics": dict(_metrics(played))}
        measures = f"false incidents of a habit ({days:.3g} days)"
        yield Row.of(f"habit: {name}", measures, plan.seed, len(series), played, numbers, details)
    for name, make in _FAULTS.items():
        series, day, labels_of = make(plan.times(_COPIES))
        world = World(series, day, plan.seed + 300)
        labels = labels_of()
        played = play(world.tables(), labels)
        yield _told(f"weak spot: {name}", plan, world, labels, played)


def _told(name: str, plan: Plan, world: World, labels: Sequence[Label], played: Played) -> Row:
    found = [one for one in played.matches.labels if one.found_by is not None]
    delays = [
        (one.found_by.event_time - one.label.start) / 1e6
        for one in found
        if one.found_by is not None
    ]
    matched = sum(is_matched for _, is_matched in played.matches.incidents)
    numbers: dict[str, Json] = {
        "faults": len(labels),
        "found": len(found),
        "longest_delay_s": max(delays, default=None),
        "incidents_per_fault": round(matched / max(len(labels), 1), 2),
        "unmatched": len(played.matches.incidents) - matched,
    }
    return Row.of(
        name, "faults of thin or odd traffic", plan.seed, len(world.series), played, numbers
    )


def _metrics(played: Played) -> list[tuple[str, int]]:
    return Counter(
        f"{one.metric} {one.direction.value}" for one in played.result.replay.anomalies
    ).most_common(5)


def _hourly(series: Series, buckets: int) -> None:
    series.rate[np.arange(buckets) % HOUR < 18] *= 6


def _nightly(series: Series, buckets: int) -> None:
    at = np.arange(buckets) % DAY
    series.rate[(at >= 2 * HOUR) & (at < 2.5 * HOUR)] *= 8


def _opening(series: Series, buckets: int) -> None:
    hours = np.arange(buckets) / HOUR % 24
    series.rate *= np.clip((hours - 9) * 6, 0.06, 1) * np.where(hours < 20, 1, 0.06) * 3


def _monday(series: Series, buckets: int) -> None:
    days = np.arange(buckets) // DAY % 7
    series.rate *= np.where(days >= 5, 0.05, 1)


def _near_zero(series: Series, buckets: int) -> None:
    hours = np.arange(buckets) / HOUR % 24
    series.rate *= np.where((hours < 6) | (hours > 22), 0.005, 1)


def _flapping(series: Series, buckets: int) -> None:
    series.latency[np.arange(buckets) % 90 < 12] *= 3


def _heavy(series: Series, buckets: int) -> None:
    series.tail = 0.1


_HABITS: Final[dict[str, Callable[[Series, int], None]]] = {
    "hourly batch of 3 min": _hourly,
    "nightly batch of 30 min": _nightly,
    "opening at 9:00": _opening,
    "weekend and Monday": _monday,
    "nights near zero": _near_zero,
    "flapping, 2 of 15 min": _flapping,
    "heavy tails": _heavy,
}

_Made = tuple[list[Series], float, Callable[[], list[Label]]]


def _one_a_minute(copies: int) -> _Made:
    series = [Series(f"rare {copy}", 1 / 60, steady) for copy in range(copies)]

    def labels() -> list[Label]:
        for one in series:
            one.errors[DAY : DAY + HOUR] = 1.0
        return [label(one.application, "outage", DAY, DAY + HOUR) for one in series]

    return series, 1.25, labels


def _thin_application(copies: int) -> _Made:
    series = [
        Series(f"thin {copy}", 0.02, steady, model=f"m{model}")
        for copy in range(copies)
        for model in range(20)
    ]

    def labels() -> list[Label]:
        made = []
        for one in series:
            one.rate[DAY : DAY + HOUR] = 0
            one.errors[DAY + 4 * HOUR : DAY + 5 * HOUR] = 0.3
        for name in dict.fromkeys(one.application for one in series):
            made.append(label(name, "silence", DAY, DAY + HOUR))
            made.append(label(name, "errors +30 points", DAY + 4 * HOUR, DAY + 5 * HOUR))
        return made

    return series, 1.3, labels


def _from_the_first_call(copies: int) -> _Made:
    series = [Series(f"broken {copy}", 1.0, steady) for copy in range(copies)]

    def labels() -> list[Label]:
        for one in series:
            one.errors[:] = 1.0
        return [label(one.application, "outage", 0, 2 * HOUR) for one in series]

    return series, 2 / 24, labels


def _three_hours(copies: int) -> _Made:
    series = [Series(f"long {copy}", 1.0, steady) for copy in range(copies)]

    def labels() -> list[Label]:
        for one in series:
            one.errors[DAY : DAY + 3 * HOUR] = 0.9
        return [label(one.application, "outage", DAY, DAY + 3 * HOUR) for one in series]

    return series, 1.25, labels


_FAULTS: Final[dict[str, Callable[[int], _Made]]] = {
    "one request a minute, all fail": _one_a_minute,
    "twenty thin models, silent and failing": _thin_application,
    "failing from the first call on": _from_the_first_call,
    "outage of three hours": _three_hours,
}
