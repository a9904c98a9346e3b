"""The score of the Numenta Anomaly Benchmark, from its published definition (Lavin and Ahmad,
"Evaluating Real-time Anomaly Detection Algorithms", 2015).

A row whose score is at or above the threshold is a detection. The first detection within a labelled
window earns up to 1, the more the earlier it comes; a window without one costs; every detection
outside costs, less shortly after a window. The first rows of a file count for nothing. One
threshold serves all files: that with the highest sum. 0 is a detector that never detects, 100 one
that detects each window in its first row and nothing else.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

PROBATION_SHARE: Final = 0.15
PROBATION_ROWS: Final = 750


@dataclass(frozen=True, slots=True)
class Profile:
    """What a detection outside all windows costs, and a window without one."""

    false_positive: float
    false_negative: float


PROFILES: Final[Mapping[str, Profile]] = {
    "standard": Profile(0.11, 1.0),
    "reward_low_FP_rate": Profile(0.22, 1.0),
    "reward_low_FN_rate": Profile(0.11, 2.0),
}


@dataclass(frozen=True, slots=True)
class Labelled:
    """A file as far as scoring needs it: its rows, and the first and last row of each window, in
    ascending order.
    """

    name: str
    rows: int
    windows: Sequence[tuple[int, int]]

    @property
    def category(self) -> str:
        """The folder of the file."""
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Step:
    """What the sum gains when the threshold comes down to this score."""

    score: float
    gain: float


def sigmoid(position: float) -> float:
    """What a detection is worth at a position relative to a window: -1 is its first row, 0 its end.

    >>> round(sigmoid(-1.0), 5), sigmoid(0.0), sigmoid(3.5)
    (0.98661, 0.0, -1.0)
    """
    return 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0 if position <= 3.0 else -1.0


def probation(rows: int) -> int:
    """The rows at the start that count for nothing."""
    return min(math.floor(PROBATION_SHARE * rows), PROBATION_ROWS)


def steps(file: Labelled, scores: Floats, profile: Profile) -> list[Step]:
    """The gains of a file above no detection at all, in any order."""
    found: list[Step] = []
    inside = np.zeros(file.rows, dtype=bool)
    begin = probation(file.rows)
    for first, last in file.windows:
        inside[first : last + 1] = True
        found += _of_window(first, last, begin, scores, profile)
    outside = np.flatnonzero(~inside[begin:] & (scores[begin:] > 0.0)) + begin
    for row in outside.tolist():
        worth = profile.false_positive * _after(file.windows, row)
        found.append(Step(float(scores[row]), worth))
    return found


def _of_window(first: int, last: int, begin: int, scores: Floats, profile: Profile) -> list[Step]:
    """The best-placed detection counts: as the threshold comes down, better ones replace it."""
    rows = np.arange(max(first, begin), last + 1)
    rows = rows[scores[rows] > 0.0]
    found, best = [], -profile.false_negative
    for row in rows[np.argsort(-scores[rows], kind="stable")].tolist():
        worth = sigmoid(-(last - row + 1) / (last - first + 1)) / sigmoid(-1.0)
        if worth > best:
            found.append(Step(float(scores[row]), worth - best))
            best = worth
    return found


def _after(windows: Sequence[tuple[int, int]], row: int) -> float:
    before = [window for window in windows if window[1] < row]
    if not before or before[-1][0] == before[-1][1]:
        return -1.0
    first, last = before[-1]
    return sigmoid((row - last) / (last - first))


def optimum(gains: Sequence[Step]) -> tuple[float, float]:
    """The highest sum over all thresholds, and its threshold; no detection at all is 0 at infinity.

    >>> optimum([Step(0.9, 2.0), Step(0.8, -0.5), Step(0.7, 1.0), Step(0.6, -3.0)])
    (2.5, 0.7)
    """
    ordered = sorted(gains, key=lambda step: -step.score)
    total, best, threshold = 0.0, 0.0, math.inf
    for at, step in enumerate(ordered):
        total += step.gain
        is_last_of_score = at + 1 == len(ordered) or ordered[at + 1].score < step.score
        if is_last_of_score and total > best:
            best, threshold = total, step.score
    return best, threshold


def gain_at(gains: Sequence[Step], threshold: float) -> float:
    """The sum at one threshold."""
    return sum(step.gain for step in gains if step.score >= threshold)


def normalised(gain: float, windows: int, profile: Profile) -> float:
    """A sum as a score of 100."""
    return 100.0 * gain / (windows * (1.0 + profile.false_negative))
