"""What a row of the table is, and the plan that all rows are made by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.detection.playing import Played
from tests.harness.showing import Json


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is played."""

    seed: int = 1
    scale: float = 1.0
    """Days and repetitions, relative to the default."""
    nab: Path | None = None
    """Folder of the Numenta Anomaly Benchmark's files; None if they are not here."""

    def days(self, full: float) -> float:
        """Days at this scale, an hour at least."""
        return max(full * self.scale, 1 / 24)

    def times(self, full: int) -> int:
        """Repetitions at this scale, one at least."""
        return max(round(full * self.scale), 1)


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement."""

    name: str
    measures: str
    seed: int
    series: int
    numbers: Mapping[str, Json]
    events: int = 0
    cpu_s: float = 0.0
    """Of the backtest, without making the events."""
    details: Mapping[str, Json] = field(default_factory=dict)

    @staticmethod
    def of(
        name: str,
        measures: str,
        seed: int,
        series: int,
        played: Played,
        numbers: Mapping[str, Json],
        details: Mapping[str, Json] | None = None,
    ) -> "Row":
        """With the cost of what was played."""
        events, cpu = played.result.replay.events, round(played.cpu_s, 2)
        return Row(name, measures, seed, series, numbers, events, cpu, details or {})
