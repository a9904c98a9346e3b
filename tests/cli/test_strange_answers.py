"""What answers a command may be anything: one plain line of what a person can put right, never a
bug, and never a token.
"""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from schemas.documents import Kind
from schemas.errors import UserError
from schemas.secrets import Secret
from topology.commands.asking import FromApi, Question, with_iso_times
from topology.commands.explain import _at
from topology.doctor.asking import get

Answering = Callable[[bytes], str]
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def answering() -> Iterator[Answering]:
    """Starts what answers every request with these bytes; gives its address."""
    sockets: list[socket.socket] = []

    def start(answer: bytes) -> str:
        listening = socket.create_server(("127.0.0.1", 0))
        sockets.append(listening)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65_536)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    yield start
    for each in sockets:
        # Wakes the thread that waits for it.
        each.shutdown(socket.SHUT_RDWR)
        each.close()


def _with(body: bytes, status: bytes = OK) -> bytes:
    return status + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body


STRANGE = [
    b"garbage\r\n\r\n",
    b"HTTP/1.1 abc\r\n\r\n",
    OK + b"Content-Length: 100\r\n\r\n{}",
    OK + b"A: b\r\n" * 200 + b"\r\n",
    _with(b"[" * 100_000),
    _with(b'{"items":' + b"[" * 100_000),
    _with(b'{"items":[1]}'),
    _with(b'{"items":5}'),
    _with(b'{"items":null}'),
    _with(b"[]"),
    _with(b"\xff"),
    _with(b"[" * 100_000, b"HTTP/1.1 500 X\r\n"),
    b"HTTP/1.1 500 X\r\nContent-Length: 100\r\n\r\n{",
]


@pytest.mark.parametrize("answer", STRANGE)
@pytest.mark.parametrize("tenant", ["acme", None])
def test_what_is_no_api_is_told_in_a_line(
    answering: Answering, answer: bytes, tenant: str | None
) -> None:
    """With its address."""
    url = answering(answer)
    with pytest.raises(UserError, match=url.removeprefix("http://")) as told:
        FromApi(url, Secret("t" * 16)).ask(Question(Kind.INCIDENT, tenant))
    assert "\n" not in str(told.value)


def test_a_name_that_is_none_is_told_in_a_line() -> None:
    """Nothing is asked."""
    with pytest.raises(UserError, match="no Sentinel API answers at http://a b/"):
        FromApi("http://a b/", Secret("")).ask(Question(Kind.INCIDENT, "acme"))


@pytest.mark.parametrize("token", ["first\ngeheim", "geheim\0geheim", "two geheim", "geheim€"])
def test_a_token_that_no_header_can_have_is_not_shown(token: str) -> None:
    """As a file of the wrong kind may hold."""
    with pytest.raises(UserError, match="the token for --api must be one word of ASCII") as told:
        FromApi("http://127.0.0.1:9", Secret(token))
    assert "geheim" not in str(told.value)


@pytest.mark.parametrize("at", [10**18, -(10**18), 10**30])
def test_a_time_that_no_calendar_has_is_shown_as_it_is(at: int) -> None:
    """A record on the topics may say anything, and the others of the list are to be seen."""
    assert with_iso_times({"at": at}) == {"at": str(at)}
    assert _at(at) == f"{at} µs"


@pytest.mark.parametrize("answer", STRANGE)
def test_doctor_says_of_what_is_no_elasticsearch_that_it_is_none(
    answering: Answering, answer: bytes
) -> None:
    """And looks at the rest."""
    status, body, _ = get(answering(answer), {}, None)
    assert status is None or body


@pytest.mark.parametrize(
    "date",
    [
        b"Thu, 01 Jan 1970 00:01:00 +99999999999999",
        b"1 Jan 99999999999 00:00:00",
        b"x",
        b"1 Jan 2026 0:0:0",
    ],
)
def test_doctor_believes_no_clock_that_cannot_be(answering: Answering, date: bytes) -> None:
    """It asks on without one."""
    assert get(answering(OK + b"Date: " + date + b"\r\nContent-Length: 2\r\n\r\n{}"), {}, None) == (
        200,
        "{}",
        None,
    )


def test_doctor_shows_no_credentials_that_no_header_can_have() -> None:
    """As a file of the wrong kind may hold."""
    status, why, _ = get("http://127.0.0.1:9", {"Authorization": "ApiKey a\ngeheim"}, None)
    assert (status, "geheim" in why) == (None, False)
