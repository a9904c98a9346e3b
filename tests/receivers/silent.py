"""Receivers that say nothing, each in its own way, by real sockets."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import pytest

from tests.harness.webhook_server import hangs, receiving, stalls_in_the_body

SILENT_NAME: Final = "never-answered.test"
_SILENCE_S: Final = 12.0
"""About as long as a system asks one server that does not answer."""

_SYSTEM: Final = socket.getaddrinfo


@asynccontextmanager
async def no_name(patch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Its name is asked of a server on this machine that never answers: a look-up takes its thread
    for as long as the system's own would.
    """
    end = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def looked_up(host: str, *args: object, **named: object) -> object:
            if host != SILENT_NAME:
                return _SYSTEM(host, *args, **named)  # type: ignore[arg-type]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.sendto(b"?", server.getsockname())
                end.wait(_SILENCE_S)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

        patch.setattr(socket, "getaddrinfo", looked_up)
        try:
            yield f"https://{SILENT_NAME}/hook"
        finally:
            end.set()
            patch.setattr(socket, "getaddrinfo", _SYSTEM)


@asynccontextmanager
async def no_connection(patch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Its machine takes no more connections: those that are begun are not answered."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/hook"


@asynccontextmanager
async def no_handshake(patch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """It accepts, and never says the first word of TLS."""

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(65_536):
                pass
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def no_answer(patch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """It takes the message, and says nothing."""
    async with receiving(hangs) as receiver:
        yield receiver.url


@asynccontextmanager
async def half_a_body(patch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """It says that it has taken the message, and never ends its answer."""
    async with receiving(stalls_in_the_body) as receiver:
        yield receiver.url


SILENCES: Final[dict[str, Callable[[pytest.MonkeyPatch], AbstractAsyncContextManager[str]]]] = {
    "name": no_name,
    "connect": no_connection,
    "tls": no_handshake,
    "answer": no_answer,
    "body": half_a_body,
}
