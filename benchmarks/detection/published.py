"""What published detectors reach on the same files of the Numenta Anomaly Benchmark.

Sums of the scores by file that the benchmark's repository publishes (results/NAME/NAME_PROFILE_
scores.csv), for the 34 files of the four categories that windows.json of this part names. Each
detector's threshold is the one that is best for it on all 58 files. ARTime, Numenta HTM and CAD OSE
are told the range of each file before its first row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

FILES: Final = 34
WINDOWS: Final = 50


@dataclass(frozen=True, slots=True)
class Published:
    """A detector, and its sums of file scores: a perfect one has one for each window, one that is
    silent minus one.
    """

    name: str
    sums: Mapping[str, float]

    def score(self, profile: str) -> float:
        """As a score of 100."""
        return 100.0 * (self.sums[profile] + WINDOWS) / (2 * WINDOWS)


PUBLISHED: Final = (
    Published("ARTime", {"standard": 21.0519, "reward_low_FP_rate": 12.2473}),
    Published("CAD OSE", {"standard": 20.9348, "reward_low_FP_rate": 17.5231}),
    Published("Numenta HTM", {"standard": 12.9979, "reward_low_FP_rate": 7.5761}),
    Published("windowed Gaussian", {"standard": -20.6008, "reward_low_FP_rate": -50.0}),
)
"""From github.com/numenta/NAB, whose results are published under its licence (AGPL-3.0 for the
code, data as named there). The windowed Gaussian is silent in the second profile.
"""
