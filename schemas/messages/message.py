"""Messages to receivers: JSON as Standard Webhooks advises, `type`, `timestamp` and `data`, and the
`version` of the form.

    {"type": "incident.opened",                      or incident.escalated, .extended, .repeated,
                                                     .acknowledged, .new_level, .resolved,
                                                     .given_up, .closed, incidents.summary
     "timestamp": "2026-01-31T12:00:00.000000Z",     event time of the newest news in it, UTC
     "version": 2,
     "data": {"incident": {…}}}                      see `IncidentMessage`, `SummaryMessage`

Fields are added, never renamed: all later programs read a message of any version. Words with a
fixed meaning, such as severities and states, are kept as text, so that a new one is shown and not
rejected.
"""

from dataclasses import dataclass, field, replace
from typing import Final

import orjson

from schemas.messages.parts import OMITTED, BadMessage, read, read_object, read_text, written

VERSION: Final = 2
"""Version 1, which has no `version`, ends with `settings_version`, `link` and `acknowledged_by`;
version 2 added the fields after these in `IncidentPart`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidencePart:
    """The four values that a person looks for first, of the metric in the title, formatted with
    units.
    """

    metric: str
    now: str
    """Observed value, as `12 s`."""
    usual: str = ""
    """What is usual, or the limit of a rule, as `0.4 %` or `limit 10 s`; empty where neither is
    known.
    """
    unusual: str = ""
    """How unusual that is, as `30x usual, score 8.2`."""
    since: str = ""
    """Event time at which it began, ISO 8601, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentPart:
    """An incident in a message. Times are ISO 8601, UTC."""

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
    link: str | None = field(default=None, metadata=OMITTED)
    """The incident on Sentinel's page; None, and left out, without `alerting.page_url`."""
    acknowledged_by: str | None = field(default=None, metadata=OMITTED)
    """Who acknowledged it; None, and left out, while nobody has."""
    acknowledged_at: str | None = field(default=None, metadata=OMITTED)
    """When; None, and left out, where that is not known."""
    acknowledged_comment: str | None = field(default=None, metadata=OMITTED)
    """That person's comment; None, and left out, without one."""
    no_data_since: str | None = None
    """Since when there is no data about anything that is still wrong; None while data comes."""
    new_level_since: str | None = None
    """Since when everything that is still wrong counts as the new level; None while something does
    not.
    """
    evidence: EvidencePart | None = field(default=None, metadata=OMITTED)
    """Its numbers; None, and left out, in incidents of earlier releases."""
    errors: tuple[str, ...] = ()
    """Errors, refusals and the like, the most frequent first, as `error_type rate_limited:
    41`.
    """
    sample_event_ids: tuple[str, ...] = ()
    """Ids of some of the calls that were judged."""
    trace_links: tuple[str, ...] = ()
    """Addresses of traces of these calls, by `alerting.trace_url`."""
    note: str = ""
    """Why it is in this state, in one sentence; may be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentMessage:
    """A change of one incident."""

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
    link: str | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryMessage:
    """Many incidents in one message."""

    type: str
    timestamp: str
    tenant: str
    count: int = 0
    """Number of all incidents in it."""
    open: int = 0
    """Number of listed incidents that are open."""
    resolved: int = 0
    unlisted: int = 0
    """Number of incidents that are counted and not listed."""
    incidents: tuple[ListedPart, ...]
    """In order of arrival."""


Message = IncidentMessage | SummaryMessage


def encode(message: Message) -> str:
    """The message's body."""
    data = written(message)
    head = {"type": data.pop("type"), "timestamp": data.pop("timestamp"), "version": VERSION}
    return orjson.dumps(head | {"data": data}).decode()


def parse(body: bytes | str) -> Message:
    """The message of a body of any version.

    Raises BadMessage when the body cannot be read, or lacks a required field: names the field and
    the reason.
    """
    try:
        loaded = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        raise BadMessage(f"not JSON: {fault}") from fault
    whole = read_object(loaded, "")
    head = {name: read_text(whole, name) for name in ("type", "timestamp")}
    if whole.get("data") is None:
        raise BadMessage("no value", "data")
    data = read_object(whole["data"], "data")
    if data.get("incident") is not None:
        return read(IncidentMessage, data, "data", **head)
    summary = read(SummaryMessage, data, "data", **head)
    if data.get("count") is None:
        return replace(summary, count=len(summary.incidents))
    return summary
