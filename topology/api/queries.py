"""The parameters of requests, and the checks of query and body."""

import asyncio
import json
import re
from datetime import UTC, datetime
from typing import Annotated, Final, Self, TypeVar
from urllib.parse import unquote

import orjson
from aiohttp import web
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from connectors.store.port import MAX_PAGE
from schemas.measures import METRICS
from schemas.records.anomalies import Severity
from schemas.records.incidents import IncidentState
from schemas.records.notifications import NotificationOutcome
from topology.api import texts
from topology.api.access import ASKER
from topology.api.problems import Problem
from topology.api.times import Times

BODY_S: Final = web.AppKey("body_s", float)
"""Seconds in which a request's body must have come."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = re.compile("[0-9]+")
_LONGEST = 18
"""Digits of a moment: more are tens of thousands of years, and no 64-bit number."""


def _moment(given: object) -> int:
    text = str(given)
    if _DIGITS.fullmatch(text.removeprefix("-")) and len(text) <= _LONGEST:
        return int(text)
    try:
        moment = datetime.fromisoformat(text) if text.isascii() else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(
            "is neither RFC 3339 with an offset, such as 2026-05-28T20:00:00Z, nor microseconds"
            " since 1970-01-01 UTC"
        )
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _count(given: object) -> object:
    # Python reads " 1_0" as ten; nobody means that.
    if isinstance(given, str) and not _DIGITS.fullmatch(given):
        raise ValueError("is not a whole number in decimal digits")
    return given


Moment = Annotated[
    int,
    BeforeValidator(_moment),
    WithJsonSchema({"type": ["string", "integer"], "format": "date-time"}),
]
"""Given as RFC 3339 with an offset, or as µs since 1970-01-01 UTC, which it becomes."""

Count = Annotated[
    int,
    BeforeValidator(_count),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_PAGE}),
]
"""A whole number in decimal digits."""

Name = Annotated[
    str, AfterValidator(texts.name), Field(min_length=1, max_length=texts.LONGEST_NAME)
]
"""A name or an id: up to 256 bytes of UTF-8."""

Q = TypeVar("Q", bound="Query")
B = TypeVar("B", bound=BaseModel)


class Query(BaseModel):
    """Parameters of every request."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    times: Times = Field(
        Times.RFC3339,
        description="How times are written: rfc3339, or us for µs since 1970-01-01 UTC.",
    )


class OfTenant(Query):
    """Of one tenant."""

    tenant: Name = Field(description="The tenant; optional with a tenant's own token.")


class OfTenants(Query):
    """Of one tenant, or of all."""

    tenant: Name | None = Field(
        None,
        description=(
            "The tenant. With a tenant's own token it is that one; operators leave it out for all"
            " tenants."
        ),
    )


class Audits(OfTenants):
    """Answers to commands."""

    target: Name | None = Field(None, description="Only about this incident or silence, by its id.")


class Span(OfTenants):
    """Documents of some time."""

    since: Moment | None = Field(
        None, description="From this time on: RFC 3339, or µs since 1970-01-01 UTC."
    )
    until: Moment | None = Field(None, description="Before this time.")

    @model_validator(mode="after")
    def _is_no_empty_span(self) -> Self:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("since must be before until")
        return self


class Listing(Span):
    """A page of documents, newest first."""

    application: Name | None = Field(None, description="Only of this application.")
    limit: Count = Field(50, ge=1, le=MAX_PAGE, description="Documents per page.")
    cursor: Name | None = Field(None, max_length=200, description="`next` of the previous page.")


class Incidents(Listing):
    """`since` and `until` look at when an incident opened."""

    state: IncidentState | None = Field(None, description="Only of this state.")
    severity: list[Severity] = Field([], description="Any of these; repeat it for more.")


class Anomalies(Listing):
    """`since` and `until` look at event time."""

    severity: list[Severity] = Field([], description="Any of these; repeat it for more.")
    detector: Name | None = Field(None, description="Only of this detector.")
    metric: Name | None = Field(None, description="Only of this metric.")
    model: Name | None = Field(None, description="Only of this model.")
    user: Name | None = Field(None, description="Only of this user.")


class Notifications(Span):
    """`since` and `until` look at when it was decided or delivered."""

    incident_id: Name | None = Field(None, description="Only about this incident.")
    receiver: Name | None = Field(None, description="Only to this receiver.")
    outcome: NotificationOutcome | None = Field(None, description="Only of this outcome.")
    limit: Count = Field(50, ge=1, le=MAX_PAGE, description="Documents per page.")
    cursor: Name | None = Field(None, max_length=200, description="`next` of the previous page.")


class Series(Span):
    """One metric of one subject, a point for each bucket."""

    tenant: Name = Field(description="The tenant; optional with a tenant's own token.")
    application: Name
    model: Name
    metric: Name = Field(
        description=f"One of {', '.join(METRICS)}.", json_schema_extra={"enum": list(METRICS)}
    )
    since: Moment = Field(description="Buckets that begin at this time or later.")
    until: Moment = Field(description="Buckets that begin before this time.")


def asked(request: web.Request, kind: type[Q]) -> Q:
    """The query of a request, with the tenant that its credential allows. Raises Problem with each
    parameter that is wrong.
    """
    given: dict[str, object] = {}
    _check_encoding(request)
    for name in request.query:
        values = request.query.getall(name)
        field = kind.model_fields.get(name)
        if field is not None and field.annotation == list[Severity]:
            given[name] = values
        elif len(values) > 1:
            raise Problem(
                400,
                f"{name} is given more than once",
                [{"parameter": name, "reason": "given more than once"}],
            )
        else:
            given[name] = values[0]
    return _validated(request, kind, given)


async def asked_in_body(request: web.Request, kind: type[B]) -> B:
    """The JSON body of a request, with the tenant that its credential allows. Raises Problem with
    each field that is wrong.
    """
    try:
        async with asyncio.timeout(request.app[BODY_S]):
            body = await request.read()
    except TimeoutError:
        raise Problem(
            408,
            f"the body did not come within {request.app[BODY_S]:g} s",
            headers={"Connection": "close"},
        ) from None
    except web.RequestPayloadError:
        # Compressed otherwise than its head says, or cut off: where the next request begins is not
        # known.
        raise Problem(
            400,
            "the body is not what Content-Encoding and Content-Length say",
            headers={"Connection": "close"},
        ) from None
    given = _object(body or b"{}")
    return _validated(request, kind, given)


def _object(body: bytes) -> dict[str, object]:
    """Raises Problem for what is not one JSON object in which each name stands once."""
    twice: list[str] = []

    def collect(pairs: list[tuple[str, object]]) -> dict[str, object]:
        made = dict(pairs)
        if len(made) < len(pairs):
            names = [name for name, _ in pairs]
            twice.extend(sorted({name for name in names if names.count(name) > 1}))
        return made

    try:
        # Stricter than the standard library's: no NaN, no lone surrogates, no bytes that are not
        # UTF-8.
        orjson.loads(body)
        given = json.loads(body, object_pairs_hook=collect)
    except (ValueError, RecursionError):
        raise Problem(400, "the body is not JSON") from None
    if not isinstance(given, dict):
        raise Problem(400, "the body is not a JSON object")
    if twice:
        name = twice[0][:100]
        raise Problem(
            400,
            f"{name} is given more than once",
            [{"parameter": name, "reason": "given more than once"}],
        )
    return given


def _check_encoding(request: web.Request) -> None:
    """Raises Problem for what is not UTF-8: replaced or dropped it would name something else."""
    path, _, query = request.raw_path.partition("?")
    for part in (path, query):
        try:
            unquote(part, errors="strict")
        except UnicodeDecodeError:
            raise Problem(400, "the address is not percent-encoded UTF-8") from None


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
            400,
            "; ".join(f"{one['parameter']}: {one['reason']}".lstrip(": ") for one in errors),
            errors,
        ) from None
