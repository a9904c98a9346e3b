"""What every detector is: a frozen policy, state in tables that the lane keeps, and a function from
events or a closed bucket to findings.

Two rhythms. *At once*: events of one segment, in offset order, against what the subject's last
closed bucket left. *At close*: all subjects of the lane that are live when a bucket closes. Both
are pure: no clock, no random source, no other lane; the same events give the same findings however
they were batched. Floats are computed at close only, in the order of `rows` (sorted names); a score
is rounded by `significant` before anything is decided.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from schemas.measures import METRICS
from schemas.records.anomalies import Direction, Severity, SignalStatus
from streams.state.tables import Table, TableSpec

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]
Tables = Mapping[str, Table]
"""The state of one detector in one lane: its tables by name. Row numbers are those of the kind of
subject that the table is about.
"""


BAND_METRICS: Final = METRICS
"""Metrics for which an aggregate has room for a band, in the order of its schema."""

WATCHED_EVERY: Final = 6
"""Every so many buckets, by their numbers, users without an event are looked at whose signals are
open.
"""


class Kind(StrEnum):
    """What a row number counts."""

    SERIES = "series"
    """(tenant, application, model)"""
    USER = "user"
    """(tenant, application, user)"""
    APPLICATION = "application"
    """(tenant, application)"""


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict worth telling. The lane adds names, ids, offset and ordinal and makes an `Anomaly`
    of it.
    """

    kind: Kind
    row: int
    metric: str
    window_start: int
    window_end: int
    event_time: int
    """µs: that of the event for a verdict at once, the window's end for one at close."""
    observed: float
    expected: float | None
    score: float
    severity: Severity
    confidence: float
    direction: Direction
    reason: str
    evidence: tuple[tuple[str, float], ...]
    """All numbers that the verdict was computed from: enough to compute it again."""
    rule: str | None = None
    position: int | None = None
    """At once: the index of the event in its segment. At close: None."""
    first: bool = False
    """Whether it begins its signal; False where it says again that the signal lasts."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One metric of one subject, or a rule on it, that a finding was about: open until a `Change`
    ends it.
    """

    kind: Kind
    row: int
    metric: str
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a signal that is open. A bucket without data ends none, but for a rate that
    was too high.
    """

    signal: Signal
    status: SignalStatus
    reason: str
    """In one sentence, for a person."""
    since: int | None = None
    """Of NO_DATA: up to when there was data, µs."""


class Names(Protocol):
    """The names behind the row numbers of one kind of subject; `streams.state.subjects.Subjects` is
    one.
    """

    def name(self, row: int) -> tuple[str, ...]:
        """Of series: (tenant, application, model)."""
        ...


class Events(Protocol):
    """One segment: good events that are not late, in offset order, between two closes. Arrays have
    shape (n,).
    """

    names: Names
    """Of the rows in `series`. For looking up a few rows, never one per event."""

    offsets: Int64s
    times: Int64s
    """Event time, µs."""
    buckets: Int64s
    """Event time // bucket width."""
    series: Int64s
    """Row of (tenant, application, model)."""
    bucket_us: int

    def integers(self, column: str) -> Int64s:
        """A column of TelemetryEvent by name; -1 where the event has none. Also `failed`: 0 or 1,
        and `tokens`: prompt and completion.
        """
        ...

    def numbers(self, metric: str) -> Float64s:
        """Any metric of a rule, NaN where the event has none: a numeric column by name, `failed`,
        `tokens`, `quality.<name>`, `security.<kind>`, `feature.<name>`.

        Raises:
            KeyError: no such metric exists.
        """
        ...


@dataclass(frozen=True, slots=True)
class Closed:
    """One closed bucket over all live subjects of one kind (of users those with an event, and every
    `WATCHED_EVERY` buckets those that the detector watches); arrays have shape (n,) in the sorted
    order of names.
    """

    kind: Kind
    bucket: int
    start: int
    """µs, inclusive."""
    end: int
    """µs, exclusive."""
    rows: Int64s
    numbers: Mapping[str, Int64s]
    """Integer sums of the bucket by name, 0 where the subject had no event.

    Series: requests, errors, latency_us, latency_max_us, first_tokens (events that had a first
    token), time_to_first_token_us, prompt_tokens, completion_tokens, cost_nano. Users: requests,
    tokens, cost_nano.
    """
    sketches: Mapping[str, npt.NDArray[np.uint32]]
    """Series: `latency_us` and `time_to_first_token_us`, shape (n, BINS) (streams.state.sketch).
    Users: none.
    """
    applications: Int64s
    """Row of the (tenant, application) that each subject belongs to."""
    application_count: int
    """One more than the highest application row."""
    seen_before: Int64s
    """One more than the newest bucket before this one in which the subject had an event; 0 for
    none.
    """


@dataclass(frozen=True, slots=True)
class Bands:
    """Per subject and metric what was seen and what was expected; arrays have shape (n, metrics),
    NaN where there is not enough data.
    """

    metrics: tuple[str, ...]
    observed: Float64s
    expected: Float64s
    low: Float64s
    high: Float64s


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a detector says at a close."""

    findings: Sequence[Finding]
    bands: Bands | None = None
    changes: Sequence[Change] = ()


class Detector(Protocol):
    """Name, version, and the tables that hold its state: (kind of the rows, spec)."""

    name: str
    version: int
    tables: Sequence[tuple[Kind, TableSpec]]

    def recompute(self, metric: str, evidence: Mapping[str, float]) -> float:
        """The score of a finding about `metric`, computed again from its evidence alone: equal to
        the finding's.

        Raises:
            KeyError: the evidence is not that of a finding of this detector.
        """
        ...

    def open_signals(self, tables: Tables, rows: Int64s | None = None) -> Sequence[Signal]:
        """Signals of these rows (None: all) that were reported and not ended, in row order."""
        ...

    def judges(self, signal: Signal, name: tuple[str, ...]) -> bool:
        """Whether these settings judge what the signal is about; `name` is the subject's."""
        ...

    def forget(self, tables: Tables, signals: Sequence[Signal]) -> None:
        """These signals are open no more."""
        ...


class AtOnceDetector(Detector, Protocol):
    """Answers within the batch."""

    def at_once(self, tables: Tables, events: Events) -> Sequence[Finding]:
        """Findings in the order of `position`."""
        ...

    def settle(self, tables: Tables, closed: Closed) -> Sequence[Change]:
        """What a closed bucket of series makes of open signals."""
        ...


class AtCloseDetector(Detector, Protocol):
    """Answers when a bucket closes. `kind` is the kind of subject that it wants closed buckets of;
    `bands` are the metrics for which it gives bands, empty for none. What a lane can serve of both
    is in `agents.detection.served`.
    """

    kind: Kind
    bands: tuple[str, ...]

    def watched(self, tables: Tables) -> Int64s:
        """Rows that it wants to see in a closed bucket now and then though they had no event,
        ascending: those with an open signal.
        """
        ...

    def at_close(self, tables: Tables, closed: Closed) -> Verdicts:
        """Judges the bucket against what was learnt before it, then learns from it."""
        ...
