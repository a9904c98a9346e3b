"""How soon a shift of the level is found in independent noise, at a stated rate of alarms."""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from agents.detectors.single_series.detector import SingleSeries
from agents.detectors.single_series.policy import Policy
from benchmarks.detection.rows import Plan, Row
from tests.harness.showing import Json

Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]

STEP_S: Final = 300.0
QUIET_ROWS: Final = 10_000
KNOWN_ROWS: Final = 3_000
AFTER_ROWS: Final = 1_000
SIZES: Final = (0.5, 1.0)
_RUNS: Final = 40

_SPREADS: Final = {"normal": 0.0, "log-normal 0.5": 0.5, "log-normal 1": 1.0}


def level_shift_rows(plan: Plan) -> Iterator[Row]:
    """For each noise the threshold from quiet series, then the delays in others."""
    runs = plan.times(_RUNS)
    for number, (name, draw) in enumerate(_noises().items()):
        begun, generator = time.process_time(), np.random.default_rng([plan.seed, number])
        quiet = [_scores(draw(generator, QUIET_ROWS)) for _ in range(runs)]
        threshold = threshold_of(np.concatenate(quiet), runs)
        numbers: dict[str, Json] = {"threshold": round(threshold, 4)}
        for size in SIZES:
            delays = [_delay(draw, generator, size, threshold) for _ in range(runs)]
            numbers[f"delay_{size:g}"] = median(delays)
            numbers[f"missed_{size:g}"] = sum(each is None for each in delays)
        yield Row(
            f"level shift, {name}",
            "median rows to find a shift by 0.5 and 1 standard deviation, at one false alarm in"
            f" {QUIET_ROWS:,} rows",
            plan.seed,
            runs,
            numbers,
            runs * (QUIET_ROWS + len(SIZES) * (KNOWN_ROWS + AFTER_ROWS)),
            round(time.process_time() - begun, 2),
        )


def median(delays: Sequence[int | None]) -> float | None:
    """A missed shift counts as infinitely late; None where half of them were.

    >>> median([3, None, 5]), median([None, None, 5])
    (5, None)
    """
    found = statistics.median(math.inf if each is None else each for each in delays)
    return None if math.isinf(found) else found


def threshold_of(scores: Floats, alarms: int) -> float:
    """The lowest threshold that at most `alarms` scores are at or above.

    >>> threshold_of(np.array([0.1, 0.9, 0.5, 0.7]), 2) > 0.5
    True
    """
    highest_left_out = np.sort(scores)[::-1][alarms]
    return float(np.nextafter(highest_left_out, 1.0))


def _noises() -> Mapping[str, Draw]:
    """Noise of mean 0 and standard deviation 1."""

    def of(spread: float) -> Draw:
        if not spread:
            return lambda generator, rows: generator.normal(size=rows)
        mean = math.exp(spread**2 / 2)
        deviation = mean * math.sqrt(math.exp(spread**2) - 1)
        return lambda generator, rows: (
            (np.exp(spread * generator.normal(size=rows)) - mean) / deviation
        )

    return {name: of(spread) for name, spread in _SPREADS.items()}


def _delay(draw: Draw, generator: np.random.Generator, size: float, threshold: float) -> int | None:
    values = draw(generator, KNOWN_ROWS + AFTER_ROWS)
    values[KNOWN_ROWS:] += size
    found = np.flatnonzero(_scores(values)[KNOWN_ROWS:] >= threshold)
    return int(found[0]) + 1 if len(found) else None


def _scores(values: Floats) -> Floats:
    detector = SingleSeries(Policy())
    return np.array(
        [detector.update(row * STEP_S, value) for row, value in enumerate(values.tolist())]
    )
