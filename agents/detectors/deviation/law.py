"""What the judge goes by: the settings, and constants of the method with where they come from.

The constants were chosen on simulated traffic (`benchmarks.detection`, which states the seeds);
neighbouring values give results that differ by little. Arrays by reference are in the order of the
windows: 1, 4, 16, 16, 64, 256 and 1024 buckets.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from agents.detectors.deviation.measures import ABOVE, ERRORS, MEASURES, SIZES
from agents.detectors.settings import LEARNING_BUCKETS, Deviation

HOURS_A_WEEK: Final = 168
HOUR: Final = 360
"""Buckets of 10 s."""

DAY: Final = 24 * HOUR
_HOPS: Final = np.array([1, 1, 4, 4, 16, 64, 256])
"""Buckets of a block of each window; all but the first window have four blocks."""

_WINDOWS: Final = np.array([1, 4, 16, 16, 64, 256, 1024])
NEVER: Final = float("inf")

_MEMORY_SIZES: Final = (90, 30, 60, 360, 720, 2880, 8640)
"""Buckets that a reference of sizes remembers (time constant): short ones find steps in a level
that wanders, long ones drifts.
"""

_MEMORY_CALLS: Final = (60, 24, 36, 240, 720, 1080, 2160)
"""The same of the number of calls, which moves by itself."""

_SPREAD: Final = (0.06, 0.06, 0.07, 0.09, 0.11, 0.13, 0.16)
"""First guess of a level's own standard deviation in each window, natural logarithm."""

_EXCESS: Final = (0.02, 0.02, 0.02, 0.02, 0.03, 0.05, 0.10)
"""First guess of the relative variance of calls beyond Poisson's."""

_SCALARS: Final = {
    "error_excess": 0.3,  # Failures come in clusters.
    "prior": 6.0,  # Windows that the first guesses are worth.
    "spread_memory": 6 * DAY,
    "least_calls": 3.0,  # Successful calls in a window for its sizes to be judged.
    "spread_floor": 0.03,  # Nobody is woken by three percent, however even the series.
    "excess_floor": 0.005,
    "error_excess_floor": 0.3,
    "ripe": 4.0,  # Windows learnt before one is judged.
    "freedom": 100.0,  # At most, of Student's law; 8 at the beginning.
    "close": 0.25,  # An anomaly ends at this share of the threshold: half, in deviations.
    "least_steep": 1.0,  # Least scale of a Gumbel law.
    "habit": 1.25,  # What a short burst of traffic does to its threshold once it was reported,
    "habit_most": 5.0,  # at most,
    "brief": 48.0,  # if it is shorter than this, in buckets;
    "floor": 6.0,  # Least threshold.
    "steep": 1.0,  # First guess of the Gumbel laws' scale
    "start": 0.5,  # and place.
    "step": 3.0,  # Most standard deviations by which one block teaches.
    "tail_memory": 336.0,  # Hours that the Gumbel laws are learnt over.
    "ease": float(np.exp(-1 / 336)),  # What is left of a habit after an hour: two weeks.
    "tail_bound": 4.0,  # Most scales above the place by which an hour's maximum teaches.
    "calls_bar": 1.25,  # Traffic is the most restless measure.
    "calls_windows": 5.0,  # Longer windows of calls see the time of day, not a fault.
    "bound_calls": 12.0,  # Most variances by which a window teaches its excess variance;
    "bound_calls_long": 4.0,  # in windows over 16 buckets.
    "least_rate": 0.02,  # Calls a bucket under which a silent series is looked at now and then.
    "least_age": LEARNING_BUCKETS,
    "doubt": 6.0,  # Windows until long ones no longer go by how short ones scatter.
}

_TAIL_PRIOR: Final = (150.0,) * ABOVE + (36.0,) * 2
"""Hours that the first guess of the Gumbel laws is worth; of calls the world is wilder."""


def law_of(settings: Deviation) -> npt.NDArray[np.float64]:
    """The numbers in the order of judge.c's `Law`."""
    least, lasts = settings.least_change, settings.give_in_buckets
    ratios = (least.latency, least.time_to_first_token, least.tokens, least.cost, least.latency)
    gates = [_gate(ratio) for ratio in (*ratios, least.cost)]
    gates.append(NEVER if least.error_rate is None else least.error_rate)
    gates += [_gate(least.request_rate)] * 2
    accept = [NEVER if lasts is None else float(lasts)] * len(MEASURES)
    accept[ERRORS] = NEVER
    memories = (np.array(_MEMORY_SIZES), np.array(_MEMORY_CALLS), np.full(len(_HOPS), DAY))
    keep = [np.exp(-_HOPS / memory) for memory in memories]
    looks = np.log(HOUR / _WINDOWS) + 0.5
    numbers = [*np.concatenate(keep), *_SPREAD, *_EXCESS, *looks, *gates, *accept, *_TAIL_PRIOR]
    return np.array([*numbers, *_SCALARS.values()], np.float64)


def rarity(series: npt.NDArray[np.int64], false_alarms_per_week: float) -> npt.NDArray[np.float64]:
    """Minus the logarithm of the probability that a measure's hourly maximum may exceed its
    threshold by chance. `series`: how many the application of each has, which share its false
    alarms; shape (n,).
    """
    return np.asarray(np.log(HOURS_A_WEEK * len(MEASURES) * series / false_alarms_per_week))


def _gate(ratio: float | None) -> float:
    return NEVER if ratio is None else float(np.log(ratio))


assert len(SIZES) == ERRORS
