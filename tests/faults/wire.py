"""A TCP proxy before a server, that does to the network what a network does by itself now and
then.
"""

import asyncio
import contextlib
import socket
import struct
from typing import Final, Self

_CHUNK: Final = 65_536


class Wire:
    """Listens on `port` of loopback, and connects each client with the server behind it.

    `delay_s` is added in each direction to whatever is sent; `bytes_per_s` limits each direction of
    each connection; None is as fast as it goes.
    """

    def __init__(self, port: int, server: tuple[str, int]) -> None:
        self.port = port
        self.passes = asyncio.Event()
        """While it is not set, connections stay open and nothing arrives: a black hole."""
        self.passes.set()
        self.delay_s = 0.0
        self.bytes_per_s: float | None = None
        self._server = server
        self._listening: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._joins: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """`host:port`, for clients."""
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._listening = await asyncio.start_server(self._join, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *args: object) -> None:
        assert self._listening is not None
        self._listening.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._joins, return_exceptions=True)

    def reset(self) -> None:
        """Breaks every connection off at once, in both directions, as a machine does that forgot
        them.
        """
        for end in list(self._ends):
            connected = end.get_extra_info("socket")
            if connected is not None:
                # Linger 0: the other side is told by RST, not by an orderly end.
                with contextlib.suppress(OSError):
                    connected.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )
            end.transport.abort()

    def half_close(self) -> None:
        """Ends one direction of every connection: what clients say still arrives, and nobody
        answers.
        """
        for end in list(self._ends):
            if end.can_write_eof() and not end.is_closing():
                with contextlib.suppress(OSError):
                    end.write_eof()

    def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._joined(reader, writer))
        self._joins.add(task)
        task.add_done_callback(self._joins.discard)

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._server)
        except OSError:
            writer.transport.abort()
            return
        ends = (writer, back)
        self._ends.update(ends)
        pumps = [
            asyncio.create_task(self._pump(reader, back)),
            asyncio.create_task(self._pump(there, writer)),
        ]
        self._pumps.update(pumps)
        try:
            await asyncio.wait(pumps)
        finally:
            for end in ends:
                self._ends.discard(end)
                end.transport.abort()
                with contextlib.suppress(OSError):
                    await end.wait_closed()
            self._pumps.difference_update(pumps)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whichever side went away, the other sees its connection end.
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self.passes.wait()
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if self.bytes_per_s:
                    await asyncio.sleep(len(data) / self.bytes_per_s)
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
