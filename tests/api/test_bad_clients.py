"""What a client does wrong is its own fault: 400 where somebody still listens, and never a bug in
the log. Over raw sockets.
"""

import asyncio
import gzip
import logging
import socket
import struct
import zlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import structlog

from schemas.secrets import Secret
from tests.api.test_connections import BODY, HEAD, OPERATOR, lasted, opened

Start = Callable[..., Coroutine[Any, Any, str]]
LIVE = (
    b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
    + OPERATOR.encode()
    + b"\r\n"
    b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
)


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate"])
@pytest.mark.parametrize(
    "body",
    [
        b"hello",
        gzip.compress(b"{}", mtime=0)[:-6] + b"xxxxxx",
        zlib.compress(b'{"a":1}' * 99)[:20] + b"\xff" * 9,
    ],
)
@pytest.mark.parametrize(
    "path", [b"/api/v1/silences", b"/api/v1/incidents/a/acknowledge?tenant=acme"]
)
async def test_a_body_that_is_not_compressed_as_it_says_is_a_400(
    address: Start, encoding: bytes, body: bytes, path: bytes
) -> None:
    """On every route that takes one."""
    url = await address(token=Secret(OPERATOR))
    head = BODY.replace(b"/api/v1/silences", path) + b"Content-Encoding: " + encoding
    with structlog.testing.capture_logs() as logged:
        reader, writer = await opened(
            url, head + b"\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body), body
        )
        _, answer = await lasted(reader)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert b"application/problem+json" in answer
    assert not [line for line in logged if line["event"] == "api.bug"]


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(
    "said",
    [
        BODY + b"Content-Length: 100\r\n\r\n{}",
        BODY + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        BODY + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n",
        BODY
        + b"Content-Encoding: gzip\r\nContent-Length: 100\r\n\r\n"
        + gzip.compress(b"{}", mtime=0)[:9],
        BODY.replace(b"/silences", b"/incidents/a/close?tenant=acme")
        + b"Content-Length: 100\r\n\r\n{}",
        HEAD + b"Content-Length: 100\r\n\r\n{}",
        HEAD + b"\r\n",
        LIVE + b"AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    ],
)
async def test_a_client_that_leaves_is_no_bug(
    address: Start, said: bytes, reset: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """In the middle of its body, or before its answer; said good-bye or not."""
    url = await address(token=Secret(OPERATOR))
    with structlog.testing.capture_logs() as logged, caplog.at_level(logging.WARNING):
        for wait_s in (0.0, 0.1):
            _, writer = await opened(url, said)
            await asyncio.sleep(wait_s)
            if reset:
                own: socket.socket = writer.get_extra_info("socket")
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            else:
                writer.close()
            await asyncio.sleep(0.1)
    assert not [line for line in logged if line["event"] == "api.bug"]
    assert not caplog.records


@pytest.mark.parametrize("key", [b"\xff\xff\xff", b"\xc3\xa9" * 12, b"a", b"", b"AAAA"])
async def test_a_key_that_is_no_websockets_is_a_400(address: Start, key: bytes) -> None:
    """And nothing is left of the page that there is not."""
    url = await address(token=Secret(OPERATOR), live_clients=1)
    with structlog.testing.capture_logs() as logged:
        for _ in range(2):
            reader, writer = await opened(url, LIVE + key + b"\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 400")
            writer.close()
    assert not [line for line in logged if line["event"] == "api.bug"]
