"""The shipped detector on the Numenta Anomaly Benchmark: scores, in corpus and held out."""

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from agents.detectors.single_series.own_past import Cooldown
from agents.detectors.single_series.policy import ALARM, Policy, Weights
from benchmarks.detection import nab_files
from benchmarks.detection.nab_files import NabFile, evidence, novelty
from benchmarks.detection.nab_scoring import (
    PROFILES,
    Floats,
    Labelled,
    Step,
    gain_at,
    normalised,
    optimum,
    steps,
)
from benchmarks.detection.published import FILES, PUBLISHED, WINDOWS
from benchmarks.detection.rows import Plan, Row
from tests.harness.showing import Json

GRID: Final = tuple(
    Weights(1.0, lasting, record, season_record, stretch)
    for lasting, record, season_record, stretch in itertools.product(
        (0.15, 0.3, 0.45), (3.5, 5.0, 7.0), (0.7, 1.4, 2.1), (0.8, 1.13, 1.5)
    )
)
"""Weights from which those of a held-out category are chosen, on the others."""

_LEAST: Final = 0.9
"""Strength below which no threshold is looked for."""


def nab_rows(plan: Plan) -> Iterator[Row]:
    """The scores, in corpus with one threshold for all files, and held out by category; beside them
    the published detectors, on their own part. Raises BenchmarkFailed for a folder without files.
    """
    measures = "Numenta Anomaly Benchmark, one configuration, one threshold for all files"
    if plan.nab is None:
        missing = {"not_measured": "no files: --nab FOLDER or SENTINEL_NAB"}
        yield Row("nab", measures, plan.seed, 0, missing)
        return
    begun, files = time.process_time(), nab_files.load(plan.nab)
    labelled = [file.labelled for file in files]
    found = [nab_files.scores(file) for file in files]
    cpu, rows = round(time.process_time() - begun, 2), sum(each.rows for each in labelled)
    windows = sum(len(each.windows) for each in labelled)
    numbers, details = _in_corpus(labelled, found, windows)
    yield Row("nab", measures, plan.seed, len(files), numbers, rows, cpu, details)
    tried = _tried(files)
    whole = [_of(optimum(_joined(each))[0], windows) for each in tried]
    held_out = {"standard": _of(_held_out(labelled, tried), windows)}
    around = {"lowest": min(whole), "median": float(np.median(whole)), "highest": max(whole)}
    yield Row(
        "nab, weights held out",
        f"weights of {len(GRID)} and threshold chosen without the category that is scored",
        plan.seed,
        len(files),
        held_out,
        details={"configurations": len(GRID), "standard_of_all": around},
    )
    if (len(files), windows) == (FILES, WINDOWS):
        for each in PUBLISHED:
            scored = {profile: round(each.score(profile), 2) for profile in each.sums}
            yield Row(f"nab, {each.name}", "as published", plan.seed, len(files), scored)


def _in_corpus(
    files: Sequence[Labelled], found: Sequence[Floats], windows: int
) -> tuple[dict[str, Json], dict[str, Json]]:
    gains = {name: _gains(files, found, name) for name in PROFILES}
    best = {name: optimum(_joined(of_files)) for name, of_files in gains.items()}
    standard, threshold = gains["standard"], best["standard"][1]
    numbers: dict[str, Json] = {name: _of(gain, windows, name) for name, (gain, _) in best.items()}
    numbers["standard_threshold_held_out"] = _of(_held_out(files, [standard]), windows)
    by_category = {
        name: _of(gain_at(_joined([standard[at] for at in inside]), threshold), count)
        for name, inside in _categories(files).items()
        if (count := sum(len(files[at].windows) for at in inside))
    }
    return numbers, {
        "windows": windows,
        "threshold": threshold,
        "standard_at_shipped_threshold": _of(gain_at(_joined(standard), ALARM), windows),
        "standard_by_category": by_category,
    }


def _gains(files: Sequence[Labelled], found: Sequence[Floats], profile: str) -> list[list[Step]]:
    pairs = zip(files, found, strict=True)
    return [steps(file, of_file, PROFILES[profile]) for file, of_file in pairs]


def _joined(gains: Sequence[Sequence[Step]]) -> list[Step]:
    return list(itertools.chain.from_iterable(gains))


def _of(gain: float, windows: int, profile: str = "standard") -> float:
    return round(normalised(gain, windows, PROFILES[profile]), 2)


def _categories(files: Sequence[Labelled]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for at, file in enumerate(files):
        found.setdefault(file.category, []).append(at)
    return found


def _held_out(files: Sequence[Labelled], tried: Sequence[Sequence[Sequence[Step]]]) -> float:
    """The sum over categories, each with what is best for all others. `tried` has for each
    configuration the gains of each file.
    """
    total = 0.0
    for inside in _categories(files).values():
        others = [at for at in range(len(files)) if at not in inside]
        choices = [optimum(_joined([gains[at] for at in others])) for gains in tried]
        chosen = max(range(len(tried)), key=lambda at: choices[at][0])
        total += gain_at(_joined([tried[chosen][at] for at in inside]), choices[chosen][1])
    return total


def _tried(files: Sequence[NabFile]) -> list[list[list[Step]]]:
    columns = [(novelty(file), evidence(file)) for file in files]
    return [
        [
            steps(file.labelled, _strength(*of_file, weights), PROFILES["standard"])
            for file, of_file in zip(files, columns, strict=True)
        ]
        for weights in GRID
    ]


def _strength(reasons: Floats, changed: Floats, weights: Weights) -> Floats:
    """As the detector makes it, but for what is too weak for any threshold; not yet a score."""
    policy = Policy()
    strength = np.maximum(reasons @ np.array(weights), policy.shift_weight * changed)
    cooldown, passed = Cooldown(policy.cooldown), np.zeros(len(strength))
    for row in np.flatnonzero(strength > _LEAST).tolist():
        passed[row] = cooldown.update(row, float(strength[row]))
    return passed
