"""Builds the messages of `schemas.messages`: about a change of one incident, or a summary of many.

A body depends on incidents alone, on no clock: built again, it is the same to the byte.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from agents.alerting.reasons import Reason
from agents.alerting.tracked_incident import Acknowledgement
from schemas.ids import record_id
from schemas.messages.message import (
    EvidencePart,
    IncidentMessage,
    IncidentPart,
    ListedPart,
    SummaryMessage,
    encode,
)
from schemas.records.incidents import Incident, IncidentState
from schemas.units import moment, number, quantity

_MAX_ERRORS: Final = 5
_MAX_TRACES: Final = 3


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message for one receiver, to be tried until it has an outcome."""

    notification_id: str
    tenant: str
    incident_id: str
    """Of a summary: the first incident that it lists."""
    incident_revision: int
    receiver: str
    reason: Reason
    """One of the reasons to send, such as OPENED or SUMMARY."""
    body: str
    decided_at: int
    """Wall clock, µs; the deadline counts from here, over restarts."""

    thread: str = ""
    """Id of the receiver's own thread with earlier messages about the incident."""

    def begun(self, now: int, thread: str) -> "Delivery":
        """The same message, after it had to wait for its turn: its deadline counts from now."""
        return replace(self, decided_at=now, thread=thread)


@dataclass(frozen=True, slots=True)
class Listing:
    """An incident as a summary lists it. Times event time, µs."""

    id: str
    application: str
    state: str
    severity: str
    title: str
    opened_at: int
    updated_at: int
    resolved_at: int | None

    @staticmethod
    def of(incident: Incident) -> "Listing":
        """This incident in a summary."""
        return Listing(
            incident.id,
            incident.application,
            incident.state,
            incident.severity,
            incident.title,
            incident.opened_at,
            incident.updated_at,
            incident.resolved_at,
        )


def message_id(incident: Incident, receiver: str, *which: str | int) -> str:
    """The id of the message about this revision to this receiver: constant over retries, restarts
    and replays.

    `which` distinguishes further messages of the same revision, such as repeats.
    """
    return record_id(incident.tenant, incident.id, incident.revision, receiver, *which)


def summary_id(incident: Incident, receiver: str, first_at: int) -> str:
    """The id of the summary that this incident's revision began at this time; a repeat of the
    revision may begin another one.
    """
    return record_id(incident.tenant, incident.id, incident.revision, receiver, "summary", first_at)


def incident_message(
    incident: Incident,
    reason: Reason,
    page_url: str | None = None,
    trace_url: str | None = None,
    acknowledged: Acknowledgement | None = None,
) -> str:
    """The body of a message about one incident; with `page_url` it links to the page, with
    `trace_url` to each known trace.
    """
    part = IncidentPart(
        id=incident.id,
        tenant=incident.tenant,
        application=incident.application,
        state=incident.state,
        severity=incident.severity,
        title=incident.title,
        revision=incident.revision,
        opened_at=iso(incident.opened_at),
        updated_at=iso(incident.updated_at),
        resolved_at=None if incident.resolved_at is None else iso(incident.resolved_at),
        anomaly_count=incident.anomaly_count,
        models=incident.models,
        users=incident.users,
        metrics=incident.metrics,
        detectors=incident.detectors,
        anomaly_ids=incident.anomaly_ids,
        settings_version=incident.settings_version,
        link=_link(page_url, incident.tenant, incident.id),
        acknowledged_by=None if acknowledged is None else acknowledged.author,
        acknowledged_at=None
        if acknowledged is None or not acknowledged.at
        else iso(acknowledged.at),
        acknowledged_comment=(acknowledged.comment or None) if acknowledged is not None else None,
        no_data_since=None if incident.no_data_since is None else iso(incident.no_data_since),
        new_level_since=None if incident.new_level_since is None else iso(incident.new_level_since),
        note=incident.note,
        evidence=_evidence(incident),
        errors=tuple(
            f"{part.name} {part.value}: {part.count}" for part in incident.breakdown[:_MAX_ERRORS]
        ),
        sample_event_ids=incident.sample_event_ids,
        trace_links=_trace_links(trace_url, incident),
    )
    return encode(
        IncidentMessage(
            type=f"incident.{reason}", timestamp=iso(incident.updated_at), incident=part
        )
    )


def summary_message(
    tenant: str, listings: Sequence[Listing], unlisted: int, page_url: str | None = None
) -> str:
    """The body of a summary, its incidents in the order in which they came."""
    is_open = sum(listing.state == IncidentState.OPEN for listing in listings)
    return encode(
        SummaryMessage(
            type="incidents.summary",
            timestamp=iso(max(listing.updated_at for listing in listings)),
            tenant=tenant,
            count=len(listings) + unlisted,
            open=is_open,
            resolved=len(listings) - is_open,
            unlisted=unlisted,
            incidents=tuple(
                _listed(listing, _link(page_url, tenant, listing.id)) for listing in listings
            ),
        )
    )


def iso(time: int) -> str:
    """µs since 1970 as ISO 8601 in UTC.

    >>> iso(1_700_000_000_000_001)
    '2023-11-14T22:13:20.000001Z'
    """
    return moment(time).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _evidence(incident: Incident) -> EvidencePart | None:
    metric, observed, expected = (
        incident.evidence_metric,
        incident.evidence_observed,
        incident.evidence_expected,
    )
    # Incidents of earlier releases have no numbers.
    if not metric or observed is None:
        return None
    usual = "" if expected is None else quantity(metric, expected)
    unusual = (
        [] if incident.evidence_score is None else [f"score {number(incident.evidence_score)}"]
    )
    if incident.evidence_rule is not None:
        usual = f"limit {usual}".rstrip()
        unusual = [f"rule {incident.evidence_rule}"]
    # No ratio to a usual value of zero, or one beyond what a float can hold.
    elif expected is not None and expected > 0 and math.isfinite(observed / expected):
        unusual.insert(0, f"{number(observed / expected)}x usual")
    since = incident.opened_at if incident.evidence_since is None else incident.evidence_since
    return EvidencePart(
        metric=metric,
        now=quantity(metric, observed),
        usual=usual,
        unusual=", ".join(unusual),
        since=iso(since),
    )


def _trace_links(trace_url: str | None, incident: Incident) -> tuple[str, ...]:
    if trace_url is None:
        return ()
    # Ids come from telemetry: quoted, they cannot change the address.
    ids = (quote(trace, safe="") for trace in incident.sample_trace_ids[:_MAX_TRACES])
    return tuple(trace_url.replace("{trace_id}", trace) for trace in ids)


def _listed(listing: Listing, link: str | None) -> ListedPart:
    return ListedPart(
        id=listing.id,
        application=listing.application,
        state=listing.state,
        severity=listing.severity,
        title=listing.title,
        opened_at=iso(listing.opened_at),
        updated_at=iso(listing.updated_at),
        resolved_at=None if listing.resolved_at is None else iso(listing.resolved_at),
        link=link,
    )


def _link(page_url: str | None, tenant: str, incident_id: str) -> str | None:
    if page_url is None:
        return None
    return (
        f"{page_url.rstrip('/')}/incidents/{quote(tenant, safe='')}/{quote(incident_id, safe='')}"
    )
