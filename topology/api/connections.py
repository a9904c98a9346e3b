"""Connections are bounded, in number and in time: who sends nothing, or half a request, is
disconnected.

The HTTP server itself bounds only how long a connection may idle between requests. What is bounded
here besides: the time for a request's head and body, the time for a client to take an answer, all
connections together, and those of one address.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from ipaddress import ip_address, ip_network
from typing import Any, Final

from aiohttp import web

from topology.api.settings import ApiSettings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

IDLE_S: Final = 75.0
"""Between two requests of a connection: longer than browsers wait before they ask again."""

_TOO_MANY: Final = (
    b'{"type":"about:blank","title":"Too Many Requests","status":429,'
    b'"detail":"too many connections (api.connections, api.connections_per_address)"}'
)
_REFUSAL: Final = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/problem+json\r\nRetry-After:"
    b" 5\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_TOO_MANY), _TOO_MANY)
)


class Connections:
    """All connections of a server."""

    def __init__(self, settings: ApiSettings) -> None:
        self.request_s, self.answer_s = settings.request_s, settings.answer_s
        self._most, self._most_of_one = settings.connections, settings.connections_per_address
        self._open: Counter[str] = Counter()

    def admit(self, address: str) -> bool:
        """Counts one more, unless it is too many."""
        if self._open.total() >= self._most or 0 < self._most_of_one <= self._open[address]:
            return False
        self._open[address] += 1
        return True

    def leave(self, address: str) -> None:
        """One less."""
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]

    async def listen(
        self, http: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> asyncio.Server:
        """Serves there; `http` makes what speaks HTTP on a connection. Raises OSError when it
        cannot.
        """
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: Connection(http(), self), host, port, reuse_address=True
        )


class Connection(asyncio.Protocol):
    """One connection: passes everything to the HTTP server's own protocol, within time limits."""

    def __init__(self, inner: asyncio.Protocol, connections: Connections) -> None:
        self._inner, self._connections = inner, connections
        self._transport: asyncio.Transport | None = None
        self._address: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._idle = False
        """Whether nothing of the next request has come yet."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admits it, or says that there are too many."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        address = network_of(transport.get_extra_info("peername"))
        if not self._connections.admit(address):
            transport.write(_REFUSAL)
            transport.close()
            return
        self._address = address
        self._arm(self._connections.request_s)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Of the next request, or of the one that is being served."""
        if self._address is None:
            return
        if self._idle:
            self._idle = False
            self._arm(self._connections.request_s)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """The client has said everything."""
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._disarm()
        if self._address is not None:
            self._connections.leave(self._address)
            self._address = None
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """The client has taken it."""
        self._inner.resume_writing()

    @property
    def answer_s(self) -> float:
        """Seconds in which an answer must be taken."""
        return self._connections.answer_s

    def begins(self) -> None:
        """A request's head is whole: what it takes from now on is the handler's to bound."""
        self._disarm()

    def ends(self) -> None:
        """The answer has been sent."""
        if self._address is not None:
            self._idle = True
            self._arm(IDLE_S)

    def abort(self) -> None:
        """Ends it at once, whatever has not been sent."""
        if self._transport is not None:
            self._transport.abort()

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.abort)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def network_of(peer: Any) -> str:
    """What counts as one address: an IPv4 address, or an IPv6 network of 64 bits, which is one
    customer's.

    >>> network_of(("192.0.2.7", 50_000)), network_of(("2001:db8::17", 50_000, 0, 0))
    ('192.0.2.7', '2001:db8::/64')
    """
    try:
        address = ip_address(str(peer[0]).partition("%")[0])
    except (TypeError, IndexError, ValueError):
        return ""
    return str(address) if address.version == 4 else str(ip_network((address, 64), strict=False))


@web.middleware
async def timed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Stops the watch over a request's head when it has come, and bounds the time in which its
    answer is taken.
    """
    transport = request.transport
    connection = None if transport is None else transport.get_protocol()
    if not isinstance(connection, Connection):
        return await handler(request)
    connection.begins()
    try:
        answer = await handler(request)
        if not isinstance(answer, web.WebSocketResponse):
            await _taken(request, answer, connection)
        return answer
    finally:
        connection.ends()


async def _taken(request: web.Request, answer: web.StreamResponse, connection: Connection) -> None:
    try:
        async with asyncio.timeout(connection.answer_s):
            await answer.prepare(request)
            await answer.write_eof()
    except (TimeoutError, ConnectionError):
        # Too slow, or gone before its answer.
        connection.abort()
