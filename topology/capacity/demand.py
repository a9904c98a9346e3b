"""The demand on an installation, and the lines of a plan for it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from schemas.avro.limits import MAX_RECORD_BYTES
from schemas.units import number
from topology.capacity import measured
from topology.capacity.measured import Constant

DAYS: Final = MappingProxyType(
    {
        "telemetry": 7.0,
        "aggregates": 90.0,
        "anomalies": 90.0,
        "stored-events": 7.0,
        "stored-aggregates": 90.0,
        "stored-anomalies": 90.0,
    }
)
"""Default retention in days: topics as `sentinel topics create` makes them, `stored-` as in
`store.retention`. Incidents and notifications are few, and count as anomalies.
"""

BUCKET_S: Final = 10.0
"""Default of `lanes.bucket_s`."""

STORES: Final = ("none", "embedded", "elasticsearch")

DAY_S: Final = 86_400.0


class CapacityRefused(ValueError):
    """Raised for a demand that is impossible or beyond the measurements; the text is one line."""


@dataclass(frozen=True, slots=True)
class Demand:
    """The demand on an installation."""

    events_per_s: float
    """Events of all producers at peak, per second."""
    subjects: int
    """Series: applications times their models."""
    users: int = 0
    """Users with a profile of their own."""
    record_bytes: float = measured.USUAL_RECORD.value
    """Bytes of an event's record, before compression."""
    detectors: bool = True
    """False: windows only."""
    store: str = "elasticsearch"
    """One of `STORES`."""
    stored_share: float = 0.0
    """Share of the events that the store keeps, 0 to 1."""
    replicas: int = 1
    """Copies of each topic."""
    days: Mapping[str, float] = field(default_factory=lambda: DAYS)
    """As `DAYS`."""


@dataclass(frozen=True, slots=True)
class Line:
    """One number of a plan, and where it comes from."""

    group: str
    """workers, partitions, memory, disk or time."""
    name: str
    value: float
    unit: str
    why: str


def aggregates_per_s(demand: Demand) -> float:
    """One for each subject that had an event in the bucket."""
    return min(float(demand.subjects), demand.events_per_s * BUCKET_S) / BUCKET_S


def said(constant: Constant) -> str:
    """A constant, and what measured it."""
    return f"{number(constant.value, 4)} {constant.unit} ({constant.command})"


def times(copies: int) -> str:
    """How often something is kept, if more than once."""
    return f", {copies} copies" if copies > 1 else ""


def check(demand: Demand) -> None:
    """Raises CapacityRefused for what cannot be."""
    if not (math.isfinite(demand.events_per_s) and demand.events_per_s > 0):
        raise CapacityRefused(
            f"{demand.events_per_s:g} events a second are nothing to plan for; give more than 0"
        )
    if demand.subjects < 1:
        raise CapacityRefused(f"there is at least one subject, not {demand.subjects:,}")
    if demand.users < 0:
        raise CapacityRefused(f"there cannot be {demand.users:,} users")
    if max(demand.subjects, demand.users) > demand.events_per_s * DAY_S:
        raise CapacityRefused(
            f"{demand.events_per_s:g} events a second are {demand.events_per_s * DAY_S:,.0f} a day,"
            f" fewer than {max(demand.subjects, demand.users):,} subjects or users: who has none in"
            " a day is forgotten (lanes.subject_expiry_s)"
        )
    if not 50 <= demand.record_bytes <= MAX_RECORD_BYTES:
        raise CapacityRefused(
            f"a record is 50 to {MAX_RECORD_BYTES:,} bytes (lanes.max_record_bytes), not"
            f" {demand.record_bytes:,.0f}"
        )
    if demand.store not in STORES:
        raise CapacityRefused(f"there is no store {demand.store!r}, only {', '.join(STORES)}")
    if not 0 <= demand.stored_share <= 1:
        raise CapacityRefused(f"a share is 0 to 1, not {demand.stored_share:g}")
    if demand.replicas < 1:
        raise CapacityRefused(f"a topic has at least one copy, not {demand.replicas}")
    for name, days in demand.days.items():
        if not (math.isfinite(days) and days >= 0):
            raise CapacityRefused(f"{name} cannot be kept for {days:g} days")
