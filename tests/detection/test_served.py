"""A detector that a lane cannot serve is refused when settings are read, with its name and the
reason.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from agents.detection.served import Detectors, detectors_of
from agents.detectors.contract import BAND_METRICS, Closed, Kind, Tables, Verdicts
from agents.detectors.settings import DetectionSettings
from streams.state.position import Refused
from streams.state.tables import TableSpec

ROW = np.dtype([("seen", "<u4")])


class Asking:
    """A detector that only asks for things."""

    version = 1

    def __init__(
        self,
        name: str,
        kind: Kind = Kind.SERIES,
        bands: tuple[str, ...] = (),
        tables: Sequence[str] = (),
    ) -> None:
        self.name, self.kind, self.bands = name, kind, bands
        self.tables: Sequence[tuple[Kind, TableSpec]] = [
            (kind, TableSpec(table, ROW)) for table in tables
        ]

    def at_close(self, tables: Tables, closed: Closed) -> Verdicts:
        """Nothing."""
        return Verdicts(())

    def recompute(self, metric: str, evidence: Mapping[str, float]) -> float:
        """Nothing was ever told."""
        raise KeyError(metric)


@pytest.mark.parametrize(
    ("asking", "reason"),
    [
        (
            [Asking("wide", Kind.APPLICATION)],
            "detector wide: a lane has closed buckets of series and user subjects",
        ),
        (
            [Asking("one", bands=BAND_METRICS), Asking("two", bands=BAND_METRICS)],
            "detectors one and two both give bands",
        ),
        (
            [Asking("odd", bands=("latency", "retries"))],
            "detector odd: an aggregate has bands of series, for exactly",
        ),
        ([Asking("few", bands=("latency",))], "detector few: an aggregate has bands"),
        (
            [Asking("users", Kind.USER, bands=BAND_METRICS)],
            "detector users: an aggregate has bands of series",
        ),
        ([Asking("same"), Asking("same")], "two detectors are named same"),
        ([Asking("one", tables=["t"]), Asking("two", tables=["t"])], "two tables are named t"),
        (
            [Asking("thief", tables=["series-window"])],
            "detector thief: table series-window is the lane's own",
        ),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_what_a_lane_cannot_serve_is_refused(asking: list[Asking], reason: str) -> None:
    """Before any lane meets it."""
    with pytest.raises(Refused, match=reason):
        Detectors((), asking)


def test_what_the_settings_switch_on_can_be_served() -> None:
    """All detectors of the package together."""
    assert [one.name for one in detectors_of(DetectionSettings()).at_close] == [
        "deviation",
        "profile",
    ]


def test_a_second_detector_may_stand_beside_the_one_with_bands() -> None:
    """Only bands are for one."""
    Detectors((), [Asking("one", bands=BAND_METRICS), Asking("two", tables=["two"])])
