"""The work that every engine does, and what must come out of it.

Events come at a fixed rate of event time, from a start on the boundary of a window; each falls into
the ten-second window of its application and model. A window counts calls and errors, sums latency,
its square and cost, and keeps the largest latency. All are whole numbers (µs, nano-units), so that
engines agree to the last digit whatever order they add in.
"""

import time
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.records.telemetry import Status
from topology.demo.traces.ordinary import Population, ordinary_events
from topology.demo.traces.playing import FILL

Int64s = npt.NDArray[np.int64]

COLUMNS: Final = ("count", "sum", "sum of squares", "maximum", "errors", "cost")
"""Of a closed window, in the order of every array and record here."""

WINDOW_S: Final = 10
GRACE_S: Final = 5
"""How much later event time must be before a window closes, seconds: what Sentinel waits for late
events by default.
"""

EVENT_RATE: Final = 20_000
"""Events per second of event time, over all keys."""

MODELS: Final = 5
SEED: Final = 1

_BEFORE_NOW_S: Final = 60


@dataclass(frozen=True, slots=True)
class Work:
    """Events of one topic. `start` is the first one's event time, µs."""

    keys: int
    events: int
    start: int

    @property
    def population(self) -> Population:
        """Who makes them: applications of five models, or one model each where five do not divide
        the keys.
        """
        models = MODELS if self.keys % MODELS == 0 else 1
        return Population(self.keys // models, models, users=0)

    @property
    def windows(self) -> int:
        """Windows that have events, the last perhaps cut short."""
        return -(-self.events // (EVENT_RATE * WINDOW_S))

    def times(self, first: int, count: int) -> Int64s:
        """Event times of `count` events from number `first` on, µs."""
        return self.start + np.arange(first, first + count) * (1_000_000 // EVENT_RATE)

    def due(self, events: int) -> int:
        """Windows that are closed for every key, beyond doubt, when this many events were read
        evenly from all partitions.
        """
        return max(0, (events // EVENT_RATE - 2 * GRACE_S) // WINDOW_S)


def work_of(keys: int, events: int, now_s: float | None = None) -> Work:
    """The work whose last event is a minute old, so that no event is ahead of its arrival."""
    before = (time.time() if now_s is None else now_s) - events / EVENT_RATE - _BEFORE_NOW_S
    return Work(keys, events, int(before // WINDOW_S) * WINDOW_S * 1_000_000)


def reference(work: Work) -> Int64s:
    """What the windows hold, of shape (windows, keys, len(COLUMNS)); a key's place is its
    application times the models, plus its model.
    """
    each = _contributions(work)
    sums = np.zeros((work.windows, work.keys, len(COLUMNS)), np.int64)
    for first in range(0, work.events, FILL):
        count = min(FILL, work.events - first)
        template = np.arange(first, first + count) % len(each)
        window = (work.times(first, count) - work.start) // (WINDOW_S * 1_000_000)
        at, values = (window, each[template, 0]), each[template, 1:]
        for column in range(len(COLUMNS)):
            into = sums[..., column]
            if COLUMNS[column] == "maximum":
                np.maximum.at(into, at, values[:, column])
            else:
                np.add.at(into, at, values[:, column])
    return sums


def _contributions(work: Work) -> Int64s:
    """Of each template: its key's place, and what one event of it adds to each column."""
    models = work.population.models
    rows = [
        (
            int(event.application.removeprefix("app-")) * models
            + int(event.model.removeprefix("model-")),
            1,
            event.latency_us,
            event.latency_us**2,
            event.latency_us,
            int(event.status != Status.SUCCESS),
            event.cost_nano,
        )
        for event in ordinary_events(work.population, SEED)
    ]
    return np.array(rows, np.int64)
