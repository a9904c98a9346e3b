"""How severe an incident is: as its most severe anomaly, or a step more if it is large, long or
wide.
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


def incident_severity(highest: Severity, extent: Extent, thresholds: Thresholds) -> Severity:
    """The severity of an incident whose anomalies have `highest` as their highest.

    Many faults are one of large, long and wide: many small buckets, a slow repair, two models
    behind one provider. An incident that is two of them is worse than any one of its anomalies: one
    step more severe. Three are one step too. `info` stays `info`. The severity never falls while an
    incident is open, since nothing that it depends on does.

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
    if held < 2 or highest is Severity.INFO:
        return highest
    return _ORDER[min(_ORDER.index(highest) + 1, len(_ORDER) - 1)]
