"""An hour of a small company, for the page: what a store holds after two faults, one of which goes
on.
"""

import math
import random
from collections.abc import Iterator, Sequence
from typing import Final

import orjson

from agents.detectors.deviation.native import NUMBERS
from schemas.documents import Document, Kind
from schemas.records.aggregates import Aggregate
from schemas.records.anomalies import Anomaly, Breakdown, Direction, Evidence, Severity
from schemas.records.incidents import Incident, IncidentChange, IncidentState
from schemas.records.notifications import Notification, NotificationOutcome
from tests.harness.store_documents import SECOND, anomaly, incident, notification, of

TENANT: Final = "acme"
BUCKET: Final = 10 * SECOND
BUCKETS: Final = 360

SUBJECTS: Final = (
    ("chat-assistant", "heron-large"),
    ("chat-assistant", "heron-small"),
    ("code-completion", "kestrel-code"),
    ("search-summary", "heron-small"),
    ("support-bot", "osprey-2"),
    ("document-intake", "osprey-2"),
)
_OPEN: Final = "a" * 31 + "1"
_OVER: Final = "b" * 31 + "2"
OPEN_PATH: Final = f"/incidents/{TENANT}/{_OPEN}"
SLOW: Final = "e" * 31 + "1"
"""An anomaly of time to first token that has a series."""
ANOMALY_PATH: Final = f"/anomalies/{TENANT}/{SLOW}"

_USUAL: Final = {
    "latency": 1_900_000.0,
    "time_to_first_token": 420_000.0,
    "tokens": 830.0,
    "cost": 4_100_000.0,
    "error_rate": 0.004,
    "request_rate": 3.2,
}
_EVIDENCE: Final = (*(name for name in NUMBERS if name != "whole"), "measure")
"""Of a size that is no part of a larger one."""


def hour(end: int) -> list[Document]:
    """All documents of the hour that ends at this time, µs."""
    start = end - BUCKETS * BUCKET
    slow, errors = list(_slow(start)), list(_errors(start))
    return [
        *(of(Kind.AGGREGATE, one) for one in _series(start)),
        *(of(Kind.ANOMALY, one) for one in (*slow, *errors, *_small(start))),
        *(of(Kind.INCIDENT, one) for one in _incidents(start, slow, errors)),
        *(of(Kind.NOTIFICATION, one) for one in _messages(start, slow, errors)),
    ]


def _series(start: int) -> Iterator[Aggregate]:
    chance = random.Random(7)
    for application, model in SUBJECTS:
        size = chance.uniform(0.6, 1.7)
        for bucket in range(BUCKETS):
            begin = start + bucket * BUCKET
            numbers: dict[str, float] = {}
            for metric, usual in _USUAL.items():
                expected = usual * size * (1 + 0.12 * math.sin(bucket / 60))
                seen = (
                    expected
                    * math.exp(chance.gauss(0, 0.09))
                    * _fault(application, model, metric, bucket)
                )
                known = bucket >= 30
                values = (
                    (seen, expected, expected * 0.72, expected * 1.34)
                    if known
                    else (seen, *[math.nan] * 3)
                )
                numbers |= dict(
                    zip(
                        (f"{metric}_{what}" for what in ("observed", "expected", "low", "high")),
                        values,
                        strict=True,
                    )
                )
            rest = {
                name: 30.0
                for name in Aggregate.__dataclass_fields__
                if name not in numbers and name[-1] != "t"
            }
            texts = {
                "tenant": TENANT,
                "application": application,
                "model": model,
                "settings_version": "0",
            }
            times = {"window_start": begin, "window_end": begin + BUCKET, "lane": 0}
            whole: dict[str, object] = {
                **dict.fromkeys(Aggregate.__dataclass_fields__, 30.0),
                **rest,
                **numbers,
                **texts,
                **times,
            }
            yield Aggregate(**whole)  # type: ignore[arg-type]


def _fault(application: str, model: str, metric: str, bucket: int) -> float:
    if (application, model) == ("chat-assistant", "heron-large") and bucket >= 325:
        return {"latency": 2.1, "time_to_first_token": 2.9}.get(metric, 1.0)
    if application == "code-completion" and 180 <= bucket < 228:
        return {"error_rate": 31.0, "latency": 0.7}.get(metric, 1.0)
    return 1.0


def _found(number: int, start: int, bucket: int, **fields: object) -> Anomaly:
    end = start + (bucket + 1) * BUCKET
    return anomaly(
        number,
        TENANT,
        window_start=end - BUCKET,
        window_end=end,
        event_time=end,
        detector_version=2,
        evidence=tuple(
            Evidence(name, round(1.37 * (index + 1) / 3, 4)) for index, name in enumerate(_EVIDENCE)
        ),
        sample_event_ids=tuple(f"evt-{number:04d}-{each}" for each in range(4)),
        offset=81_000 + number,
        **fields,
    )


def _slow(start: int) -> Iterator[Anomaly]:
    for number, bucket in enumerate((326, 327, 332, 339, 346, 352, 358)):
        metric = "time_to_first_token" if number % 3 != 1 else "latency"
        usual = _USUAL[metric]
        yield _found(
            100 + number,
            start,
            bucket,
            id=SLOW if number == 0 else f"{100 + number:032x}",
            application="chat-assistant",
            model="heron-large",
            metric=metric,
            observed=usual * 2.91,
            expected=usual,
            score=9.41,
            severity=Severity.HIGH if number else Severity.CRITICAL,
            confidence=0.995,
            reason=(
                f"{metric} is above what is usual: {usual * 2.91:.6g} against {usual:.6g}, score"
                " 9.41"
            ),
        )


def _errors(start: int) -> Iterator[Anomaly]:
    for number, bucket in enumerate((182, 186, 194, 207)):
        yield _found(
            200 + number,
            start,
            bucket,
            application="code-completion",
            model="kestrel-code",
            metric="error_rate",
            observed=0.124,
            expected=0.004,
            score=14.2,
            severity=Severity.CRITICAL,
            reason="error_rate is above what is usual: 0.124 against 0.004, score 14.2",
        )


def _small(start: int) -> Iterator[Anomaly]:
    for number, (application, model) in enumerate(SUBJECTS[3:]):
        yield _found(
            300 + number,
            start,
            90 + number * 70,
            application=application,
            model=model,
            metric="cost" if number else "tokens",
            observed=5_900_000.0 if number else 1430.0,
            expected=4_100_000.0 if number else 830.0,
            severity=(Severity.MEDIUM, Severity.LOW, Severity.INFO)[number],
            direction=Direction.ABOVE,
            reason="cost is above what is usual",
        )


def _incidents(
    start: int, slow: Sequence[Anomaly], errors: Sequence[Anomaly]
) -> Iterator[Incident]:
    yield incident(
        1,
        3,
        TENANT,
        id=_OPEN,
        application="chat-assistant",
        severity=Severity.CRITICAL,
        change=IncidentChange.ESCALATED,
        title="time to first token of chat-assistant/heron-large 1.1 s, usual 377 ms; also latency",
        opened_at=slow[0].event_time,
        updated_at=slow[-1].event_time,
        anomaly_count=len(slow),
        models=("heron-large",),
        metrics=("latency", "time_to_first_token"),
        evidence_metric="time_to_first_token",
        evidence_model="heron-large",
        evidence_observed=slow[-1].observed,
        evidence_expected=slow[-1].expected,
        evidence_score=slow[-1].score,
        evidence_since=slow[0].window_start,
        sample_event_ids=slow[-1].sample_event_ids,
        anomaly_ids=tuple(one.id for one in slow),
    )
    yield incident(
        2,
        2,
        TENANT,
        id=_OVER,
        application="code-completion",
        state=IncidentState.RESOLVED,
        change=IncidentChange.RESOLVED,
        severity=Severity.CRITICAL,
        title="38 % of calls of code-completion/kestrel-code fail, usual 0.668 %",
        opened_at=errors[0].event_time,
        updated_at=errors[-1].event_time + 300 * SECOND,
        resolved_at=errors[-1].event_time + 300 * SECOND,
        anomaly_count=len(errors),
        models=("kestrel-code",),
        metrics=("error_rate",),
        evidence_metric="error_rate",
        evidence_model="kestrel-code",
        evidence_observed=errors[-1].observed,
        evidence_expected=errors[-1].expected,
        evidence_score=errors[-1].score,
        evidence_since=errors[0].window_start,
        breakdown=(Breakdown("error_type", "rate_limit", 41), Breakdown("http_status", "429", 41)),
        sample_event_ids=errors[-1].sample_event_ids,
        sample_trace_ids=("4bf92f3577b34da6a3ce929d0e0e4736",),
        anomaly_ids=tuple(one.id for one in errors),
    )
    for number, (application, model) in enumerate(SUBJECTS[3:]):
        opened = start + (91 + number * 70) * BUCKET
        yield incident(
            10 + number,
            1,
            TENANT,
            application=application,
            severity=(Severity.MEDIUM, Severity.LOW, Severity.INFO)[number],
            title=f"{('tokens', 'cost', 'cost')[number]} of {application}/{model} {_MORE[number]}",
            opened_at=opened,
            updated_at=opened,
            anomaly_count=1,
            models=(model,),
            metrics=("cost",),
            anomaly_ids=(f"{300 + number:032x}",),
        )


_MORE: Final = ("3,650, usual 1,380", "0.021, usual 0.014", "0.032, usual 0.02")


def _messages(
    start: int, slow: Sequence[Anomaly], errors: Sequence[Anomaly]
) -> Iterator[Notification]:
    titles = {
        _OPEN: "time to first token of chat-assistant/heron-large 1.1 s, usual 377 ms",
        _OVER: "38 % of calls of code-completion/kestrel-code fail, usual 0.668 %",
    }
    told: list[tuple[str, int, NotificationOutcome, str, str]] = [
        (_OVER, errors[0].event_time + SECOND, NotificationOutcome.DELIVERED, "opened", "on-call"),
        (
            _OVER,
            errors[-1].event_time + 301 * SECOND,
            NotificationOutcome.DELIVERED,
            "resolved",
            "on-call",
        ),
        (_OPEN, slow[0].event_time + SECOND, NotificationOutcome.DELIVERED, "opened", "on-call"),
        (_OPEN, slow[2].event_time + SECOND, NotificationOutcome.FAILED, "extended", "team-chat"),
        (
            _OPEN,
            slow[3].event_time + 2 * SECOND,
            NotificationOutcome.DELIVERED,
            "escalated",
            "on-call",
        ),
        (_OPEN, slow[4].event_time + SECOND, NotificationOutcome.SUPPRESSED, "updated", "on-call"),
    ]
    for number, (incident_id, at, outcome, reason, receiver) in enumerate(told):
        asked = {"incident_id": incident_id, "receiver": receiver, "id": f"{number:032x}"}
        body = orjson.dumps(
            {"type": "incident", "data": {"incident": {"title": titles[incident_id]}}}
        ).decode()
        if outcome is NotificationOutcome.SUPPRESSED:
            yield notification(
                number, TENANT, **asked, at=at, outcome=outcome, reason=reason, body=""
            )
            continue
        failed = outcome is NotificationOutcome.FAILED
        yield notification(
            number, TENANT, **asked, at=at, reason=reason, body=body, offset=2 * number
        )
        yield notification(
            number,
            TENANT,
            **asked,
            at=at + SECOND // 5,
            outcome=outcome,
            reason="server fault" if failed else "delivered",
            attempt=1,
            status_code=503 if failed else 202,
            body="",
            offset=2 * number + 1,
        )
