"""Records made fast: each event is encoded once, as a template, and each record is a template with
its own id and time.

The encoding allows it: `event_id` and `event_time` are the first two fields of a telemetry event,
an id of fixed length takes fixed room, and a time in microseconds takes eight bytes as Avro's
zigzag varint from 1978 to 3111. So a record differs from its template in the same 40 bytes,
whatever comes after them.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from schemas.avro.framing import PREFIX_BYTES
from schemas.records.telemetry import TelemetryEvent

ID_LENGTH: Final = 32
RUN_LENGTH: Final = 20
"""Of an id, the first characters name the run; the others count in hexadecimal."""

_ID_AT: Final = PREFIX_BYTES + 1
_TIME_AT: Final = _ID_AT + ID_LENGTH
_TIME_BYTES: Final = 8
_EARLIEST: Final = 1 << 48
_LATEST: Final = 1 << 55
_HEX: Final = np.frombuffer(b"0123456789abcdef", np.uint8)

Times: TypeAlias = npt.NDArray[np.int64]


class Templates:
    """Encoded events, used one after another and from the start again. What `event_id` and
    `event_time` they had is lost.
    """

    def __init__(self, events: Sequence[TelemetryEvent]) -> None:
        """Encodes the events, of which there is at least one; about 50 µs each."""
        bodies = [
            replace(event, event_id="0" * ID_LENGTH, event_time=_EARLIEST).to_bytes()
            for event in events
        ]
        self._keys = [f"{event.tenant}/{event.application}".encode() for event in events]
        self._bytes = np.frombuffer(b"".join(bodies), np.uint8)
        self._starts = np.concatenate(([0], np.cumsum([len(body) for body in bodies])))

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def mean_bytes(self) -> float:
        """Of a record's value, framing included."""
        return len(self._bytes) / len(self)

    def records(self, run: str, first: int, times: Times) -> tuple[list[bytes], list[bytes]]:
        """Keys and values of the records number `first`, `first + 1` and so on, one for each event
        time (µs).

        Record n is template n modulo their number, with `event_id(run, n)`. Raises ValueError for a
        time out of range or a run's name of another length than 20.
        """
        if len(run) != RUN_LENGTH or not run.isascii():
            raise ValueError(f"a run's name has {RUN_LENGTH} ASCII characters, not {run!r}")
        if times.size and (int(times.min()) < _EARLIEST or int(times.max()) >= _LATEST):
            raise ValueError("event times lie between 1978 and 3111, in microseconds")
        keys: list[bytes] = []
        values: list[bytes] = []
        done = 0
        while done < times.size:
            template = (first + done) % len(self)
            count = min(times.size - done, len(self) - template)
            keys += self._keys[template : template + count]
            values += self._stamped(
                run.encode(), template, first + done, times[done : done + count]
            )
            done += count
        return keys, values

    def _stamped(self, run: bytes, template: int, first: int, times: Times) -> list[bytes]:
        starts = self._starts[template : template + times.size + 1]
        begin = int(starts[0])
        block = self._bytes[begin : int(starts[-1])].copy()
        at = (starts - begin)[:-1, np.newaxis]
        block[at + np.arange(_ID_AT, _ID_AT + RUN_LENGTH)] = np.frombuffer(run, np.uint8)
        block[at + np.arange(_ID_AT + RUN_LENGTH, _TIME_AT)] = _hexadecimal(
            first + np.arange(times.size)
        )
        block[at + np.arange(_TIME_AT, _TIME_AT + _TIME_BYTES)] = zigzag_varints(times)
        whole = block.tobytes()
        cuts = (starts - begin).tolist()
        return [whole[a:b] for a, b in pairwise(cuts)]


def event_id(run: str, number: int) -> str:
    """The id that record `number` of a run gets.

    >>> event_id("load-20260101-000000", 255)
    'load-20260101-0000000000000000ff'
    """
    return f"{run}{number:0{ID_LENGTH - RUN_LENGTH}x}"


def zigzag_varints(times: Times) -> npt.NDArray[np.uint8]:
    """Avro's encoding of longs from 2**48 to 2**55, shape (n, 8): seven bits a byte, the least
    first.

    >>> zigzag_varints(np.array([1_790_000_000_000_000]))[0].tobytes().hex()
    '8080afa2dbffad06'
    """
    septets = (times[:, np.newaxis] << 1) >> np.arange(0, 7 * _TIME_BYTES, 7)
    more = np.array([0x80] * (_TIME_BYTES - 1) + [0])
    encoded: npt.NDArray[np.uint8] = ((septets & 0x7F) | more).astype(np.uint8)
    return encoded


def _hexadecimal(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    digits = ID_LENGTH - RUN_LENGTH
    encoded: npt.NDArray[np.uint8] = _HEX[
        (numbers[:, np.newaxis] >> np.arange(4 * (digits - 1), -1, -4)) & 0xF
    ]
    return encoded
