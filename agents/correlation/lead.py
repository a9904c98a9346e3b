"""What an incident's title is about, in numbers: the evidence that a person looks for first."""

from dataclasses import dataclass, replace
from typing import Self

from schemas.records.anomalies import Anomaly, Breakdown
from schemas.records.incidents import Incident


@dataclass(frozen=True, slots=True)
class Lead:
    """The newest anomaly of the leading signal of an incident: one metric, model, user and rule."""

    metric: str
    model: str | None
    user: str | None
    rule: str | None
    observed: float | None
    expected: float | None
    score: float | None
    since: int | None
    """Event time, µs, at which the signal's first anomaly of this incident began."""
    breakdown: tuple[Breakdown, ...]
    sample_event_ids: tuple[str, ...]
    sample_trace_ids: tuple[str, ...]

    @classmethod
    def of(cls, anomaly: Anomaly, before: "Lead | None") -> Self:
        """The lead after this anomaly; `before` is the one until then."""
        goes_on = before is not None and before.is_signal_of(anomaly)
        since = (
            before.since
            if goes_on and before is not None and before.since is not None
            else anomaly.window_start
        )
        return cls(
            metric=anomaly.metric,
            model=anomaly.model,
            user=anomaly.user,
            rule=anomaly.rule,
            observed=anomaly.observed,
            expected=anomaly.expected,
            score=anomaly.score,
            since=min(since, anomaly.window_start),
            breakdown=anomaly.breakdown,
            sample_event_ids=anomaly.sample_event_ids,
            sample_trace_ids=anomaly.sample_trace_ids,
        )

    @classmethod
    def read_from(cls, incident: Incident) -> "Lead | None":
        """Read it from a record; None in records that have none."""
        if not incident.evidence_metric:
            return None
        return cls(
            metric=incident.evidence_metric,
            model=incident.evidence_model,
            user=incident.evidence_user,
            rule=incident.evidence_rule,
            observed=incident.evidence_observed,
            expected=incident.evidence_expected,
            score=incident.evidence_score,
            since=incident.evidence_since,
            breakdown=incident.breakdown,
            sample_event_ids=incident.sample_event_ids,
            sample_trace_ids=incident.sample_trace_ids,
        )

    def is_signal_of(self, anomaly: Anomaly) -> bool:
        """Whether the anomaly is one more of the same signal."""
        signal = (self.metric, self.model, self.user, self.rule)
        return signal == (anomaly.metric, anomaly.model, anomaly.user, anomaly.rule)

    def written_in(self, incident: Incident) -> Incident:
        """Return the record with this evidence."""
        return replace(
            incident,
            evidence_metric=self.metric,
            evidence_model=self.model,
            evidence_user=self.user,
            evidence_rule=self.rule,
            evidence_observed=self.observed,
            evidence_expected=self.expected,
            evidence_score=self.score,
            evidence_since=self.since,
            breakdown=self.breakdown,
            sample_event_ids=self.sample_event_ids,
            sample_trace_ids=self.sample_trace_ids,
        )
