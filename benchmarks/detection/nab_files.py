"""Files of the Numenta Anomaly Benchmark in a folder, as far as they are there."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.detectors.single_series.changes import Changes
from agents.detectors.single_series.detector import SingleSeries
from agents.detectors.single_series.policy import Policy, Weights
from agents.detectors.single_series.reasons import Reasons
from agents.detectors.single_series.scale import Scale
from benchmarks.detection.nab_scoring import Floats, Labelled
from tests.harness.showing import BenchmarkFailed
from topology.backtesting.series_file import read_series


@dataclass(frozen=True, slots=True)
class NabFile:
    """One series: what scoring needs, and its rows."""

    labelled: Labelled
    times: Floats
    values: Floats


def load(folder: Path) -> list[NabFile]:
    """The files below `folder` that its windows.json names (as in NAB's labels/combined_windows
    .json), in the order of their names. Raises BenchmarkFailed where something is missing.
    """
    try:
        windows = json.loads((folder / "windows.json").read_text())
    except (OSError, ValueError) as why:
        raise BenchmarkFailed(f"{folder}/windows.json: {why}") from why
    return [_file(folder, name, spans) for name, spans in sorted(windows.items())]


def _file(folder: Path, name: str, spans: list[tuple[str, str]]) -> NabFile:
    rows = list(read_series(folder / name, "timestamp", "value", lambda _: None))
    stamps = [row.timestamp for row in rows]
    times = np.array([row.time_s for row in rows])
    values = np.array([row.value for row in rows])
    windows = [(_row(stamps, first), _row(stamps, last)) for first, last in spans]
    return NabFile(Labelled(name, len(rows), windows), times, values)


def _row(stamps: list[str], text: str) -> int:
    # Windows are given with microseconds, rows without.
    return stamps.index(text.removesuffix(".000000"))


def scores(file: NabFile) -> Floats:
    """The scores of the configuration that ships."""
    detector = SingleSeries(Policy())
    rows = zip(file.times.tolist(), file.values.tolist(), strict=True)
    return np.array([detector.update(time_s, value) for time_s, value in rows])


def novelty(file: NabFile) -> Floats:
    """The reasons of each row before they are weighed: a column for each field of `Weights`."""
    policy = Policy()
    reasons, scale = Reasons(policy), Scale()
    found = np.zeros((len(file.values), len(Weights._fields)))
    for row, (time_s, value) in enumerate(
        zip(file.times.tolist(), file.values.tolist(), strict=True)
    ):
        found[row] = reasons.update(time_s, scale.update(value))
    found[: policy.warm_up] = 0.0
    return found


def evidence(file: NabFile) -> Floats:
    """For each row the evidence of a change of level or spread, as far as it is reported."""
    changes, scale = Changes(Policy()), Scale()
    return np.array(
        [changes.update(row, scale.update(value)) for row, value in enumerate(file.values.tolist())]
    )
