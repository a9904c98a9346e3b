"""Incidents: anomalies that belong together, one record per change."""

from dataclasses import dataclass
from enum import StrEnum

from schemas.avro.coding import Record
from schemas.records.anomalies import Breakdown, Severity


class IncidentState(StrEnum):
    """States of an incident."""

    OPEN = "open"
    RESOLVED = "resolved"
    """Data came and was normal again."""
    GIVEN_UP = "given_up"
    """No data has come for too long to wait for more."""
    CLOSED = "closed"
    """A person, or a change of settings, ended it."""


class IncidentChange(StrEnum):
    """Why there is a new state."""

    OPENED = "opened"
    ESCALATED = "escalated"
    UPDATED = "updated"
    RESOLVED = "resolved"
    NO_DATA = "no_data"
    """There is no data about what is wrong."""
    NEW_LEVEL = "new_level"
    """Something has been so for long, and counts as the new level."""
    GIVEN_UP = "given_up"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident(Record):
    """One state of an incident: anomalies that belong together. Every change is a new record under
    the same key.
    """

    id: str
    tenant: str
    application: str
    state: IncidentState
    revision: int
    change: IncidentChange
    severity: Severity
    title: str
    opened_at: int
    updated_at: int
    resolved_at: int | None = None
    anomaly_count: int
    models: tuple[str, ...]
    users: tuple[str, ...]
    metrics: tuple[str, ...]
    detectors: tuple[str, ...]
    anomaly_ids: tuple[str, ...]
    settings_version: str
    lane: int
    offset: int
    ordinal: int
    no_data_since: int | None = None
    new_level_since: int | None = None
    note: str = ""
    evidence_metric: str = ""
    evidence_model: str | None = None
    evidence_user: str | None = None
    evidence_rule: str | None = None
    evidence_observed: float | None = None
    evidence_expected: float | None = None
    evidence_score: float | None = None
    evidence_since: int | None = None
    breakdown: tuple[Breakdown, ...] = ()
    sample_event_ids: tuple[str, ...] = ()
    sample_trace_ids: tuple[str, ...] = ()
