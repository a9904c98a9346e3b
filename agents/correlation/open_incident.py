"""An incident while it is open: what has joined it, and its row in a lane's state."""

import struct
from dataclasses import dataclass, field
from typing import Final, Self

from agents.correlation.grading import Extent, Thresholds, incident_severity
from agents.correlation.titles import sentence, title
from schemas.records import Anomaly, Incident, IncidentChange, IncidentState, Severity
from streams.pages import seal, unseal

_VERSION: Final = 1
_HEAD: Final = struct.Struct("<qqqdi?H")
_RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(slots=True)
class OpenIncident:
    """The running state of one incident. Times µs: event time, but for `last_append`."""

    id: str
    tenant: str
    application: str
    opened_at: int
    """Event time of the anomaly that opened it."""
    max_listed: int
    thresholds: Thresholds
    gravest: Severity = Severity.INFO
    """The gravest severity of its anomalies."""
    score: float = float("-inf")
    """Score of the anomaly that the title tells: the gravest, of those the one with the highest score, of those the first."""
    lead: str = ""
    lead_metric: str = ""
    revision: int = 0
    last_event: int = -(2**63)
    """Latest event time of its anomalies."""
    last_append: int = 0
    """Append time of the last anomaly that joined."""
    told_at: int = 0
    """`last_event` as the last record of it was written."""
    source_lane: int = 0
    """Lane of `telemetry` that the last anomaly came from."""
    untold: bool = False
    """Whether a metric, model, user or detector joined since the last record."""
    settings_version: str = ""
    """Of the last anomaly."""
    anomaly_count: int = 0
    models: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    detectors: list[str] = field(default_factory=list)
    anomaly_ids: list[str] = field(default_factory=list)

    def join(self, anomaly: Anomaly, append_time: int) -> bool:
        """Take an anomaly in; true when that raises the incident's severity.

        One that lies before the incident's start joins like any other and leaves `opened_at` as it was told.
        """
        before = self.severity
        is_graver = _RANK[anomaly.severity] > _RANK[self.gravest]
        if is_graver or (anomaly.severity is self.gravest and anomaly.score > self.score) or not self.anomaly_count:
            self.score, self.lead, self.lead_metric = anomaly.score, sentence(anomaly), anomaly.metric
        if is_graver:
            self.gravest = anomaly.severity
        self.last_event = max(self.last_event, anomaly.event_time)
        self.last_append = max(self.last_append, append_time)
        self.source_lane, self.settings_version = anomaly.lane, anomaly.settings_version
        self.anomaly_count += 1
        self._list(self.anomaly_ids, anomaly.id)
        for listed, name in (
            (self.models, anomaly.model),
            (self.users, anomaly.user),
            (self.metrics, anomaly.metric),
            (self.detectors, anomaly.detector),
        ):
            self.untold |= self._list(listed, name)
        return _RANK[self.severity] > _RANK[before]

    @property
    def severity(self) -> Severity:
        """By its gravest anomaly, and by its size, duration and reach."""
        extent = Extent(
            self.anomaly_count, max(self.last_event - self.opened_at, 0), len(self.models) + len(self.users)
        )
        return incident_severity(self.gravest, extent, self.thresholds)

    def _list(self, listed: list[str], name: str | None) -> bool:
        if name is None or len(listed) >= self.max_listed or name in listed:
            return False
        listed.append(name)
        return True

    def record(
        self, change: IncidentChange, *, resolved_at: int | None, lane: int, offset: int, ordinal: int
    ) -> Incident:
        """The incident's next revision, to be written; what joined counts as told."""
        self.revision += 1
        self.told_at = self.last_event
        self.untold = False
        others = [metric for metric in self.metrics if metric != self.lead_metric]
        text = title(self.lead, others)
        return self._incident(change, self.severity, text, resolved_at, lane, offset, ordinal)

    def _incident(
        self,
        change: IncidentChange,
        severity: Severity,
        text: str,
        resolved_at: int | None,
        lane: int,
        offset: int,
        ordinal: int,
    ) -> Incident:
        return Incident(
            id=self.id,
            tenant=self.tenant,
            application=self.application,
            state=IncidentState.OPEN if resolved_at is None else IncidentState.RESOLVED,
            revision=self.revision,
            change=change,
            severity=severity,
            title=text,
            opened_at=self.opened_at,
            updated_at=self.last_event if resolved_at is None else resolved_at,
            resolved_at=resolved_at,
            anomaly_count=self.anomaly_count,
            models=tuple(self.models),
            users=tuple(self.users),
            metrics=tuple(self.metrics),
            detectors=tuple(self.detectors),
            anomaly_ids=tuple(self.anomaly_ids),
            settings_version=self.settings_version,
            lane=lane,
            offset=offset,
            ordinal=ordinal,
        )

    def row(self) -> bytes:
        """The state as a row: a head of what the record does not say, the lead metric, and the record with the lead as its title and
        the gravest severity as its own, from which the rest follows."""
        metric = self.lead_metric.encode()
        head = _HEAD.pack(
            self.last_event, self.last_append, self.told_at, self.score, self.source_lane, self.untold, len(metric)
        )
        record = self._incident(IncidentChange.UPDATED, self.gravest, self.lead, None, 0, 0, 0)
        return seal(_VERSION, head + metric + record.to_bytes())

    @classmethod
    def from_row(cls, value: bytes, max_listed: int, thresholds: Thresholds) -> Self:
        """What `row` gave. Raises NewerState, and BadRecord where the bytes are not a row's."""
        _, body = unseal(value, _VERSION, "open incidents")
        last_event, last_append, told_at, score, source_lane, untold, size = _HEAD.unpack_from(body)
        record = Incident.from_bytes(bytes(body[_HEAD.size + size :]))
        return cls(
            id=record.id,
            tenant=record.tenant,
            application=record.application,
            opened_at=record.opened_at,
            max_listed=max_listed,
            thresholds=thresholds,
            gravest=record.severity,
            score=score,
            lead=record.title,
            lead_metric=bytes(body[_HEAD.size : _HEAD.size + size]).decode(),
            revision=record.revision,
            last_event=last_event,
            last_append=last_append,
            told_at=told_at,
            source_lane=source_lane,
            untold=untold,
            settings_version=record.settings_version,
            anomaly_count=record.anomaly_count,
            models=list(record.models),
            users=list(record.users),
            metrics=list(record.metrics),
            detectors=list(record.detectors),
            anomaly_ids=list(record.anomaly_ids),
        )
