"""Timelines of one lane of `anomalies`: what is appended, in seconds, and which incidents it
makes.
"""

from collections.abc import Callable
from dataclasses import replace

from agents.correlation.correlator import Correlator
from agents.correlation.settings import CorrelationSettings
from schemas.records.anomalies import Anomaly, Direction, Severity, SignalChange, SignalStatus
from schemas.records.control import Command, CommandKind
from schemas.records.incidents import Incident, IncidentChange

START_S = 1_700_000_000
Rows = dict[bytes, bytes]
Record = Callable[[Correlator, int, int], list[Incident]]
"""A record of the lane: what it does to a correlator, given its offset and append time (µs)."""


def micros(second: float) -> int:
    """µs of a second of the timeline."""
    return round((START_S + second) * 1e6)


def seconds(time: int) -> float:
    """Second of the timeline of a time in µs."""
    return time / 1e6 - START_S


def anomaly(
    at: float,
    *,
    application: str = "chat-api",
    source: tuple[int, int, int] = (0, 0, 0),
    tenant: str = "acme",
    metric: str = "latency",
    model: str | None = "gpt-4o",
    user: str | None = None,
    severity: Severity = Severity.MEDIUM,
    score: float = 5.0,
    observed: float = 3.1,
    expected: float | None = 1.0,
    **others: object,
) -> Anomaly:
    """An anomaly whose event time is second `at`, written by `source`: lane, offset and ordinal."""
    lane, offset, ordinal = source
    made = Anomaly(
        id=f"a-{tenant}-{application}-{lane}-{offset}-{ordinal}",
        tenant=tenant,
        application=application,
        model=model,
        user=user,
        metric=metric,
        detector="deviation",
        detector_version=1,
        settings_version="0",
        window_start=micros(at - 10),
        window_end=micros(at),
        event_time=micros(at),
        observed=observed,
        expected=expected,
        score=score,
        severity=severity,
        confidence=0.9,
        direction=Direction.ABOVE,
        reason="deviates",
        evidence=(),
        sample_event_ids=(),
        lane=lane,
        offset=offset,
        ordinal=ordinal,
        first=True,
    )
    return replace(made, **others) if others else made  # type: ignore[arg-type]


def becomes(
    status: SignalStatus,
    at: float,
    found: Anomaly,
    *,
    source: tuple[int, int, int],
    since: float | None = None,
) -> Record:
    """The record that says at second `at`, written by `source`, what became of an anomaly's
    signal.
    """
    lane, offset, ordinal = source
    change = SignalChange(
        tenant=found.tenant,
        application=found.application,
        model=found.model,
        user=found.user,
        rule=found.rule,
        metric=found.metric,
        detector=found.detector,
        status=status,
        event_time=micros(at),
        since=None if since is None else micros(since),
        settings_version="0",
        reason=f"{found.metric} is {status}",
        lane=lane,
        offset=offset,
        ordinal=ordinal,
    )
    return lambda core, offset, append: core.on_change(change, offset=offset, append_time=append)


def ends(at: float, found: Anomaly, *, source: tuple[int, int, int]) -> Record:
    """The record that says that an anomaly's signal is normal again."""
    return becomes(SignalStatus.NORMAL, at, found, source=source)


def closed_by(author: str, incident: str, *, tenant: str = "acme", comment: str = "") -> Command:
    """What a person asks for who ends an incident."""
    return Command(
        id=f"close-{incident}",
        tenant=tenant,
        kind=CommandKind.CLOSE,
        author=author,
        at=micros(0),
        target=incident,
        matchers=(),
        comment=comment,
    )


def closes(author: str, incident: str, *, tenant: str = "acme", comment: str = "") -> Record:
    """The record with which a person ends an incident."""
    asked = closed_by(author, incident, tenant=tenant, comment=comment)
    return lambda core, offset, append: core.on_close(asked, offset=offset, append_time=append)[0]


def arrives(found: Anomaly) -> Record:
    """The record of an anomaly."""
    return lambda core, offset, append: core.on_anomaly(found, offset=offset, append_time=append)


def watermark(second: float, *, lane: int = 0, source_offset: int) -> Record:
    """The record of a source lane's watermark."""
    return lambda core, offset, append: core.on_watermark(
        lane, source_offset, micros(second), offset=offset, append_time=append
    )


def tick(passed: float | None = None) -> Record:
    """The record of an idle lane; seconds that its worker measured, if it says."""
    measured = None if passed is None else round(passed * 1e6)
    return lambda core, offset, append: core.on_tick(
        offset=offset, append_time=append, passed=measured
    )


class Lane:
    """A correlator, its stored rows, and all that it told so far."""

    def __init__(self, settings: CorrelationSettings | None = None) -> None:
        self.settings = settings or CorrelationSettings()
        self.core = Correlator(self.settings, lane=3)
        self.rows: Rows = {}
        self.told: list[Incident] = []
        self.offset = 0

    def at(self, append: float, *records: Record) -> list[Incident]:
        """These records are appended at this second; returns what they make."""
        made: list[Incident] = []
        for record in records:
            made += record(self.core, self.offset, micros(append))
            self.offset += 1
        self.told += made
        return made

    def idles(self, since: int, until: int) -> None:
        """Nothing but a tick in each second after `since`, up to `until`; none of them may make
        anything.
        """
        for second in range(since + 1, until + 1):
            assert self.at(second, tick(passed=1.0)) == []

    def flush(self) -> None:
        """Keep the rows that changed, as a compacted topic would."""
        for key, value in self.core.changed():
            if value is None:
                self.rows.pop(key, None)  # a row may come and go between two flushes
            else:
                self.rows[key] = value

    def restart(self) -> None:
        """A new process that knows the kept rows alone."""
        self.core = Correlator(self.settings, lane=3)
        self.core.restore(self.rows)


def changes(incidents: list[Incident]) -> list[IncidentChange]:
    """What they say, in order."""
    return [incident.change for incident in incidents]
