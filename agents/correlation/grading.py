"""How grave an incident is: as grave as its gravest anomaly, or a step more when it is more than
that.
"""

from dataclasses import dataclass
from typing import Final

from schemas.records.anomalies import Severity

_ORDER: Final = tuple(Severity)


@dataclass(frozen=True, slots=True)
class Extent:
    """How much an incident is by now."""

    anomalies: int
    lasting_us: int
    """Event time from its first anomaly to its latest, µs."""
    reach: int
    """Models and users that its anomalies name."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From when on an incident counts as large, long or wide."""

    large: int
    long_us: int
    wide: int


def incident_severity(gravest: Severity, extent: Extent, thresholds: Thresholds) -> Severity:
    """The severity of an incident whose gravest anomaly is `gravest`.

    One of large, long and wide is what faults are like: many small buckets, a slow repair, two
    models behind one provider. Two of them together are an incident that is more than any one of
    its anomalies says: one step graver. Three are no more than one step. What is only `info` stays
    so. The severity never falls while an incident is open, since nothing that it depends on does.

    >>> bounds = Thresholds(large=30, long_us=900_000_000, wide=3)
    >>> incident_severity(Severity.MEDIUM, Extent(40, 60_000_000, 1), bounds).value
    'medium'
    >>> incident_severity(Severity.MEDIUM, Extent(40, 1_000_000_000, 1), bounds).value
    'high'
    """
    held = sum(
        (
            extent.anomalies >= thresholds.large,
            extent.lasting_us >= thresholds.long_us,
            extent.reach >= thresholds.wide,
        )
    )
    if held < 2 or gravest is Severity.INFO:
        return gravest
    return _ORDER[min(_ORDER.index(gravest) + 1, len(_ORDER) - 1)]
