"""Silences, acknowledgements and closing an incident, as signed commands.

`alert` or `correlate` applies them, and the topic `audit` has the outcome of each.
"""

import time
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from schemas.documents import Kind
from schemas.records.control import Command, CommandKind
from schemas.records.incidents import IncidentState
from topology.api import queries
from topology.api.access import ASKER, Asker
from topology.api.commands import COMMANDS
from topology.api.permissions import why_not_act
from topology.api.problems import Problem
from topology.api.reading import found
from topology.api.shapes import Accepted, Acknowledgement, Me, NewSilence, Saying, Silence
from topology.control import commanding

TRACE_URL: Final = web.AppKey[str | None]("trace_url")
"""Address of traces, with {trace_id}; None if the settings have none."""
_LISTED: Final = 1000


async def me(request: web.Request, query: queries.Query) -> Me:
    """The permissions of this request's token."""
    why = why_not_act(request)
    return Me(request[ASKER].tenant, not why, why, request.app[TRACE_URL])


async def silences(request: web.Request, query: queries.OfTenants) -> Mapping[str, object]:
    """Silences whose end is not past, in the order in which they end."""
    current = (await request.app[COMMANDS].requests()).silences
    own = [one for one in current if query.tenant in (None, one.command.tenant)]
    return {"items": [_shown(one) for one in own], "next": None}


async def acknowledgements(request: web.Request, query: queries.OfTenants) -> Mapping[str, object]:
    """The last acknowledgement of each incident, newest first; at most 1,000."""
    own = [
        one
        for one in (await request.app[COMMANDS].requests()).acknowledgements
        if query.tenant in (None, one.tenant)
    ]
    items = [
        Acknowledgement(one.tenant, one.target, one.author, one.comment, one.at)
        for one in own[:_LISTED]
    ]
    return {"items": items, "next": None}


async def audit(request: web.Request, query: queries.Audits) -> Mapping[str, object]:
    """Outcomes of commands, newest first: applied, repeated, or refused with the reason; at most
    1,000. A command that its stage has not processed yet has no record here.
    """
    found = (await request.app[COMMANDS].requests()).audits
    own = [
        one
        for one in found
        if query.tenant in (None, one.tenant) and query.target in (None, one.target)
    ]
    return {"items": own[:_LISTED], "next": None}


async def add_silence(request: web.Request, query: queries.Query, given: NewSilence) -> Silence:
    """Hold back messages about incidents that match. This is a command: `alert` applies it within
    a second or so, and refuses what exceeds its limits; `/api/v1/audit` has the outcome.
    """
    if not given.matchers and not given.everything:
        raise Problem(
            400,
            f"this would silence every incident of {given.tenant}; give matchers, or everything if"
            " that is meant",
        )
    now = _now_us()
    command = commanding.silence(
        given.tenant,
        tuple(sorted(set(given.matchers))),
        author=_author(given, request[ASKER]),
        comment=given.comment,
        now=now,
        ends_at=now + round(given.for_s * 1e6),
    )
    await request.app[COMMANDS].publish(command, request[ASKER].tenant)
    return _shown(commanding.CurrentSilence(command))


async def end_silence(request: web.Request, query: queries.OfTenant, given: Saying) -> Accepted:
    """End a silence before its time."""
    named = request.match_info["id"]
    current = (await request.app[COMMANDS].requests()).silences
    if not any(
        one.command.tenant == query.tenant and one.command.id == named and one.can_be_ended
        for one in current
    ):
        raise Problem(404, f"tenant {query.tenant} has no silence {named[:100]} that has not ended")
    return await _accepted(
        request, _about(CommandKind.EXPIRE, query.tenant, named, given, request[ASKER])
    )


async def acknowledge(request: web.Request, query: queries.OfTenant, given: Saying) -> Accepted:
    """Acknowledge an incident: receivers are notified once, and it is not repeated."""
    return await _about_incident(request, query, given, CommandKind.ACKNOWLEDGE)


async def close(request: web.Request, query: queries.OfTenant, given: Saying) -> Accepted:
    """Close an incident. This is a command: `correlate` applies it within a second or so, and
    receivers are notified. A fault that still lasts opens no other incident before it has been
    normal once.
    """
    return await _about_incident(request, query, given, CommandKind.CLOSE)


async def _about_incident(
    request: web.Request, query: queries.OfTenant, given: Saying, kind: CommandKind
) -> Accepted:
    incident = await found(request, Kind.INCIDENT, query.tenant)
    if incident.body["state"] != IncidentState.OPEN:
        raise Problem(409, f"the incident is {incident.body['state']} already")
    return await _accepted(request, _about(kind, query.tenant, incident.id, given, request[ASKER]))


async def _accepted(request: web.Request, command: Command) -> Accepted:
    """Publish it; the response says how to find its outcome."""
    await request.app[COMMANDS].publish(command, request[ASKER].tenant)
    return Accepted(command.id, command.at)


def _author(given: Saying, asker: Asker) -> str:
    """Names the token too: the name alone could be anybody's."""
    credential = f"api:{asker.tenant or 'operator'}"
    return f"{given.author.strip()} ({credential})" if given.author.strip() else credential


def _about(kind: CommandKind, tenant: str, target: str, given: Saying, asker: Asker) -> Command:
    return commanding.about(
        kind, tenant, target, author=_author(given, asker), comment=given.comment, now=_now_us()
    )


def _shown(one: commanding.CurrentSilence) -> Silence:
    command = one.command
    return Silence(
        command.id,
        command.tenant,
        command.matchers,
        command.author,
        command.comment,
        command.starts_at or command.at,
        command.ends_at or command.at,
        one.state,
        one.detail,
        one.expired_by,
    )


def _now_us() -> int:
    return time.time_ns() // 1000
