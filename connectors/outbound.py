"""The one way out by HTTP: to a target that was looked at first."""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import aiohttp
from aiohttp.abc import ResolveResult
from yarl import URL

from connectors.addresses import Reach, refusal
from connectors.resolving import OwnResolver


@dataclass(frozen=True, slots=True)
class OutboundLimits:
    """How much of us one attempt may take."""

    connect_s: float = 5.0
    """Seconds to resolve the name and to connect."""

    total_s: float = 10.0
    """Seconds for all of it."""

    answer_bytes: int = 65_536
    """Most bytes of the answer's body that are read."""


class Fault(StrEnum):
    """What can go wrong before an answer's status is there. The texts go to logs and records: they stay."""

    NAME = "name not resolved"
    CONNECT = "no connection"
    TLS = "TLS failed"
    TIMEOUT = "timeout"
    RESET = "connection lost"
    BAD_ANSWER = "answer is not HTTP"


class ForbiddenTarget(ValueError):
    """The target must not be connected to, by its URL or by what its name resolves to."""


class NoAnswer(Exception):
    """The attempt got no status."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault: Final = fault


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as far as it came: the status decides, what follows it may be missing."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    """At most `answer_bytes` of it, as sent: not decompressed."""
    is_complete: bool
    """Whether `body` is all that was sent."""


_LIMITS: Final = OutboundLimits()


class OutboundTarget:
    """One URL that is posted to, with connections and name look-ups of its own, so that a target that hangs holds up no other.

    https only; http for loopback where `allow_private`. `allow_private` also opens loopback and private addresses, never link-local, metadata or
    multicast ones. The name is resolved anew and vetted for each connection, which goes to an address that was vetted. Redirects are not followed,
    proxies, cookies and credentials of the environment not used.

    Raises ForbiddenTarget when the URL itself is not allowed, with words that say what to change.
    """

    def __init__(self, url: str, *, allow_private: bool = False, limits: OutboundLimits = _LIMITS) -> None:
        self._url: Final = _checked(url, allow_private)
        self._limits: Final = limits
        if self._url.scheme == "http":
            self._reach = Reach.LOOPBACK
        else:
            self._reach = Reach.PRIVATE if allow_private else Reach.PUBLIC
        self._session: aiohttp.ClientSession | None = None
        if (why := _literal_refusal(self._url, self._reach)) is not None:
            raise ForbiddenTarget(f"{self._url.host}: {why}")

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One attempt. Raises NoAnswer when no status came, ForbiddenTarget when the name resolves to what is not allowed."""
        try:
            async with self._opened().post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                content, is_complete = await _read(response, self._limits.answer_bytes)
                return Answer(response.status, response.headers, content, is_complete)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoAnswer(_fault(error)) from error

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        # A session belongs to a running loop, so it is opened by the first post, not by building the target.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=_VettingResolver(self._reach), use_dns_cache=False, force_close=True
                ),
                timeout=aiohttp.ClientTimeout(
                    total=self._limits.total_s, connect=self._limits.connect_s, sock_connect=self._limits.connect_s
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                headers={"User-Agent": "llm-sentinel", "Accept-Encoding": "identity"},
            )
        return self._session


class _VettingResolver(OwnResolver):
    """Gives the connector only addresses that may be connected to: it connects to these, not to the name."""

    def __init__(self, reach: Reach) -> None:
        super().__init__()
        self._reach: Final = reach

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises ForbiddenTarget when none may be connected to, OSError when there is no such name."""
        found = await super().resolve(host, port, family)
        refusals = [refusal(result["host"], self._reach) for result in found]
        allowed = [result for result, why in zip(found, refusals, strict=True) if why is None]
        if found and not allowed:
            raise ForbiddenTarget(f"{host}: {refusals[0]}")
        return allowed


def _checked(url: str, allow_private: bool) -> URL:
    try:
        parsed = URL(url)
    except ValueError as error:
        raise ForbiddenTarget(f"not a URL: {error}") from error
    if not parsed.host:
        raise ForbiddenTarget("the URL has no host")
    if parsed.user or parsed.password:
        raise ForbiddenTarget(f"{parsed.host}: a URL must not hold a user or a password")
    if parsed.scheme != "https" and not (parsed.scheme == "http" and allow_private):
        raise ForbiddenTarget(
            f"{parsed.host}: the URL must begin with https:// (http:// is for loopback with allow_private)"
        )
    return parsed


def _literal_refusal(url: URL, reach: Reach) -> str | None:
    """aiohttp connects to a host that looks like an address without asking the resolver: it is vetted here."""
    host = url.host or ""
    looks_literal = ":" in host or host.rstrip(".").replace(".", "").isdigit()
    return refusal(host, reach) if looks_literal else None


async def _read(response: aiohttp.ClientResponse, most: int) -> tuple[bytes, bool]:
    """The first `most` bytes of the body, and whether that is all. The status is known: a fault from here on only cuts the body short."""
    content = bytearray()
    try:
        while len(content) <= most:
            part = await response.content.read(most + 1 - len(content))
            if not part:
                return bytes(content), True
            content += part
    except (aiohttp.ClientError, TimeoutError, OSError):
        return bytes(content), False
    response.close()
    return bytes(content[:most]), False


def _fault(error: Exception) -> Fault:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return Fault.NAME
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return Fault.TLS
        case TimeoutError() | asyncio.TimeoutError():
            return Fault.TIMEOUT
        case aiohttp.ClientConnectorError():
            return Fault.CONNECT
        case aiohttp.ClientResponseError() | aiohttp.InvalidURL():
            return Fault.BAD_ANSWER
        case _:
            return Fault.RESET
