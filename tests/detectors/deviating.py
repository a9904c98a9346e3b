"""Runs of the deviation detector over synthetic traffic."""

from dataclasses import replace

from agents.detectors.contract import Bands, Change, Closed, Finding
from agents.detectors.deviation.detector import DeviationDetector
from agents.detectors.settings import Deviation
from schemas.records.anomalies import SignalStatus
from streams.state.tables import Table
from tests.detectors.traffic import START, Fault, World, closes

STEADY = World(rate=5, latency_sigma=0.3, tokens_sigma=0.3, latency_wander=0.0)


class Run:
    """One detector over the closed buckets of some series."""

    def __init__(self, settings: Deviation | None = None) -> None:
        self.detector = DeviationDetector(settings or Deviation())
        self.tables = {spec.name: Table(spec) for _, spec in self.detector.tables}
        self.found: list[tuple[int, Finding]] = []
        self.bands: list[Bands] = []
        self.changes: list[tuple[int, Change]] = []

    def over(self, *closed: Closed) -> "Run":
        """With these buckets judged."""
        for bucket in closed:
            verdicts = self.detector.at_close(self.tables, bucket)
            self.found += [(bucket.bucket - START, finding) for finding in verdicts.findings]
            self.changes += [(bucket.bucket - START, change) for change in verdicts.changes]
            self.bands += [] if verdicts.bands is None else [verdicts.bands]
        return self

    def buckets(self, metric: str, row: int = 0) -> list[int]:
        """In which buckets the metric of one series was reported."""
        return [at for at, one in self.found if (one.metric, one.row) == (metric, row)]

    def begun(self, metric: str, row: int = 0) -> list[int]:
        """In which buckets an anomaly of it began."""
        mine = [one for one in self.found if (one[1].metric, one[1].row) == (metric, row)]
        return [at for at, one in mine if one.first]

    def of(self, metric: str, row: int = 0) -> list[tuple[int, SignalStatus]]:
        """What became of the metric of one series, and in which buckets."""
        mine = [(at, one) for at, one in self.changes if one.signal.metric == metric]
        return [(at, one.status) for at, one in mine if one.signal.row == row]


def run(
    fault: Fault,
    buckets: int,
    settings: Deviation | None = None,
    world: World = STEADY,
    series: int = 3,
) -> Run:
    """The run over a world with a fault."""
    return Run(settings).over(*closes(world, series, buckets, 2, fault))


def parts(*faults: tuple[int, Fault]) -> list[Closed]:
    """A series whose traffic is ordinary for 100 buckets, and then as each fault says up to its
    bucket; each bucket with when the series was last seen before.
    """
    made: list[Closed] = list(closes(STEADY, 1, 100, 2))
    for until, fault in faults:
        made += list(closes(STEADY, 1, until, 2, replace(fault, at=0)))[len(made) :]
    last, seen = 0, []
    for closed in made:
        seen.append(replace(closed, seen_before=closed.rows * 0 + last))
        last = closed.bucket + 1 if closed.numbers["requests"][0] else last
    return seen
