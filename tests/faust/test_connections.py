"""What aiokafka's connections do on uvloop when the other side is gone, and what ours do
instead.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from itertools import cycle
from typing import Any

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest
from hypothesis import given
from hypothesis import strategies as st

from streams.client import connections
from streams.client.connections import _SMALL, Connection, _Frames

Write = Callable[[AIOKafkaConnection], Awaitable[Any]]


async def _ended(kind: type[AIOKafkaConnection], write: Write) -> None:
    """Writes to a connection in the turn of the loop in which it ended, before its reader has heard
    of that.
    """
    accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(
        lambda _, writer: accepted.set_result(writer), "127.0.0.1", 0
    )
    async with server:
        host, port = server.sockets[0].getsockname()
        connection = kind(host, port)
        connection._reader, connection._writer = await asyncio.open_connection(host, port)
        connection._reader.feed_data(b"unread")
        connection._read_task = asyncio.get_running_loop().create_future()
        connection._versions = {3: (0, 5)}
        other = (await accepted).transport
        other.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        other.abort()
        with contextlib.suppress(ConnectionResetError):
            await connection._writer.wait_closed()
        assert connection.connected()
        try:
            await write(connection)
        finally:
            connection.close()


WRITES: dict[str, Write] = {
    "a request": lambda connection: connection.send(MetadataRequest([])),
    "credentials": lambda connection: connection._send_sasl_token(b"token"),
}


@pytest.mark.parametrize("what", WRITES)
@pytest.mark.parametrize(
    ("kind", "raised"), [(AIOKafkaConnection, RuntimeError), (Connection, KafkaConnectionError)]
)
def test_a_write_to_a_connection_that_has_ended_is_a_broken_connection(
    kind: type[AIOKafkaConnection], raised: type[Exception], what: str
) -> None:
    """Stock raises what no user of a connection expects; ours what each repeats after."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, pytest.raises(raised):
        runner.run(_ended(kind, WRITES[what]))


def test_every_client_of_a_process_that_hands_over_blocks_connects_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The class is looked up where connections are made."""
    made: list[type] = []

    async def seen(connection: AIOKafkaConnection) -> None:
        made.append(type(connection))

    monkeypatch.setattr("aiokafka.conn.AIOKafkaConnection", AIOKafkaConnection)
    monkeypatch.setattr(AIOKafkaConnection, "connect", seen)
    connections.install()
    from aiokafka.conn import create_conn

    asyncio.run(create_conn("127.0.0.1", 1))
    assert made == [Connection]


class Asking:
    """Takes answers as a connection does."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []

    def take(self, answer: bytes | bytearray) -> None:
        """One answer."""
        self.answers.append(bytes(answer))


@given(
    st.lists(
        st.sampled_from((0, 1, 5, 300, _SMALL - 5, _SMALL - 4, _SMALL - 3, 3 * _SMALL)), max_size=6
    ),
    st.lists(st.integers(1, 2 * _SMALL), max_size=12),
)
def test_answers_come_whole_however_they_are_cut(sizes: list[int], reads: list[int]) -> None:
    """Several at once, one in many parts, small ones and large ones, sizes cut in two."""
    asking = Asking()
    frames = _Frames(asking, None)  # type: ignore[arg-type]
    answers = [bytes((index + at) % 251 for at in range(size)) for index, size in enumerate(sizes)]
    stream = b"".join(len(answer).to_bytes(4, "big") + answer for answer in answers)
    lengths = cycle(reads or [_SMALL])
    while stream:
        buffer = frames.get_buffer(-1)
        count = min(next(lengths), len(buffer), len(stream))
        buffer[:count], stream = stream[:count], stream[count:]
        frames.buffer_updated(count)
    assert asking.answers == answers
