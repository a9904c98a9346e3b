"""The metrics of a series, each declared once: what it is called, its unit, how parts of a bucket
are put together, and which direction is bad.

Texts, detectors, the store, the API and the page take names, labels and units from here. Names are
also those of the aggregate's fields (`<name>_observed`) and are in stored documents: they never
change; a label may.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Unit(StrEnum):
    """The kind of a metric's unit, and the unit that its values have on the wire."""

    DURATION = "duration"
    """µs."""
    MONEY = "money"
    """1e-9 of a currency unit."""
    SHARE = "share"
    """0 to 1."""
    RATE = "rate"
    """Calls per second."""
    TOKENS = "tokens"


class Merge(StrEnum):
    """How the values of parts of one bucket, each counted by another lane, make that of the whole.
    Means and shares are weighted by the events that they are of.
    """

    GEOMETRIC_MEAN = "geometric mean"
    MEAN = "mean"
    SHARE = "share"
    SUM = "sum"


class Bad(StrEnum):
    """The direction in which a change is an anomaly; the other one is none."""

    ABOVE = "above"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """The declaration of one metric."""

    name: str
    unit: Unit
    merge: Merge
    bad: Bad
    label: str | None = None
    """As people read it; None: the name, with spaces."""
    chart_unit: str = ""
    """The unit, as a chart says it beside the label; empty where the values say it themselves."""
    counted_by: str = "requests"
    """Field of the aggregate that says of how many events it is a mean or a share."""
    zero_is_unknown: bool = False
    """Whether a lane says nothing of it where its events had none of it at all: it takes that for
    not measured.
    """


MEASURES: Final = (
    Measure(
        name="latency",
        unit=Unit.DURATION,
        merge=Merge.GEOMETRIC_MEAN,
        bad=Bad.ABOVE,
    ),
    Measure(
        name="time_to_first_token",
        unit=Unit.DURATION,
        merge=Merge.GEOMETRIC_MEAN,
        bad=Bad.ABOVE,
        counted_by="first_token_count",
    ),
    Measure(
        name="tokens",
        unit=Unit.TOKENS,
        merge=Merge.MEAN,
        bad=Bad.ABOVE,
        chart_unit="tokens of a call",
        zero_is_unknown=True,
    ),
    Measure(
        name="cost",
        unit=Unit.MONEY,
        merge=Merge.MEAN,
        bad=Bad.ABOVE,
        chart_unit="cu = currency units of a call",
        zero_is_unknown=True,
    ),
    Measure(
        name="error_rate",
        unit=Unit.SHARE,
        merge=Merge.SHARE,
        bad=Bad.ABOVE,
        chart_unit="% of calls",
    ),
    Measure(
        name="request_rate",
        unit=Unit.RATE,
        merge=Merge.SUM,
        bad=Bad.BOTH,
        chart_unit="calls per second",
    ),
)
"""In the order of the aggregate's fields, which is also that of the state of detectors."""

METRICS: Final = tuple(measure.name for measure in MEASURES)

_BY_NAME: Final = {measure.name: measure for measure in MEASURES}


def label(metric: str) -> str:
    """What people read for a metric, declared here or not.

    >>> label("time_to_first_token"), label("quality.well_founded")
    ('time to first token', 'quality.well founded')
    """
    measure = _BY_NAME.get(metric)
    declared = None if measure is None else measure.label
    return metric.replace("_", " ") if declared is None else declared


def unit_of(metric: str) -> Unit | None:
    """The kind of unit of a metric of a series, or of a field of an event whose name ends with its
    unit; None where the name implies none.

    >>> unit_of("latency"), unit_of("queue_time_us"), unit_of("requests")
    (<Unit.DURATION: 'duration'>, <Unit.DURATION: 'duration'>, None)
    """
    if metric.endswith("_us"):
        return Unit.DURATION
    if metric == "cost_nano":
        return Unit.MONEY
    return _BY_NAME[metric].unit if metric in _BY_NAME else None
