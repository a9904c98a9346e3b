"""An incident while it is open: what has joined it, and its row in a lane's state."""

import struct
from dataclasses import dataclass, field, replace
from typing import Final, Self

from agents.correlation.grading import Extent, Thresholds, incident_severity
from agents.correlation.lead import Lead
from agents.correlation.signals import NEVER, Signals, signal_key
from agents.correlation.titles import sentence, title
from schemas.records.anomalies import Anomaly, Severity, SignalChange, SignalStatus
from schemas.records.incidents import Incident, IncidentChange, IncidentState
from streams.state.chunks import seal, unseal

_VERSION: Final = 3
_HEAD: Final = struct.Struct("<qqqdi?H")
_MORE: Final = struct.Struct("<qqB")
MAX_NOTE: Final = 500
"""Characters of a note; names in records may be long."""
_ENDS: Final = {SignalStatus.NORMAL: 1, SignalStatus.RETIRED: 2, SignalStatus.GIVEN_UP: 4}
_RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(slots=True)
class OpenIncident:
    """The running state of one incident. Times µs: event time, but for `last_append` and
    `no_data_append`.
    """

    id: str
    tenant: str
    application: str
    opened_at: int
    """Event time of the anomaly that opened it."""
    max_listed: int
    thresholds: Thresholds
    signals: Signals
    """What is still wrong."""
    max_severity: Severity = Severity.INFO
    """The highest severity of its anomalies."""
    score: float = float("-inf")
    """Score of the anomaly that the title is about: the most severe, of those the one with the
    highest score, of those the first.
    """
    lead: str = ""
    lead_metric: str = ""
    revision: int = 0
    last_event: int = -(2**63)
    """Latest event time of its anomalies."""
    last_append: int = 0
    """Append time of the last record that concerned it."""
    recorded_at: int = 0
    """`last_event` when the last record of it was written."""
    source_lane: int = 0
    """Lane of `telemetry` that the last anomaly came from."""
    has_news: bool = False
    """Whether a metric, model, user or detector joined since the last record."""
    settings_version: str = ""
    """Of the last anomaly."""
    anomaly_count: int = 0
    models: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    detectors: list[str] = field(default_factory=list)
    anomaly_ids: list[str] = field(default_factory=list)
    ended_at: int = NEVER
    """Latest event time at which one of its signals ended."""
    no_data_append: int = NEVER
    """Append time at which it was found that no data comes of any open signal; NEVER while it
    comes.
    """
    ends: int = 0
    """How its signals ended so far: a sum of `_ENDS`."""
    note: str = ""
    """Why it is as it is, for a person."""
    evidence: Lead | None = None
    """The newest of the signal that the title is about; None in a row of an earlier release."""

    def join(self, anomaly: Anomaly, append_time: int) -> bool:
        """Add an anomaly; true when that raises the incident's severity.

        One that lies before the incident's start joins like any other and leaves `opened_at` as it
        is, since records of the incident have that already.
        """
        before = self.severity
        is_worse = _RANK[anomaly.severity] > _RANK[self.max_severity]
        if (
            is_worse
            or (anomaly.severity is self.max_severity and anomaly.score > self.score)
            or not self.anomaly_count
        ):
            self.evidence = Lead.of(anomaly, self.evidence)
            self.score, self.lead, self.lead_metric = (
                anomaly.score,
                sentence(anomaly, self.evidence.since),
                anomaly.metric,
            )
        # The title keeps its anomaly; its numbers follow the signal, as a person would read them.
        elif self.evidence is not None and self.evidence.is_signal_of(anomaly):
            self.evidence = Lead.of(anomaly, self.evidence)
        if is_worse:
            self.max_severity = anomaly.severity
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
            self.has_news |= self._list(listed, name)
        return _RANK[self.severity] > _RANK[before]

    @property
    def severity(self) -> Severity:
        """By its most severe anomaly, and by its size, duration and reach."""
        extent = Extent(
            self.anomaly_count,
            max(self.last_event - self.opened_at, 0),
            len(self.models) + len(self.users),
        )
        return incident_severity(self.max_severity, extent, self.thresholds)

    def _list(self, listed: list[str], name: str | None) -> bool:
        if name is None or len(listed) >= self.max_listed or name in listed:
            return False
        listed.append(name)
        return True

    def became(self, change: SignalChange, append_time: int) -> bool:
        """Apply what became of a signal; false when the incident does not have it."""
        if not self.signals.changed(signal_key(change), change):
            return False
        self.last_append = max(self.last_append, append_time)
        if change.status.is_end:
            self.ended_at = max(self.ended_at, change.event_time)
            self.ends |= _ENDS[change.status]
        if change.status is SignalStatus.NEW_LEVEL or not self.signals:
            self.note = change.reason[:MAX_NOTE]
        return True

    def quiet_at(self, quiet_us: int) -> int | None:
        """Event time at which it is over if nothing more comes; None while a signal is open."""
        return None if self.signals else max(self.last_event, self.ended_at) + quiet_us

    @property
    def end(self) -> tuple[IncidentState, IncidentChange]:
        """State and change with which it ends when no signal is open: what was given up, or retired
        by settings, is not called resolved.
        """
        if self.ends & _ENDS[SignalStatus.GIVEN_UP]:
            return IncidentState.GIVEN_UP, IncidentChange.GIVEN_UP
        if self.ends & _ENDS[SignalStatus.RETIRED]:
            return IncidentState.CLOSED, IncidentChange.CLOSED
        return IncidentState.RESOLVED, IncidentChange.RESOLVED

    def record(
        self,
        change: IncidentChange,
        *,
        state: IncidentState = IncidentState.OPEN,
        ended_at: int | None = None,
        lane: int,
        offset: int,
        ordinal: int,
    ) -> Incident:
        """The incident's next revision, to be written; what joined counts as reported."""
        self.revision += 1
        self.recorded_at = self.last_event
        self.has_news = False
        others = [metric for metric in self.metrics if metric != self.lead_metric]
        made = self._incident(change, self.severity, title(self.lead, others))
        return replace(
            made,
            state=state,
            updated_at=made.updated_at if ended_at is None else ended_at,
            resolved_at=ended_at,
            lane=lane,
            offset=offset,
            ordinal=ordinal,
        )

    def _incident(self, change: IncidentChange, severity: Severity, text: str) -> Incident:
        made = Incident(
            id=self.id,
            tenant=self.tenant,
            application=self.application,
            state=IncidentState.OPEN,
            revision=self.revision,
            change=change,
            severity=severity,
            title=text,
            opened_at=self.opened_at,
            updated_at=max(self.last_event, self.ended_at),
            anomaly_count=self.anomaly_count,
            models=tuple(self.models),
            users=tuple(self.users),
            metrics=tuple(self.metrics),
            detectors=tuple(self.detectors),
            anomaly_ids=tuple(self.anomaly_ids),
            settings_version=self.settings_version,
            lane=0,
            offset=0,
            ordinal=0,
            no_data_since=self.signals.no_data_since,
            new_level_since=self.signals.level_since,
            note=self.note,
        )
        return made if self.evidence is None else self.evidence.written_in(made)

    def row(self) -> bytes:
        """The state as a row: a head of what the record does not have, the lead metric, and the
        record with the lead as its title and the highest severity of its anomalies as its own, from
        which the rest follows.
        """
        metric = self.lead_metric.encode()
        head = _HEAD.pack(
            self.last_event,
            self.last_append,
            self.recorded_at,
            self.score,
            self.source_lane,
            self.has_news,
            len(metric),
        )
        more = _MORE.pack(self.ended_at, self.no_data_append, self.ends)
        record = self._incident(IncidentChange.UPDATED, self.max_severity, self.lead)
        return seal(_VERSION, head + metric + more + self.signals.row() + record.to_bytes())

    @classmethod
    def from_row(
        cls, value: bytes, max_listed: int, max_signals: int, thresholds: Thresholds
    ) -> Self:
        """Read what `row` returned. Raises NewerState, and BadRecord where the bytes are not a
        row's.

        A row of version 1 names no signal; detect repeats what lasts, and then it is open. One of
        version 2 has the lane of the last anomaly only.
        """
        version, body = unseal(value, _VERSION, "open incidents")
        last_event, last_append, recorded_at, score, source_lane, has_news, size = (
            _HEAD.unpack_from(body)
        )
        at = _HEAD.size + size
        ended_at, no_data_append, ends, signals = NEVER, NEVER, 0, Signals(max_signals)
        if version > 1:
            ended_at, no_data_append, ends = _MORE.unpack_from(body, at)
            at += _MORE.size
            signals, used = Signals.from_row(
                body[at:], max_signals, source_lane if version == 2 else None
            )
            at += used
        record = Incident.from_bytes(bytes(body[at:]))
        return cls(
            id=record.id,
            tenant=record.tenant,
            application=record.application,
            opened_at=record.opened_at,
            max_listed=max_listed,
            thresholds=thresholds,
            max_severity=record.severity,
            score=score,
            lead=record.title,
            lead_metric=bytes(body[_HEAD.size : _HEAD.size + size]).decode(),
            revision=record.revision,
            last_event=last_event,
            last_append=last_append,
            recorded_at=recorded_at,
            source_lane=source_lane,
            has_news=has_news,
            settings_version=record.settings_version,
            anomaly_count=record.anomaly_count,
            models=list(record.models),
            users=list(record.users),
            metrics=list(record.metrics),
            detectors=list(record.detectors),
            anomaly_ids=list(record.anomaly_ids),
            signals=signals,
            ended_at=ended_at,
            no_data_append=no_data_append,
            ends=ends,
            note=record.note,
            evidence=Lead.read_from(record),
        )
