"""The one configuration that ships for series of single values."""

from dataclasses import dataclass
from typing import Final, NamedTuple

ALARM: Final = 0.67
"""Score from which a row is an alarm: where the labelled series of benchmarks.detection are scored
best. Scores are comparable between series, so one threshold serves all.
"""


class Weights(NamedTuple):
    """What the square root of each reason weighs, in the order of `reasons`."""

    season: float = 1.0
    lasting: float = 0.3
    record: float = 5.0
    season_record: float = 1.4
    stretch: float = 1.13


@dataclass(frozen=True, slots=True)
class Policy:
    """What is remembered, in rows unless the name says otherwise, and what each reason weighs.

    How the values were found, and how flat the surroundings are: docs/single-series.md.
    """

    warm_up: int = 150
    """Rows at the start that are learnt and never reported."""
    slot_s: int = 1_800
    """Seconds of a slot of the day, for the value against its time of day."""
    broad_slot_s: int = 3_600
    """Seconds of a slot, for records of that deviation."""
    slot_memory: int = 60
    """Samples of a slot after which older ones are forgotten."""
    slot_least: int = 5
    """Samples of a slot from which it is judged."""
    slot_floor: float = 0.2
    """Standard deviation of a slot at least, as a share of that of the series."""
    level_memory: int = 6_000
    """Rows over which the standard deviation of the series is known."""
    peak_decay: float = 0.9997
    """Share of the maximum of earlier novelty that is left after one row."""
    record_memory: int = 3_000
    record_spread: float = 3.0
    """Standard deviations by which the range is widened before a record is measured by it."""
    season_fade: float = 1e-4
    """Share of the range of deviations from the season that is forgotten in one row."""
    stretch_points: int = 8
    stretch_rows: int = 12
    """A stretch is this many means of this many rows."""
    stretch_every: int = 6
    stretches: int = 3_000
    """Stretches remembered, one in every `stretch_every` rows."""
    lasting_rows: int = 12
    """Rows over which a deviation from the season has to last to count as lasting."""
    rank_memory: int = 1_000
    """Rows that are the reference of level and spread."""
    rank_least: int = 100
    shift_warm_up: int = 500
    """Rows before which no change of level or spread is reported."""
    shift_rows: int = 500
    shift_growth: float = 1.5
    """A change is reported again within `shift_rows` rows only at this many times the evidence."""
    cooldown: int = 120
    """Rows after an alarm in which only a stronger one is reported."""
    weights: Weights = Weights()  # noqa: RUF009 - frozen
    shift_weight: float = 8.0
    """Strength of a change at its threshold: above what independent values of a heavy tail reach by
    chance once in 10,000 rows.
    """
