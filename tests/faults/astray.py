"""`python -m tests.faults.astray WHAT worker STAGE ...`: a worker of ours on whose machine something is wrong."""

import random
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from agents.detection.lane import DetectLane
from topology.cli import main

CLOCK_S: Final = 600.0
"""How far a clock is off, seconds."""
BUG: Final = 0.01
"""Share of steps that a bug breaks off."""


def _off(seconds: float) -> None:
    """The wall clock of this process is off."""
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + seconds
    time.time_ns = lambda: now_ns() + int(seconds * 1e9)


def _buggy() -> None:
    """Some steps raise in the middle of what they do, when windows have counted and anomalies are told."""
    stock, luck = DetectLane._count, random.Random()

    def counts(lane: DetectLane, *args: Any) -> None:
        stock(lane, *args)
        if luck.random() < BUG:
            raise ZeroDivisionError("a bug in a detector")

    DetectLane._count = counts  # type: ignore[assignment,method-assign]


WHAT: Final[Mapping[str, Callable[[], None]]] = {
    "clock-ahead": lambda: _off(CLOCK_S),
    "clock-behind": lambda: _off(-CLOCK_S),
    "bug": _buggy,
}


if __name__ == "__main__":
    WHAT[sys.argv[1]]()
    main(sys.argv[2:])
