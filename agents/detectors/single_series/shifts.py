"""Whether the level, or the spread, of a series has changed for longer: CUSUM of normal scores.

Page's CUSUM of scores by rank (`ranks`) learns its reference as it runs and needs no distribution.
Its thresholds hold for independent values. Most series are not: neighbours resemble each other, and
a sum of them wanders without any change. How much it wanders is measured (`Dependence`) and divided
by, so that the same thresholds serve both.
"""

from collections import deque
from math import sqrt
from typing import Final

_DRIFTS: Final = ((0.25, 16.5), (0.5, 8.3))
"""Drift k and threshold h of the CUSUMs run side by side: they are the fastest for shifts by 2k,
0.5 and 1 standard deviation. h keeps both together, in both directions, well below one false alarm
in 10,000 independent values (measured by `python -m benchmarks.detection --only level_shift`).
"""

_RATIOS: Final = (2, 4, 4, 4, 4)
"""Each sum is of this many of the sums before it: of 2, 8, 32, 128 and 512 scores."""

_MEMORY: Final = 4_000
_POWER: Final = 3
"""Of the inflation, by which evidence is divided. Dependence that reaches over more than 512 values
is not measured, and shows in proportion to what is.
"""

_LAG: Final = 128

_DECAY: Final = 0.9999


class Dependence:
    """How many times the variance of a sum of scores is what it would be if they were independent:
    the largest over sums of 2 to 512 scores, 1 at least.

    An estimate from few sums is lowered by its standard error: what is not known to be dependent
    counts as independent.
    """

    __slots__ = ("_counts", "_filled", "_lowered", "_sums", "_variances", "inflation")

    def __init__(self) -> None:
        self.inflation = 1.0
        self._sums = [0.0] * len(_RATIOS)
        self._filled = [0] * len(_RATIOS)
        self._counts = [0] * len(_RATIOS)
        self._variances = [1.0] * len(_RATIOS)
        self._lowered = [1.0] * len(_RATIOS)

    def add(self, score: float) -> None:
        """Learn one score."""
        size = 1
        for at, ratio in enumerate(_RATIOS):
            self._sums[at] += score
            self._filled[at] += 1
            if self._filled[at] < ratio:
                break
            score = self._sums[at]
            size *= ratio
            self._complete(at, size)

    def _complete(self, at: int, size: int) -> None:
        count = self._counts[at] = min(self._counts[at] + 1, _MEMORY // size)
        self._variances[at] += (self._sums[at] ** 2 / size - self._variances[at]) / count
        self._lowered[at] = self._variances[at] / (1.0 + 2.0 * sqrt(2.0 / count))
        self._sums[at] = 0.0
        self._filled[at] = 0
        self.inflation = max(1.0, *self._lowered)


class Shift:
    """Evidence that scores have shifted: the largest CUSUM over its threshold, so that 1 is an
    alarm; over what the dependence of scores explains, and over the series' own earlier maximum.

    Dependence and maximum are learnt 128 rows late, so that a shift does not excuse itself.
    """

    __slots__ = ("_dependence", "_down", "_evidence", "_peak", "_scores", "_two_sided", "_up")

    def __init__(self, two_sided: bool) -> None:
        self._two_sided = two_sided
        self._up = [0.0] * len(_DRIFTS)
        self._down = [0.0] * len(_DRIFTS)
        self._dependence = Dependence()
        self._scores: deque[float] = deque()
        self._evidence: deque[float] = deque()
        self._peak = 0.0

    def update(self, score: float, known: int) -> float:
        """The evidence with `score`, a normal score by rank among `known` values; then learn it."""
        scores, evidence = self._scores, self._evidence
        scores.append(score)
        if len(scores) > _LAG:
            self._dependence.add(scores.popleft())
        answer = self._cusum(score, known) / self._dependence.inflation**_POWER
        evidence.append(answer)
        if len(evidence) > _LAG:
            self._peak = max(self._peak * _DECAY, evidence.popleft())
        return answer / max(1.0, self._peak)

    def _cusum(self, score: float, known: int) -> float:
        # The mean of the reference is itself uncertain by this much.
        uncertain = 1.0 / sqrt(known)
        up, down, highest = self._up, self._down, 0.0
        for at, (drift, threshold) in enumerate(_DRIFTS):
            slack = drift + uncertain
            above = up[at] = max(0.0, up[at] + score - slack)
            if self._two_sided:
                below = down[at] = max(0.0, down[at] - score - slack)
                above = max(above, below)
            highest = max(highest, above / threshold)
        return highest
