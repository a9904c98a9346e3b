"""What the clients send, and the ledger of it, which no part of Sentinel has touched."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final

import numpy as np
import orjson

from schemas.records.telemetry import Label, Status, TelemetryEvent
from topology.demo.traces.ordinary import Population, ordinary_events

EVERYONE: Final = "everyone"
"""A tenant whose applications all clients send, each as it places them."""
_EVERYONES: Final = 0.1
"""Share of the events that are its."""
_APPLICATIONS: Final = 6
_MODELS: Final = 2
_CHUNK: Final = 250

BUCKET_US: Final = 10_000_000
"""Width of a bucket, as it is by default."""
_FAILING: Final = (0.55, 0.65)
"""Part of the whole in which a third of the applications answer nothing but errors."""
_BEHIND_US: Final = 8_000_000
"""A tenth of the events comes up to so much event time after its turn."""

Place = tuple[str, str, str, int]
"""Tenant, application, model, and the window's start, µs."""
Counts = tuple[int, int, int, int]
"""Events, those of them that failed, tokens, and cost in billionths."""


@dataclass(slots=True)
class Ledger:
    """Whole numbers of each bucket of each series."""

    buckets: dict[Place, list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0, 0, 0, 0])
    )

    def write(self, event: TelemetryEvent) -> None:
        """Enters an event that a client will send."""
        start = event.event_time // BUCKET_US * BUCKET_US
        counts = self.buckets[event.tenant, event.application, event.model, start]
        failed = event.status is not Status.SUCCESS
        for place, number in enumerate(
            (1, failed, event.prompt_tokens + event.completion_tokens, event.cost_nano)
        ):
            counts[place] += int(number)

    @property
    def counts(self) -> dict[Place, Counts]:
        """Of each bucket."""
        return {place: (each[0], each[1], each[2], each[3]) for place, each in self.buckets.items()}

    @property
    def events(self) -> int:
        """All of them."""
        return sum(each[0] for each in self.buckets.values())


@dataclass(frozen=True, slots=True)
class Traffic:
    """Event time runs evenly from `start` over `span`, both µs. Every other application of a
    client's own is sent without a key.
    """

    clients: Sequence[str]
    events: int
    seed: int
    start: int
    span: int

    def chunks(self, ledger: Ledger) -> Iterator[dict[str, list[bytes]]]:
        """Lines for each client, a few hundred at a time, in the order of sending; each is entered
        as it is made.
        """
        rng = np.random.default_rng(self.seed)
        own = {name: _population(name, self.seed) for name in self.clients}
        shared = _population(EVERYONE, self.seed)
        for first in range(0, self.events, _CHUNK):
            numbers = np.arange(first, min(first + _CHUNK, self.events))
            share = first / self.events
            failing = _FAILING[0] <= share < _FAILING[1]
            times = self.start + (numbers * (self.span / self.events)).astype(np.int64)
            times -= np.where(
                rng.random(len(times)) < 0.1, rng.integers(0, _BEHIND_US, len(times)), 0
            )
            senders = rng.integers(0, len(self.clients), len(times)).tolist()
            everyones = (rng.random(len(times)) < _EVERYONES).tolist()
            lines: dict[str, list[bytes]] = defaultdict(list)
            for number, time, sender, is_everyones in zip(
                numbers.tolist(), times.tolist(), senders, everyones, strict=True
            ):
                name = self.clients[sender]
                templates = shared if is_everyones else own[name]
                event = _made(templates[number % len(templates)], f"{name}-{number}", time, failing)
                ledger.write(event)
                lines[name].append(line(event))
            yield lines


def line(event: TelemetryEvent) -> bytes:
    """As a client reads it: what is not known is left out, and the client's library fills it in."""
    number = int(event.application.rpartition("-")[2])
    key = None if number % 2 and event.tenant != EVERYONE else f"{event.tenant}/{event.application}"
    known = {
        name: value for name, value in asdict(event).items() if value is not None and value != ()
    }
    return orjson.dumps({"key": key, "event": known}, option=orjson.OPT_APPEND_NEWLINE)


def _population(tenant: str, seed: int) -> list[TelemetryEvent]:
    applications = 2 if tenant == EVERYONE else _APPLICATIONS
    return ordinary_events(
        Population(applications, _MODELS, 20 * applications, tenant), seed, count=2_000
    )


def _made(template: TelemetryEvent, event_id: str, time: int, failing: bool) -> TelemetryEvent:
    labels = (Label("release", event_id[-1]), Label("naïve", "ça va"))
    made = replace(template, event_id=event_id, event_time=time, labels=labels)
    if failing and int(template.application.rpartition("-")[2]) % 3 == 0:
        return replace(made, status=Status.ERROR, error_type="overloaded", http_status=503)
    return made
