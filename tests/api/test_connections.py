"""Who sends nothing, half a request, or takes nothing, is disconnected, and keeps nobody else out.
Over raw sockets.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from schemas.secrets import Secret
from topology.api import connections
from topology.api.settings import ApiSettings

OPERATOR = "o" * 32
Start = Callable[..., Coroutine[Any, Any, str]]
PATIENCE_S = 30.0


async def opened(url: str, *said: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which this has been sent."""
    reader, writer = await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)
    for part in said:
        writer.write(part)
    await writer.drain()
    return reader, writer


async def lasted(reader: asyncio.StreamReader) -> tuple[float, bytes]:
    """How long the other side let it be open, and what it said."""
    began = time.monotonic()
    async with asyncio.timeout(PATIENCE_S):
        try:
            said = await reader.read()
        except ConnectionError:
            said = b""
    return time.monotonic() - began, said


HEAD = b"GET /live HTTP/1.1\r\nHost: localhost\r\n"
BODY = (
    b"POST /api/v1/silences HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
    + OPERATOR.encode()
    + b"\r\n"
    b"Content-Type: application/json\r\n"
)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"G",
        HEAD,
        HEAD + b"X-Long: " + b"x" * 5000,
        HEAD + b"\r\n" + HEAD,
        BODY + b"Content-Length: 40\r\n\r\n{",
        BODY + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        # Of a request whose body nobody asks for.
        HEAD + b"Content-Length: 40\r\n\r\n{",
    ],
)
async def test_half_a_request_is_given_up(
    address: Start, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """Nothing, half a head, half a body: after request_s; half a head that came with a whole
    request as one that idles.
    """
    monkeypatch.setattr(connections, "IDLE_S", 1.0)
    url = await address(token=Secret(OPERATOR), request_s=0.5)
    reader, writer = await opened(url, said)
    seconds, answer = await lasted(reader)
    assert 0.3 < seconds < 15
    if said.startswith(b"POST"):
        assert answer.startswith(b"HTTP/1.1 408")
    writer.close()


async def test_a_client_that_drips_its_head_is_given_up(address: Start) -> None:
    """A byte now and then buys no time."""
    url = await address(request_s=0.5)
    reader, writer = await opened(url)
    watching = asyncio.create_task(lasted(reader))
    for byte in HEAD:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.1)
        if watching.done():
            break
    assert (await watching)[0] < 5
    writer.close()


async def test_an_answer_that_is_not_taken_is_given_up(address: Start) -> None:
    """Its bytes do not fill the memory for ever."""
    url = await address(answer_s=0.5)
    parts = urlsplit(url)
    mean = socket.socket()
    mean.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    mean.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(mean, (parts.hostname, parts.port))
    ask = b"GET /static/vendor/uPlot.esm.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    ended = False
    async with asyncio.timeout(PATIENCE_S):
        while not ended:
            # Again and again, so that the answers do not fit into the system's buffers.
            try:
                await asyncio.wait_for(loop.sock_sendall(mean, ask), 2.0)
            except TimeoutError:
                pass  # It reads no more either, until it gives up.
            except ConnectionError:
                ended = True
            await asyncio.sleep(0.01)
    mean.close()


async def test_requests_in_good_order_share_a_connection(
    address: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when more time lies between them than one may take; then it is closed too."""
    monkeypatch.setattr(connections, "IDLE_S", 2.0)
    url = await address(request_s=0.5)
    reader, writer = await opened(url)
    for _ in range(3):
        writer.write(HEAD + b"\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        await reader.readuntil(b'{"live":true}')
        await asyncio.sleep(0.8)
    seconds, said = await lasted(reader)
    assert (seconds < 10, said) == (True, b"")
    writer.close()


async def test_empty_connections_keep_nobody_out(address: Start) -> None:
    """Those above the bound of an address are told so; when the others are given up, there is room
    again.
    """
    url = await address(connections_per_address=250, request_s=4.0)
    held = [await opened(url) for _ in range(250)]
    reader, refused = await opened(url)
    _, said = await lasted(reader)
    refused.close()
    assert said.startswith(b"HTTP/1.1 429")
    assert b"api.connections_per_address" in said
    await asyncio.gather(*[lasted(reader) for reader, _ in held])
    async with aiohttp.ClientSession() as session, session.get(f"{url}/live") as answer:
        assert answer.status == 200
    for _, writer in held:
        writer.close()


async def test_a_page_that_listens_is_not_given_up(address: Start) -> None:
    """However long it says nothing: it has its own heartbeat."""
    url = await address(request_s=0.5)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/api/v1/live?tenant=acme") as page,
    ):
        await asyncio.sleep(2.0)
        assert not page.closed
        await page.ping()
        assert not page.closed


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"request_s": 0.0}, "request_s"),
        ({"answer_s": float("nan")}, "answer_s"),
        ({"stale_after_s": float("inf")}, "stale_after_s"),
        ({"connections": 1000}, "more than live_clients"),
        ({"connections_per_address": -1}, "connections_per_address"),
        ({"commands_waiting": 0}, "commands_waiting"),
        ({"live_clients_per_tenant": 0}, "live_clients_per_tenant"),
    ],
)
def test_bounds_that_bound_nothing_are_refused(given: dict[str, float], word: str) -> None:
    """When the settings are read."""
    with pytest.raises(ValueError, match=word):
        ApiSettings(**given)  # type: ignore[arg-type]
