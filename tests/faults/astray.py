"""`python -m tests.faults.astray WHAT worker STAGE ...`: a worker of ours on whose machine
something is wrong.
"""

import itertools
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from agents.detection.lane import DetectLane
from schemas.telemetry.columns import Decoded, Decoder
from tests.faults import older
from topology.cli import main
from topology.supervision.decoding_trial import decode_all

CLOCK_S: Final = 600.0
"""How far a clock is off, seconds."""
BUG: Final = (20, 180)
"""Which step after a process's first flush a bug breaks off: one between these, so one of a hundred
on the average. A bug that comes before it each time lets nobody go on, and the fault is to end.
"""
DEADLY: Final = "of which the decoder dies"
"""Text of a record."""


def astray(what: str, *more: str) -> Sequence[str]:
    """The command of such a worker; its own arguments follow."""
    return (sys.executable, "-m", "tests.faults.astray", what, *more)


def _off(seconds: float) -> None:
    """The wall clock of this process is off."""
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + seconds
    time.time_ns = lambda: now_ns() + int(seconds * 1e9)


def _buggy() -> None:
    """A step raises in the middle of what it does, when windows have counted and anomalies are
    told.
    """
    stock, stock_changes = DetectLane._segment, DetectLane.changes
    steps, last, flushed = itertools.count(1), random.randint(*BUG), False

    def segment(lane: DetectLane, *args: Any) -> None:
        stock(lane, *args)
        if flushed and next(steps) == last:
            raise ZeroDivisionError("a bug in a detector")

    def changes(lane: DetectLane) -> Iterator[tuple[bytes, bytes | None]]:
        nonlocal flushed
        flushed = True
        return stock_changes(lane)

    DetectLane._segment = segment  # type: ignore[assignment,method-assign]
    DetectLane.changes = changes  # type: ignore[method-assign]


def _deadly() -> None:
    """Native code has a defect."""
    stock, text = Decoder.decode, DEADLY.encode()

    def decode(decoder: Decoder, values: Sequence[bytes | None], columns: Sequence[str]) -> Decoded:
        if any(value is not None and text in value for value in values):
            os.kill(os.getpid(), signal.SIGSEGV)
        return stock(decoder, values, columns)

    Decoder.decode = decode  # type: ignore[assignment,method-assign]


WHAT: Final[Mapping[str, Callable[[], None]]] = {
    "clock-ahead": lambda: _off(CLOCK_S),
    "clock-behind": lambda: _off(-CLOCK_S),
    "bug": _buggy,
    "deadly": _deadly,
    "older-schema": older.learn,
}


if __name__ == "__main__":
    WHAT[sys.argv[1]]()
    if sys.argv[2] == "try":
        decode_all(sys.stdin.buffer, sys.stdout)
    else:
        main(sys.argv[2:])
