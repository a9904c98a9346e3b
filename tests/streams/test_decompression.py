"""What a decompressor does to bytes that are not of its codec."""

import pytest

from streams.records import decompression
from streams.records.decompression import CannotUnpack, unpacked


def raising(error: BaseException) -> None:
    """A codec that raises it."""

    def unpack(packed: memoryview, max_bytes: int) -> bytes:
        raise error

    decompression._CODECS[9] = unpack  # type: ignore[index]


@pytest.fixture(autouse=True)
def codec(monkeypatch: pytest.MonkeyPatch) -> None:
    """Codec 9 is gone after the test."""
    monkeypatch.setattr(decompression, "_CODECS", dict(decompression._CODECS))


def test_a_panic_of_rust_is_bytes_that_cannot_be_unpacked() -> None:
    """Each library makes a type of its own for them, when it panics for the first time."""
    panic = type("PanicException", (BaseException,), {})
    raising(panic("slice index"))
    with pytest.raises(CannotUnpack, match="slice index"):
        unpacked(9, memoryview(b"x"), 10)


def test_an_exit_is_no_panic() -> None:
    """It leaves as it came."""
    raising(SystemExit(3))
    with pytest.raises(SystemExit):
        unpacked(9, memoryview(b"x"), 10)
