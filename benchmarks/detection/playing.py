"""A world through the code of `sentinel backtest`, and what that cost."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from benchmarks.detection.worlds import BUCKET_US, START
from topology.backtesting.labels import Json, Label, label_of
from topology.backtesting.matching import Matches, match
from topology.backtesting.replay import Installation, Replay
from topology.backtesting.trace import Backtest, BadRows


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a world."""

    result: Backtest
    cpu_s: float
    """Of the backtest alone: checking rows, lane and correlator, not of making the events."""

    @property
    def matches(self) -> Matches:
        """Labels and incidents."""
        return self.result.matches

    @property
    def events_per_cpu_s(self) -> int:
        """Of the backtest alone."""
        return round(self.result.replay.events / max(self.cpu_s, 1e-9))


def play(
    tables: Iterable[pl.DataFrame],
    labels: Sequence[Label] = (),
    installation: Installation | None = None,
) -> Played:
    """Plays tables of events in order."""
    replay, row, cpu = Replay(installation or Installation()), 1, 0.0
    for table in tables:
        begun = time.process_time()
        replay.feed(replay.reader.read(table, row).frame)
        cpu += time.process_time() - begun
        row += table.height
    begun = time.process_time()
    replay.finish()
    cpu += time.process_time() - begun
    matches = match(labels, replay.anomalies, replay.incidents)
    return Played(Backtest(replay, matches, BadRows()), cpu)


def label(
    application: str, kind: str, begin: int, end: int, model: str | None = None,
    user: str | None = None,
) -> Label:  # fmt: skip
    """A label from one bucket to before another."""
    given: dict[str, Json] = {
        "application": application,
        "kind": kind,
        "start": START + begin * BUCKET_US,
        "end": START + end * BUCKET_US,
        "model": model,
        "user": user,
    }
    return label_of({name: value for name, value in given.items() if value is not None})
