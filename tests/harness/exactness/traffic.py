"""Traffic with everything in it: many subjects, faults that detectors find, disorder, lateness,
clocks ahead, and records that are no events.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from schemas.records.telemetry import Status, TelemetryEvent
from topology.demo.traces.ordinary import Population, ordinary_events
from topology.demo.traces.templates import Templates

TENANTS: Final = ("acme", "globex", "initech")
MODELS: Final = 2
USERS_PER_APPLICATION: Final = 25

SLOW_US: Final = 6_000_000
"""Latency that the first rule does not allow, µs; ordinary calls take about a second."""
QUEUED_US: Final = 2_000_000
"""Time in a queue that the second rule does not allow, µs."""

_CHUNK: Final = 250
_SPOILT: Final = 0.3
"""Share of chunks with a record that is no ordinary event: about one in 800."""

_FAULTS: Final = ((0.30, 0.36), (0.55, 0.60), (0.78, 0.84))
"""Parts of the whole in which something is wrong."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Neighbouring records to be sent: key, value and headers of each."""

    keys: list[bytes]
    values: list[bytes | None]
    headers: list[list[tuple[str, bytes]]]


@dataclass(frozen=True, slots=True)
class Traffic:
    """All of it, made again from the same numbers: the same records, to the byte.

    Event time runs evenly from `start` over `span`, both µs, and is meant to lie behind the wall
    clock.
    """

    events: int
    subjects: int
    seed: int
    start: int
    span: int

    def chunks(self) -> Iterator[Chunk]:
        """About `events` records in the order of sending, a few hundred at a time."""
        rng = np.random.default_rng(self.seed)
        ordinary = _templates(self.subjects, self.seed, None)
        faulty = [_templates(self.subjects, self.seed, number) for number in range(len(_FAULTS))]
        for first in range(0, self.events, _CHUNK):
            numbers = np.arange(first, min(first + _CHUNK, self.events))
            share = first / self.events
            fault = next(
                (n for n, (begin, end) in enumerate(_FAULTS) if begin <= share < end), None
            )
            times = self.start + (numbers * (self.span / self.events)).astype(np.int64)
            times = _disordered(times, rng)
            source, run = (
                (ordinary, "exactness-ordinary--")
                if fault is None
                else (faulty[fault], "exactness-faulty----")
            )
            keys, values = source.records(run, first, times)
            chunk = Chunk(keys, list(values), [[] for _ in keys])
            if rng.random() < _SPOILT:
                _spoil(chunk, int(times[-1]), rng)
            yield chunk


def _templates(subjects: int, seed: int, fault: int | None) -> Templates:
    applications = max(1, subjects // MODELS // len(TENANTS))
    events: list[TelemetryEvent] = []
    for number, tenant in enumerate(TENANTS):
        population = Population(applications, MODELS, USERS_PER_APPLICATION * applications, tenant)
        events += ordinary_events(
            population, seed + number, count=max(1_000, 4 * population.subjects)
        )
    rng = np.random.default_rng(seed)
    shuffled = [events[index] for index in rng.permutation(len(events)).tolist()]
    luck = rng.random((len(shuffled), 2)).tolist()
    return Templates(
        [_marked(_wrong(event, fault), *lucky) for event, lucky in zip(shuffled, luck, strict=True)]
    )


def _marked(event: TelemetryEvent, luck: float, queue: float) -> TelemetryEvent:
    """A few events that rules find, whatever else is going on; and queues that are mostly short."""
    if luck < 0.001:
        event = replace(event, latency_us=SLOW_US + int(luck * 1e9))
    return replace(
        event,
        queue_time_us=None
        if queue < 0.2
        else int(20_000 * queue)
        if queue < 0.9995
        else 3 * QUEUED_US,
    )


def _wrong(event: TelemetryEvent, fault: int | None) -> TelemetryEvent:
    """The event as the fault leaves it. Each touches some applications only."""
    number = int(event.application.rpartition("-")[2])
    match fault:
        case 0 if number % 4 == 0 and event.time_to_first_token_us is not None:
            return replace(
                event,
                latency_us=event.latency_us * 6,
                time_to_first_token_us=event.time_to_first_token_us * 6,
            )
        case 1 if number % 3 == 0 and int(event.prompt_tokens) % 2:
            return replace(
                event,
                status=Status.ERROR,
                time_to_first_token_us=None,
                completion_tokens=0,
                http_status=500,
                cost_nano=0,
            )
        case 2 if event.user is not None and event.user.endswith("7"):
            return replace(
                event, prompt_tokens=event.prompt_tokens * 40, cost_nano=event.cost_nano * 40
            )
    return event


def _disordered(
    times: "np.ndarray[tuple[int], np.dtype[np.int64]]", rng: np.random.Generator
) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """A tenth of the events comes up to 8 s of event time after its turn, one in 300 up to 90 s:
    most of those are late.
    """
    draw = rng.random(len(times))
    behind = np.where(draw < 0.1, rng.integers(0, 8_000_000, len(times)), 0)
    behind = np.where(draw > 1 - 1 / 300, rng.integers(0, 90_000_000, len(times)), behind)
    return np.asarray(times - behind)


def _spoil(chunk: Chunk, now: int, rng: np.random.Generator) -> None:
    """Puts one record among them that is no ordinary event."""
    at = int(rng.integers(len(chunk.keys)))
    good = chunk.values[at]
    assert good is not None
    event = TelemetryEvent.from_bytes(good)
    value, headers = _ODD[int(rng.integers(len(_ODD)))](event, now)
    chunk.keys.insert(at, chunk.keys[at])
    chunk.values.insert(at, value)
    chunk.headers.insert(at, headers)


Odd = tuple[bytes | None, list[tuple[str, bytes]]]


def _garbage(event: TelemetryEvent, now: int) -> Odd:
    return b"\x00\x00\x00\x00\x01" + event.event_id.encode()[:7], []


def _truncated(event: TelemetryEvent, now: int) -> Odd:
    return event.to_bytes()[:-11], []


def _unframed(event: TelemetryEvent, now: int) -> Odd:
    return b"{}", []


def _empty(event: TelemetryEvent, now: int) -> Odd:
    return b"", []


def _nothing(event: TelemetryEvent, now: int) -> Odd:
    return None, []


def _negative(event: TelemetryEvent, now: int) -> Odd:
    return replace(event, latency_us=-5).to_bytes(), []


def _ahead(event: TelemetryEvent, now: int) -> Odd:
    """Two days: far ahead of any clock."""
    return replace(event, event_time=now + 2 * 86_400_000_000).to_bytes(), []


def _day_late(event: TelemetryEvent, now: int) -> Odd:
    return replace(event, event_time=now - 86_400_000_000).to_bytes(), []


def _forged_tick(event: TelemetryEvent, now: int) -> Odd:
    """Anyone who may write here may say that time passes: the broker says how much."""
    return None, [("sentinel-tick", b"1")]


def _forged_settings(event: TelemetryEvent, now: int) -> Odd:
    return b"0", [("sentinel-settings", b"1"), ("sentinel-signature", b"0" * 64)]


_ODD: Final = (
    _garbage,
    _truncated,
    _unframed,
    _empty,
    _nothing,
    _negative,
    _ahead,
    _day_late,
    _forged_tick,
    _forged_settings,
)
