"""Rows about faults of many kinds and sizes, one after another in days of seasonal traffic."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from benchmarks.detection.playing import label, play
from benchmarks.detection.rows import Plan, Row
from benchmarks.detection.worlds import DAY, Floats, Series, World
from tests.harness.showing import Json
from topology.backtesting.labels import Label
from topology.backtesting.matching import Match

VOLUMES: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
DAYS: Final = 5
PER_VOLUME: Final = 6
_MINUTE: Final = 6
_GAP: Final = (60, 85)
"""Minutes between two faults of a series."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One fault: what it does to an array of a series, for this many minutes."""

    array: str
    minutes: float
    to: float
    """The factor; of errors the share that is added."""
    is_drift: bool = False
    """Whether it grows evenly to that."""

    def apply(self, series: Series, begin: int, end: int) -> None:
        """Changes the series between two buckets."""
        values = getattr(series, self.array)
        grown = np.linspace(0, 1, end - begin) if self.is_drift else np.ones(end - begin)
        if self.array == "errors":
            values[begin:end] = np.minimum(values[begin:end] + self.to * grown, 1)
        else:
            values[begin:end] *= 1 + (self.to - 1) * grown


KINDS: Final[Mapping[str, FaultKind]] = {
    "latency x1.2": FaultKind("latency", 20, 1.2),
    "latency x1.5": FaultKind("latency", 20, 1.5),
    "latency x2": FaultKind("latency", 20, 2),
    "latency x4": FaultKind("latency", 20, 4),
    "first token drifts to x2": FaultKind("first", 120, 2, is_drift=True),
    "latency drifts to x1.5": FaultKind("latency", 120, 1.5, is_drift=True),
    "latency drifts to x4": FaultKind("latency", 120, 4, is_drift=True),
    "errors +1 points": FaultKind("errors", 20, 0.01),
    "errors +3 points": FaultKind("errors", 20, 0.03),
    "errors +10 points": FaultKind("errors", 20, 0.10),
    "errors +30 points": FaultKind("errors", 20, 0.30),
    "errors drift to +20 points": FaultKind("errors", 120, 0.20, is_drift=True),
    "traffic -30 %": FaultKind("rate", 20, 0.7),
    "traffic -60 %": FaultKind("rate", 20, 0.4),
    "traffic -100 %": FaultKind("rate", 20, 0.0),
    "traffic x2": FaultKind("rate", 10, 2),
    "traffic x3": FaultKind("rate", 10, 3),
    "traffic x6": FaultKind("rate", 10, 6),
    "cost +20 %": FaultKind("cost", 30, 1.2),
    "cost +100 %": FaultKind("cost", 30, 2),
    "cost x4": FaultKind("cost", 30, 4),
    "tokens x2": FaultKind("tokens", 30, 2),
    "outage of 30 s": FaultKind("errors", 0.5, 1.0),
    "outage of 2 min": FaultKind("errors", 2, 1.0),
}


def fault_rows(plan: Plan) -> Iterator[Row]:
    """One row, with the share found by kind and volume."""
    series = [
        Series(f"{volume:g}-{copy}", volume)
        for volume in VOLUMES
        for copy in range(plan.times(PER_VOLUME))
    ]
    days = max(plan.days(DAYS), 1.5)
    world = World(series, days, plan.seed + 100)
    labels = planted(world, plan.seed)
    played = play(world.tables(), labels)
    volume_of = {one.application: one.volume for one in series}
    found = played.matches.labels
    often = [one for one in found if volume_of[one.label.application] >= 1]
    false = sum(not is_matched for _, is_matched in played.matches.incidents)
    named = {f"{name}, >= 1/s": _share(_of(often, name)) for name in KINDS}
    numbers: dict[str, Json] = {
        "faults": len(labels),
        "found": _share(found),
        "found_from_1_per_s": _share(often),
        "unmatched_per_application_week": round(false / len(series) / days * 7, 2),
        "severity_to_size": _rank_correlation(often),
    }
    yield Row.of(
        "faults",
        f"share found of {len(KINDS)} kinds of fault at {len(VOLUMES)} volumes",
        plan.seed,
        len(series),
        played,
        numbers,
        {"from_1_per_s": named, "by_kind_and_volume": _table(found, volume_of)},
    )


def planted(world: World, seed: int) -> list[Label]:
    """Faults of all kinds in turn, in each series one after another from the second half of the
    first day on.
    """
    labels = []
    for place, series in enumerate(world.series):
        random = np.random.default_rng([seed, 7, place])
        at, bag = DAY // 2 + int(random.integers(0, 360)), list[str]()
        while True:
            if not bag:
                bag = [str(name) for name in random.permutation(list(KINDS))]
            name = bag.pop()
            kind = KINDS[name]
            end = at + max(round(kind.minutes * _MINUTE), 1)
            if end + 30 >= world.buckets:
                break
            kind.apply(series, at, end)
            labels.append(label(series.application, name, at, end))
            at = end + int(random.integers(_GAP[0] * _MINUTE, _GAP[1] * _MINUTE))
    return labels


def _of(found: Sequence[Match], name: str) -> list[Match]:
    return [one for one in found if one.label.given["kind"] == name]


def _share(found: Sequence[Match]) -> float | None:
    if not found:
        return None
    return round(sum(one.found_by is not None for one in found) / len(found), 3)


def _table(found: Sequence[Match], volume_of: Mapping[str, float]) -> dict[str, Json]:
    """By kind and volume: found, of how many, and the median delay in seconds."""
    cells: dict[tuple[str, float], list[float | None]] = defaultdict(list)
    for one in found:
        key = (str(one.label.given["kind"]), volume_of[one.label.application])
        delay = (
            None
            if one.found_by is None
            else (one.found_by.event_time - one.label.start) / 1_000_000
        )
        cells[key].append(delay)
    return {
        name: {f"{volume:g}/s": _cell(cells[name, volume]) for volume in VOLUMES} for name in KINDS
    }


def _cell(delays: Sequence[float | None]) -> Json:
    hits = [delay for delay in delays if delay is not None]
    return [len(hits), len(delays), round(median(hits), 1) if hits else None]


_GRADES: Final = ("info", "low", "medium", "high", "critical")


def _rank_correlation(found: Sequence[Match]) -> float | None:
    """Spearman's, of the severity of found faults with their size: the logarithm of the factor, or
    ten times the share of errors.
    """
    pairs = []
    for one in found:
        kind = KINDS[str(one.label.given["kind"])]
        if one.found_by is None or kind.is_drift:
            continue
        told = one.found_by if one.incident is None else one.incident.last
        size = 10 * kind.to if kind.array == "errors" else abs(np.log(max(kind.to, 0.05)))
        pairs.append((float(_GRADES.index(told.severity.value)), float(size)))
    if len(pairs) < 3:
        return None
    grades, sizes = (_ranks([pair[place] for pair in pairs]) for place in range(2))
    if not np.ptp(grades) or not np.ptp(sizes):
        return None
    return round(float(np.corrcoef(grades, sizes)[0, 1]), 3)


def _ranks(values: Sequence[float]) -> Floats:
    """With ties shared."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middles: Floats = np.cumsum(counts) - (counts - 1) / 2
    return middles[inverse]
