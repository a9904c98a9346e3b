"""aiohttp's part of outgoing requests. Importing it takes a quarter of a second, which a check of a
URL need not wait for: so it is a module of its own.
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from typing import Final

import aiohttp
from aiohttp.abc import ResolveResult
from yarl import URL

from connectors.http.addresses import Reach, refusal
from connectors.http.exchange import Answer, Fault, ForbiddenTarget, NoAnswer, OutboundLimits
from connectors.http.resolving import OwnResolver


def session(reach: Reach, limits: OutboundLimits) -> aiohttp.ClientSession:
    """A session for one target. It belongs to the running loop; the caller closes it."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            # Neither a cached name nor an open connection outlives the check of its address.
            resolver=_VettingResolver(reach),
            use_dns_cache=False,
            force_close=True,
        ),
        timeout=aiohttp.ClientTimeout(
            total=limits.total_s, connect=limits.connect_s, sock_connect=limits.connect_s
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        headers={"User-Agent": "llm-sentinel", "Accept-Encoding": "identity"},
    )


async def posted(
    opened: aiohttp.ClientSession, url: URL, body: bytes, headers: Mapping[str, str], most: int
) -> Answer:
    """Make one attempt, and read at most `most` bytes of the answer's body. Raises NoAnswer and
    ForbiddenTarget as `OutboundTarget.post` does.
    """
    try:
        async with opened.post(url, data=body, headers=headers, allow_redirects=False) as response:
            content, is_complete = await _read(response, most)
            return Answer(response.status, response.headers, content, is_complete)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise NoAnswer(_fault(error)) from error


class _VettingResolver(OwnResolver):
    """Gives the connector only addresses that are allowed.

    It connects to these, not to the name: a second look-up cannot change them (DNS rebinding).
    """

    def __init__(self, reach: Reach) -> None:
        super().__init__()
        self._reach: Final = reach

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises ForbiddenTarget when no address is allowed, OSError for an unknown name."""
        found = await super().resolve(host, port, family)
        refusals = [refusal(result["host"], self._reach) for result in found]
        allowed = [result for result, why in zip(found, refusals, strict=True) if why is None]
        if found and not allowed:
            raise ForbiddenTarget(f"{host}: {refusals[0]}")
        return allowed


async def _read(response: aiohttp.ClientResponse, most: int) -> tuple[bytes, bool]:
    """The first `most` bytes of the body, and whether that is all. The status is known: a fault
    from here on only cuts the body short.
    """
    content = bytearray()
    try:
        while len(content) <= most:
            part = await response.content.read(most + 1 - len(content))
            if not part:
                return bytes(content), True
            content += part
    except (aiohttp.ClientError, TimeoutError, OSError):
        return bytes(content), False
    # The rest is not read: a receiver must not decide how much memory an answer takes.
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
