"""aiokafka's connections, hardened and made cheaper.

On uvloop a write to a connection that has ended raises a RuntimeError, which aiokafka does not
treat as a broken connection (upstream #1038, open since 2024). aiokafka learns of a connection's
end one turn of the loop late. A task that writes in that turn dies: the one that refreshes
metadata, the one that fetches, the group's, a transaction's. The death of some of these is
reported nowhere.

Brokers' names are looked up in threads of their own before the loop connects: the loop's own
look-ups share two threads of the process, and a name that is never answered would keep them from
the other brokers'.

Stock receives a fetch of megabytes through a `StreamReader`: its buffer is moved some ten times
while it grows, and copied once more at the end. Here bytes are received where they stay.
"""

import asyncio
import weakref
from typing import Any, Final

import aiokafka.conn
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

from streams.client.name_lookups import NameLookups

_SIZE_BYTES: Final = 4
_SMALL: Final = 64 * 1024
"""Bytes of answers that are received together with others, size included."""

_NAMES: Final = NameLookups()
"""Of all connections: a broker's name is looked up once at a time."""


class Connection(AIOKafkaConnection):  # type: ignore[misc]
    """Stock, except that a write to a connection that has ended raises `KafkaConnectionError`,
    after which every caller retries; and answers come through `_Frames`.
    """

    async def connect(self) -> Any:
        """Raises what stock raises."""
        # The loop looks the name up again below, and then gets the answer at once, from the
        # system's cache or the same server. A name without an answer never gets there.
        async with asyncio.timeout(self._request_timeout):
            await _NAMES.addresses(self.host, self.port)
        streams = await super().connect()
        if self._writer is not None:
            # No request is in flight here, so the reader holds no bytes that would be lost.
            transport = self._writer.transport
            transport.pause_reading()
            transport.set_protocol(_Frames(self, self._protocol))
            transport.resume_reading()
        return streams

    def send(self, request: Any, expect_response: bool = True) -> Any:
        """Raises KafkaConnectionError."""
        self._refuse_ended()
        return super().send(request, expect_response)

    def _send_sasl_token(self, payload: bytes, expect_response: bool = True) -> Any:
        self._refuse_ended()
        return super()._send_sasl_token(payload, expect_response)

    def _refuse_ended(self) -> None:
        if self._writer is not None and self._writer.is_closing():
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} has ended")

    def take(self, answer: bytes | bytearray) -> None:
        """Handles one answer, without its size prefix. What a malformed one raises ends the
        transport, and with it the reader and the connection.
        """
        if self._reader is not None:
            self._handle_frame(answer)


class _Frames(asyncio.BufferedProtocol):
    """Cuts received bytes into answers: small ones out of one shared buffer, while each large one
    is received into a buffer of its own. `streams` gets every event except the bytes.
    """

    def __init__(self, connection: Connection, streams: asyncio.StreamReaderProtocol) -> None:
        # Weak: aiokafka warns of a connection that was not closed when it is collected, and a
        # reference from here would keep it alive.
        self._connection = weakref.ref(connection)
        self._streams = streams
        self._small = memoryview(bytearray(_SMALL))
        self._large: bytearray | None = None
        self._filled = 0
        """Bytes in the large answer that is being received, or in the buffer of small ones."""

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes are to be put."""
        return (self._small if self._large is None else memoryview(self._large))[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """`nbytes` were put into the buffer."""
        self._filled += nbytes
        if self._large is None:
            self._cut()
        elif self._filled == len(self._large):
            whole, self._large, self._filled = self._large, None, 0
            self._hand_on(whole)

    def _cut(self) -> None:
        # Kafka's framing: four bytes of size, big-endian, then that many bytes of answer.
        start = 0
        while self._filled - start >= _SIZE_BYTES:
            begin = start + _SIZE_BYTES
            size = int.from_bytes(self._small[start:begin], "big")
            if begin + size <= self._filled:
                start = begin + size
                self._hand_on(bytes(self._small[begin:start]))
            elif size > _SMALL - _SIZE_BYTES:
                # It does not fit the shared buffer: the rest is received where it stays.
                self._large = bytearray(size)
                self._filled -= begin
                self._large[: self._filled] = self._small[begin : begin + self._filled]
                return
            else:
                break
        self._filled -= start
        self._small[: self._filled] = bytes(self._small[start : start + self._filled])

    def _hand_on(self, answer: bytes | bytearray) -> None:
        connection = self._connection()
        if connection is not None:
            connection.take(answer)

    def eof_received(self) -> bool | None:
        """As the streams say."""
        return self._streams.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The reader ends, and with it the connection."""
        self._streams.connection_lost(exc)

    def pause_writing(self) -> None:
        """The other side reads too slowly."""
        self._streams.pause_writing()

    def resume_writing(self) -> None:
        """The other side reads again."""
        self._streams.resume_writing()


def install() -> None:
    """Makes every aiokafka client of this process use these connections."""
    aiokafka.conn.AIOKafkaConnection = Connection
