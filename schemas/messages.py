"""What a receiver is sent: JSON by Standard Webhooks' advice, `type`, `timestamp` and `data`, and
the `version` of the form.

    {"type": "incident.opened",                      or incident.escalated, .extended, .repeated,
    .acknowledged, .new_level,
                                                     .resolved, .given_up, .closed,
                                                     incidents.summary
     "timestamp": "2026-01-31T12:00:00.000000Z",     event time of the newest news in it, UTC
     "version": 2,
     "data": {"incident": {…}}}                      see `IncidentMessage`, `SummaryMessage`

Fields are added, never renamed: a message of any version is read by all later programs. Words that
come from elsewhere, such as severities and states, are kept as they are, so that a new one is shown
and not refused.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson

from schemas.errors import BadRecord

VERSION: Final = 2
"""1, which has no `version`, ends with `settings_version`, `link` and `acknowledged_by`. 2 added
what follows these in `IncidentPart`.
"""


class BadMessage(BadRecord):
    """A body that is no message: names the field, as `data.incident.title`, and the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidencePart:
    """The four numbers that a person looks for first, of the metric that the title is about, as
    people read them, with units.
    """

    metric: str
    now: str
    """What was observed, as `12 s`."""
    usual: str
    """What is usual, or the limit of a rule, as `0.4 %` or `limit 10 s`; empty where neither is
    known.
    """
    unusual: str
    """How unusual that is, as `30x usual, score 8.2`."""
    since: str
    """Event time at which it began, ISO 8601, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentPart:
    """An incident as a message tells of it. Times ISO 8601, UTC."""

    id: str
    tenant: str
    application: str
    state: str
    severity: str
    title: str
    revision: int = 0
    opened_at: str = ""
    updated_at: str = ""
    resolved_at: str | None = None
    anomaly_count: int = 0
    models: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    detectors: tuple[str, ...] = ()
    anomaly_ids: tuple[str, ...] = ()
    settings_version: str = ""
    link: str | None = None
    """The incident on Sentinel's page; None, and left out, without `alerting.page_url`."""
    acknowledged_by: str | None = None
    """Who cares for it; None, and left out, while nobody does."""
    acknowledged_at: str | None = None
    """Since when; None, and left out, where that is not known."""
    acknowledged_comment: str | None = None
    """What that person says; None, and left out, for nothing."""
    no_data_since: str | None = None
    """Since when no data has come of anything that is still wrong; None while data comes."""
    new_level_since: str | None = None
    """Since when all that is still wrong counts as the new level; None while anything is wrong that
    does not.
    """
    evidence: EvidencePart | None = None
    """What it is about in numbers; None, and left out, in incidents of earlier releases."""
    errors: tuple[str, ...] = ()
    """Which errors, refusals or the like, the most frequent first, as `error_type rate_limited:
    41`.
    """
    sample_event_ids: tuple[str, ...] = ()
    """Ids of some of the calls that were judged."""
    trace_links: tuple[str, ...] = ()
    """Addresses of traces of such calls, by `alerting.trace_url`."""
    note: str = ""
    """Why it is in this state, in one sentence; may be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentMessage:
    """News of one incident."""

    type: str
    timestamp: str
    incident: IncidentPart


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPart:
    """An incident as a summary lists it."""

    id: str
    application: str
    state: str
    severity: str
    title: str
    opened_at: str = ""
    updated_at: str = ""
    resolved_at: str | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryMessage:
    """Many incidents in one message."""

    type: str
    timestamp: str
    tenant: str
    count: int
    """Of all incidents that it is about."""
    open: int
    """Of those listed."""
    resolved: int
    unlisted: int
    """Those that are counted only."""
    incidents: tuple[ListedPart, ...]
    """In the order in which they came."""


Message = IncidentMessage | SummaryMessage

_LEFT_OUT: Final = frozenset(
    {"link", "acknowledged_by", "acknowledged_at", "acknowledged_comment", "evidence"}
)
"""Fields that are absent where there is nothing to say."""


def encode(message: Message) -> str:
    """The message's body."""
    data: dict[str, object]
    match message:
        case IncidentMessage():
            data = {"incident": _present(message.incident)}
        case SummaryMessage():
            counts = {
                name: getattr(message, name)
                for name in ("tenant", "count", "open", "resolved", "unlisted")
            }
            data = counts | {"incidents": [_present(listed) for listed in message.incidents]}
    head = {"type": message.type, "timestamp": message.timestamp, "version": VERSION}
    return orjson.dumps(head | {"data": data}).decode()


def parse(body: bytes | str) -> Message:
    """The message of a body of any version. Fields that it does not know are left out.

    Raises BadMessage when the body cannot be read, or lacks what no message can do without: names
    the field and the reason.
    """
    try:
        loaded = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        raise BadMessage(f"not JSON: {fault}") from fault
    whole = _Fields(loaded, "")
    kind, timestamp, data = whole.text("type"), whole.text("timestamp"), whole.fields("data")
    if data.has("incident"):
        return IncidentMessage(
            type=kind, timestamp=timestamp, incident=_incident(data.fields("incident"))
        )
    listed = tuple(_listed(item) for item in data.items("incidents"))
    return SummaryMessage(
        type=kind,
        timestamp=timestamp,
        tenant=data.text("tenant"),
        count=data.number("count", len(listed)),
        open=data.number("open"),
        resolved=data.number("resolved"),
        unlisted=data.number("unlisted"),
        incidents=listed,
    )


class _Fields:
    """A JSON object whose fields are read by name and type."""

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise BadMessage("not an object", path or None)
        self._value: Final[dict[str, Any]] = value
        self._path: Final = path

    def has(self, name: str) -> bool:
        return self._value.get(name) is not None

    def text(self, name: str) -> str:
        """One that no message can do without."""
        if not self.has(name):
            raise BadMessage("no value", self._at(name))
        text: str = self._of(name, str, "not text")
        return text

    def text_or_none(self, name: str) -> str | None:
        return self._of(name, str, "not text") if self.has(name) else None

    def number(self, name: str, default: int = 0) -> int:
        return self._of(name, int, "not a whole number") if self.has(name) else default

    def texts(self, name: str) -> tuple[str, ...]:
        listed: list[Any] = self._of(name, list, "not a list") if self.has(name) else []
        if not all(isinstance(item, str) for item in listed):
            raise BadMessage("not a list of texts", self._at(name))
        return tuple(listed)

    def fields(self, name: str) -> "_Fields":
        if not self.has(name):
            raise BadMessage("no value", self._at(name))
        return _Fields(self._value[name], self._at(name))

    def items(self, name: str) -> "list[_Fields]":
        if not self.has(name):
            raise BadMessage("no value", self._at(name))
        listed: list[Any] = self._of(name, list, "not a list")
        return [_Fields(item, f"{self._at(name)}[{place}]") for place, item in enumerate(listed)]

    def _of(self, name: str, kind: type, reason: str) -> Any:
        value = self._value[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise BadMessage(reason, self._at(name))
        return value

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name


def _incident(fields: _Fields) -> IncidentPart:
    return IncidentPart(
        id=fields.text("id"),
        tenant=fields.text("tenant"),
        application=fields.text("application"),
        state=fields.text("state"),
        severity=fields.text("severity"),
        title=fields.text("title"),
        revision=fields.number("revision"),
        opened_at=fields.text_or_none("opened_at") or "",
        updated_at=fields.text_or_none("updated_at") or "",
        resolved_at=fields.text_or_none("resolved_at"),
        anomaly_count=fields.number("anomaly_count"),
        models=fields.texts("models"),
        users=fields.texts("users"),
        metrics=fields.texts("metrics"),
        detectors=fields.texts("detectors"),
        anomaly_ids=fields.texts("anomaly_ids"),
        settings_version=fields.text_or_none("settings_version") or "",
        link=fields.text_or_none("link"),
        acknowledged_by=fields.text_or_none("acknowledged_by"),
        acknowledged_at=fields.text_or_none("acknowledged_at"),
        acknowledged_comment=fields.text_or_none("acknowledged_comment"),
        no_data_since=fields.text_or_none("no_data_since"),
        new_level_since=fields.text_or_none("new_level_since"),
        evidence=_evidence(fields.fields("evidence")) if fields.has("evidence") else None,
        errors=fields.texts("errors"),
        sample_event_ids=fields.texts("sample_event_ids"),
        trace_links=fields.texts("trace_links"),
        note=fields.text_or_none("note") or "",
    )


def _evidence(fields: _Fields) -> EvidencePart:
    return EvidencePart(
        metric=fields.text("metric"),
        now=fields.text("now"),
        usual=fields.text_or_none("usual") or "",
        unusual=fields.text_or_none("unusual") or "",
        since=fields.text_or_none("since") or "",
    )


def _listed(fields: _Fields) -> ListedPart:
    return ListedPart(
        id=fields.text("id"),
        application=fields.text("application"),
        state=fields.text("state"),
        severity=fields.text("severity"),
        title=fields.text("title"),
        opened_at=fields.text_or_none("opened_at") or "",
        updated_at=fields.text_or_none("updated_at") or "",
        resolved_at=fields.text_or_none("resolved_at"),
        link=fields.text_or_none("link"),
    )


def _present(part: IncidentPart | ListedPart) -> dict[str, object]:
    return {
        name: value
        for name, value in asdict(part).items()
        if value is not None or name not in _LEFT_OUT
    }
