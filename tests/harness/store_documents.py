"""Documents for tests, made the way the sink makes them: from records on the wire."""

from dataclasses import replace

from schemas.documents import Document, Kind, document
from schemas.records.aggregates import Aggregate
from schemas.records.anomalies import Anomaly, Direction, Evidence, Severity
from schemas.records.incidents import Incident, IncidentChange, IncidentState
from schemas.records.notifications import Notification, NotificationOutcome

START = 1_780_000_000_000_000
"""2026-05-28, µs."""
SECOND = 1_000_000


def anomaly(number: int, tenant: str = "acme", **fields: object) -> Anomaly:
    """One anomaly a second."""
    made = Anomaly(
        id=f"{number:032x}",
        tenant=tenant,
        application="shop",
        model="heron",
        metric="latency",
        detector="deviation",
        detector_version=1,
        settings_version="0",
        window_start=START + (number - 10) * SECOND,
        window_end=START + number * SECOND,
        event_time=START + number * SECOND,
        observed=2.5,
        expected=1.0,
        score=4.25,
        severity=Severity.HIGH,
        confidence=0.9,
        direction=Direction.ABOVE,
        reason="latency of shop/heron is 2.5 s, 1 s expected",
        evidence=(Evidence("requests", 12.0), Evidence("p95", 2.5)),
        sample_event_ids=("e1", "e2"),
        lane=0,
        offset=number,
        ordinal=0,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def incident(number: int, revision: int, tenant: str = "acme", **fields: object) -> Incident:
    """One incident a minute; each revision is ten seconds after the one before."""
    made = Incident(
        id=f"{number:032x}",
        tenant=tenant,
        application="shop",
        state=IncidentState.OPEN,
        revision=revision,
        change=IncidentChange.OPENED if revision == 1 else IncidentChange.UPDATED,
        severity=Severity.HIGH,
        title=f"revision {revision}",
        opened_at=START + number * 60 * SECOND,
        updated_at=START + (number * 60 + revision * 10) * SECOND,
        anomaly_count=revision,
        models=("heron",),
        users=(),
        metrics=("latency",),
        detectors=("deviation",),
        anomaly_ids=(f"{number:032x}",),
        settings_version="0",
        lane=0,
        offset=number,
        ordinal=0,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def notification(number: int, tenant: str = "acme", **fields: object) -> Notification:
    """One decision a second."""
    made = Notification(
        id=f"{number:032x}",
        tenant=tenant,
        incident_id=f"{number % 3:032x}",
        incident_revision=1,
        receiver="on-call",
        outcome=NotificationOutcome.DECIDED,
        reason="opened",
        attempt=0,
        at=START + number * SECOND,
        detail="",
        body='{"title": "latency"}',
        lane=0,
        offset=number,
        ordinal=0,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def aggregate(
    bucket: int, tenant: str = "acme", model: str = "heron", **fields: object
) -> Aggregate:
    """One bucket of 10 s."""
    named: dict[str, object] = {
        "tenant": tenant,
        "application": "shop",
        "model": model,
        "window_start": START + bucket * 10 * SECOND,
        "window_end": START + (bucket + 1) * 10 * SECOND,
        "settings_version": "0",
        "lane": 0,
    }
    numbers = {name: float(bucket) for name in Aggregate.__dataclass_fields__ if name not in named}
    return Aggregate(**{**named, **numbers, **fields})  # type: ignore[arg-type]


def of(kind: Kind, record: Anomaly | Incident | Notification | Aggregate) -> Document:
    """The document of a record."""
    return document(kind, record.to_bytes())
