"""What can be asked, by the parameters of a URL."""

from datetime import UTC, datetime
from typing import Annotated, Self, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator

from connectors.store.port import MAX_PAGE, METRICS
from schemas.records import IncidentState, NotificationOutcome, Severity
from topology.api.access import ASKER
from topology.api.problems import Problem

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST = 18
"""Digits of a moment: more are tens of thousands of years, and no 64-bit number."""


def _moment(given: object) -> int:
    text = str(given)
    if text.isascii() and text.removeprefix("-").isdigit() and len(text) <= _LONGEST:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(
            "is neither RFC 3339 with an offset, such as 2026-05-28T20:00:00Z, nor microseconds since 1970-01-01 UTC"
        )
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


Moment = Annotated[int, BeforeValidator(_moment), WithJsonSchema({"type": ["string", "integer"]})]
"""Given as RFC 3339 with an offset, or as µs since 1970-01-01 UTC, which it becomes."""

Q = TypeVar("Q", bound="Query")
B = TypeVar("B", bound=BaseModel)


class Query(BaseModel):
    """What is the same for all tenants."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OfTenant(Query):
    """Of one tenant."""

    tenant: str = Field(min_length=1, description="The tenant; may be left out with a tenant's own token.")


class Span(OfTenant):
    """Documents of some time."""

    since: Moment | None = Field(None, description="Of this time or later: RFC 3339, or µs since 1970-01-01 UTC.")
    until: Moment | None = Field(None, description="Before this time.")

    @model_validator(mode="after")
    def _is_no_empty_span(self) -> Self:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("since must be before until")
        return self


class Listing(Span):
    """A page of documents, newest first."""

    application: str | None = Field(None, description="Only of this application.")
    limit: int = Field(50, ge=1, le=MAX_PAGE, description="Documents of a page.")
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")


class Incidents(Listing):
    """`since` and `until` look at when an incident opened."""

    state: IncidentState | None = Field(None, description="Only of this state.")
    severity: list[Severity] = Field([], description="Any of these; may be given several times.")


class Anomalies(Listing):
    """`since` and `until` look at event time."""

    severity: list[Severity] = Field([], description="Any of these; may be given several times.")
    detector: str | None = Field(None, description="Only of this detector.")
    metric: str | None = Field(None, description="Only of this metric.")
    model: str | None = Field(None, description="Only of this model.")
    user: str | None = Field(None, description="Only of this user.")


class Notifications(Span):
    """`since` and `until` look at when it was decided or delivered."""

    incident_id: str | None = Field(None, description="Only about this incident.")
    receiver: str | None = Field(None, description="Only to this receiver.")
    outcome: NotificationOutcome | None = Field(None, description="Only of this outcome.")
    limit: int = Field(50, ge=1, le=MAX_PAGE, description="Documents of a page.")
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")


class Series(Span):
    """One metric of one subject, a point for each bucket."""

    application: str = Field(min_length=1)
    model: str = Field(min_length=1)
    metric: str = Field(description=f"One of {', '.join(METRICS)}.")
    since: Moment = Field(description="Buckets that begin at this time or later.")
    until: Moment = Field(description="Buckets that begin before this time.")


def asked(request: web.Request, kind: type[Q]) -> Q:
    """The query of a request, with the tenant that its credential allows. Raises Problem with each parameter that is wrong."""
    given: dict[str, object] = {}
    for name in request.query:
        values = request.query.getall(name)
        field = kind.model_fields.get(name)
        if field is not None and field.annotation == list[Severity]:
            given[name] = values
        elif len(values) > 1:
            raise Problem(
                400, f"{name} is given more than once", [{"parameter": name, "reason": "given more than once"}]
            )
        else:
            given[name] = values[0]
    return _validated(request, kind, given)


async def asked_in_body(request: web.Request, kind: type[B]) -> B:
    """The JSON body of a request, with the tenant that its credential allows. Raises Problem with each field that is wrong."""
    try:
        given = orjson.loads(await request.read() or b"{}")
    except orjson.JSONDecodeError:
        raise Problem(400, "the body is no JSON") from None
    if not isinstance(given, dict):
        raise Problem(400, "the body is no JSON object")
    return _validated(request, kind, given)


def _validated(request: web.Request, kind: type[B], given: dict[str, object]) -> B:
    own = request[ASKER].tenant
    if own is not None and "tenant" in kind.model_fields and given.setdefault("tenant", own) != own:
        raise Problem(403, "this token is another tenant's")
    try:
        return kind.model_validate(given)
    except ValidationError as refused:
        errors = [
            {
                "parameter": str(error["loc"][0]) if error["loc"] else "",
                "reason": error["msg"].removeprefix("Value error, "),
            }
            for error in refused.errors(include_url=False, include_input=False)
        ]
        raise Problem(
            400, "; ".join(f"{one['parameter']}: {one['reason']}".lstrip(": ") for one in errors), errors
        ) from None
