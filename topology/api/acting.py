"""What people ask for: silences and acknowledgements, as signed commands on the topic (§3); `alert` obeys, and the topic `audit` tells."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from aiohttp import web
from confluent_kafka import KafkaException

from schemas.documents import Kind
from schemas.records import Command, CommandKind, IncidentState
from schemas.secrets import Secret
from streams.position import Refused
from streams.settings import Broker
from topology import commanding
from topology.api import queries
from topology.api.access import ASKER, Asker
from topology.api.problems import Problem
from topology.api.reading import found
from topology.api.shapes import Me, NewSilence, Saying, Silence

T = TypeVar("T")


KEPT_S: Final = 2.0
"""For so long the same silences are told to everybody: to read them is to read the topic, and each open page asks."""


@dataclass(slots=True)
class Commands:
    """The topic of commands."""

    broker: Broker
    key: Secret
    """Signs them."""
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _known: tuple[float, list[commanding.Standing] | Problem] | None = None

    async def publish(self, command: Command) -> None:
        """Returns when it is durable. Raises Problem."""
        await _in_thread(lambda: commanding.publish(self.broker, command, self.key))
        async with self._lock:
            # Whoever reads them just now may not have seen it.
            self._known = None

    async def silences(self, tenant: str) -> list[commanding.Standing]:
        """The tenant's silences that are not past their end, in the order in which they end. Raises Problem."""
        async with self._lock:
            if self._known is None or time.monotonic() - self._known[0] > KEPT_S:
                try:
                    found: list[commanding.Standing] | Problem = await _in_thread(
                        lambda: commanding.silences(self.broker, self.key, _now_us())
                    )
                except Problem as problem:
                    # Told to all who wait, or each would wait for the broker in turn.
                    found = problem
                self._known = time.monotonic(), found
            known = self._known[1]
        if isinstance(known, Problem):
            raise known
        return [one for one in known if one.command.tenant == tenant]


COMMANDS: Final = web.AppKey("commands", Commands)


async def me(request: web.Request) -> Me:
    """What this request's token allows."""
    queries.asked(request, queries.Query)
    why = _why_not(request)
    return Me(request[ASKER].tenant, not why, why)


async def silences(request: web.Request) -> Mapping[str, object]:
    """Silences that are not past their end, in the order in which they end."""
    query = queries.asked(request, queries.OfTenant)
    standing = await request.app[COMMANDS].silences(query.tenant)
    return {"items": [_shown(one.command, one.expired_by) for one in standing], "next": None}


async def add_silence(request: web.Request) -> Silence:
    """Hold messages back. A command: `alert` obeys within a second or so, and what is over its limits is refused there; topic `audit` tells."""
    asker = _who_may_act(request)
    given = await queries.asked_in_body(request, NewSilence)
    if not given.matchers and not given.everything:
        raise Problem(
            400, f"this would silence every incident of {given.tenant}; give matchers, or everything if that is meant"
        )
    now = _now_us()
    command = commanding.silence(
        given.tenant,
        tuple(sorted(set(given.matchers))),
        author=_author(given, asker),
        comment=given.comment,
        now=now,
        ends_at=now + round(given.for_s * 1e6),
    )
    await request.app[COMMANDS].publish(command)
    return _shown(command, "")


async def end_silence(request: web.Request) -> Mapping[str, object]:
    """End a silence before its time."""
    asker = _who_may_act(request)
    query = queries.asked(request, queries.OfTenant)
    given = await queries.asked_in_body(request, Saying)
    named = request.match_info["id"]
    standing = await request.app[COMMANDS].silences(query.tenant)
    if not any(one.command.id == named and not one.expired_by for one in standing):
        raise Problem(404, f"tenant {query.tenant} has no silence {named[:100]} that has not ended")
    await request.app[COMMANDS].publish(_about(CommandKind.EXPIRE, query.tenant, named, given, asker))
    return {}


async def acknowledge(request: web.Request) -> Mapping[str, object]:
    """Say that somebody cares: receivers are told once, and the incident is not repeated."""
    asker = _who_may_act(request)
    query = queries.asked(request, queries.OfTenant)
    given = await queries.asked_in_body(request, Saying)
    incident = await found(request, Kind.INCIDENT)
    if incident.body["state"] != IncidentState.OPEN:
        raise Problem(409, f"the incident is {incident.body['state']} already")
    await request.app[COMMANDS].publish(_about(CommandKind.ACKNOWLEDGE, query.tenant, incident.id, given, asker))
    return {}


def _why_not(request: web.Request) -> str:
    if not request[ASKER].has_token:
        return "without a token one may only read; set api.token_file, and give its token"
    if not request.app[COMMANDS].key:
        return "commands are signed, and the API has no key; set worker.control_key_file, the same for every worker"
    return ""


def _who_may_act(request: web.Request) -> Asker:
    if why := _why_not(request):
        raise Problem(403 if request[ASKER].has_token else 401, why)
    return request[ASKER]


def _author(given: Saying, asker: Asker) -> str:
    """Whose token it was is always told: the name is only what somebody wrote."""
    credential = f"api:{asker.tenant or 'operator'}"
    return f"{given.author.strip()} ({credential})" if given.author.strip() else credential


def _about(kind: CommandKind, tenant: str, target: str, given: Saying, asker: Asker) -> Command:
    return commanding.about(kind, tenant, target, author=_author(given, asker), comment=given.comment, now=_now_us())


async def _in_thread(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except Refused as fault:
        raise Problem(503, str(fault), headers={"Retry-After": "5"}) from fault
    except KafkaException as fault:
        raise Problem(503, f"Kafka does not answer: {fault.args[0]}", headers={"Retry-After": "5"}) from fault


def _shown(command: Command, expired_by: str) -> Silence:
    return Silence(
        command.id,
        command.tenant,
        command.matchers,
        command.author,
        command.comment,
        command.starts_at or command.at,
        command.ends_at or command.at,
        expired_by,
    )


def _now_us() -> int:
    return time.time_ns() // 1000
