"""Outages that last: no incident may be resolved while one goes on, and its end may open none.

Drives the pure programs of detect and correlate on virtual time: two lanes of telemetry, one of
anomalies, ordinary traffic, an outage, and ordinary traffic again. Workers append ticks as the
shell would.

    python -m benchmarks.lasting --json
"""

import argparse
import itertools
import json
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from aiokafka.partitioner import murmur2

from agents.correlation.settings import CorrelationSettings
from agents.detectors.settings import DetectionSettings
from schemas.records.incidents import Incident, IncidentChange, IncidentState
from schemas.records.telemetry import Operation, Status, TelemetryEvent
from schemas.secrets import Secret
from streams.control.records import TICK
from streams.lane.outgoing import Outgoing
from streams.settings import Lanes
from streams.topic_names import TopicNames
from tests.harness.reference.reading import Stored
from tests.harness.reference.undisturbed import Program, correlate_lane, detect_lane

HOURS: Final = (1.0, 3.0, 24.0)
BEFORE_S: Final = 1800
AFTER_S: Final = 1800
BUCKET_S: Final = 10
_START_MS: Final = 1_790_000_000_000
_NAMES: Final = TopicNames("lasting.")
_LIMITS: Final = Lanes(partitions=2)
_TENANT: Final = "acme"


@dataclass(frozen=True, slots=True)
class Kind:
    """An outage of the first model of the first application, of its lane, or of everything."""

    errors: float = 0.01
    latency: float = 1.0
    tokens: float = 1.0
    cost: float = 1.0
    silent: str = ""
    """`series`, `lane` or `everything`; empty while calls go on."""
    silent_after: float = 0.0
    """Share of the outage after which it is silent."""
    detect_stops: bool = False


KINDS: Final = {
    "errors": Kind(errors=0.9),
    "latency": Kind(latency=3.0),
    "silence of a series": Kind(silent="series"),
    "silence of a lane": Kind(silent="lane"),
    "silence of everything": Kind(silent="everything"),
    "tokens": Kind(tokens=3.0),
    "cost": Kind(cost=3.0),
    "errors, then silence": Kind(errors=0.9, silent="everything", silent_after=0.3),
    "latency, detect stands still": Kind(latency=3.0, detect_stops=True),
}


@dataclass(slots=True)
class Outage:
    """What was said of one."""

    kind: str
    hours: float
    found: bool = False
    resolved_early: bool = False
    opened_on_recovery: int = 0
    resolved_after_s: float | None = None
    """From the end of the outage to the last incident's; None when one is still open half an hour
    later.
    """
    accepted: int = 0
    """Incidents that were closed since a level that lasted became what is usual."""
    no_data_told: int = 0
    records: int = 0
    """Of incidents."""


@dataclass(slots=True)
class _Log:
    """One partition and the program that reads it."""

    topic: str
    partition: int
    program: Program
    offset: int = 0

    def appends(
        self,
        records: Sequence[tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]],
        at_ms: int,
    ) -> list[Outgoing]:
        stored = []
        for key, value, headers in records:
            stored.append(Stored(self.partition, self.offset, at_ms, key, value, headers))
            self.offset += 1
        return self.program.step(self.topic, stored)

    def passes(self, at_ms: int) -> list[Outgoing]:
        """Nothing came: a tick, if the lane wants one."""
        return (
            self.appends([(None, None, ((TICK, b"1"),))], at_ms) if self.program.wants_ticks else []
        )


class _World:
    """Both stages, and the incidents that came of it: (append time in s from the beginning,
    record).
    """

    def __init__(self) -> None:
        self.incidents: list[tuple[float, Incident]] = []
        self._waiting: deque[tuple[int, Sequence[Sequence[TelemetryEvent]]]] = deque()
        versions = {"0": DetectionSettings()}
        self._detect = [
            _Log(
                _NAMES.telemetry,
                lane,
                detect_lane(lane, _LIMITS, _NAMES, Secret("k"), versions).program,
            )
            for lane in (0, 1)
        ]
        self._correlate = _Log(
            _NAMES.anomalies, 0, correlate_lane(0, CorrelationSettings(), _NAMES).program
        )

    def passes(
        self, second: float, events: Sequence[Sequence[TelemetryEvent]], *, is_read: bool
    ) -> None:
        """A bucket's events by lane; while detect stands still (not `is_read`), they wait with the
        times at which Kafka took them.
        """
        at_ms = _START_MS + round(second * 1000)
        self._waiting.append((at_ms, events))
        made: list[Outgoing] = []
        while is_read and self._waiting:
            made += self._detected(*self._waiting.popleft())
        told = [
            (one.key, one.value, one.headers)
            for one in made
            if one.topic == _NAMES.anomalies and one.partition in (None, self._correlate.partition)
        ]
        for one in self._correlate.appends(told, at_ms) if told else self._correlate.passes(at_ms):
            if one.topic == _NAMES.incidents and one.value is not None:
                self.incidents.append((second, Incident.from_bytes(one.value)))

    def _detected(self, at_ms: int, events: Sequence[Sequence[TelemetryEvent]]) -> list[Outgoing]:
        made: list[Outgoing] = []
        for log, given in zip(self._detect, events, strict=True):
            records = [(_key(event.application), event.to_bytes(), ()) for event in given]
            made += log.appends(records, at_ms) if records else log.passes(at_ms)
        return made


def outage(name: str, hours: float, seed: int = 1) -> Outage:
    """What is said before, during and after it."""
    kind, world, told = KINDS[name], _World(), Outage(name, hours)
    begin, end = BEFORE_S, BEFORE_S + round(hours * 3600)
    rng, numbers = np.random.default_rng(seed), itertools.count()
    for second in range(0, end + AFTER_S, BUCKET_S):
        is_on = begin <= second < end
        silent = (
            kind.silent if is_on and second >= begin + kind.silent_after * (end - begin) else ""
        )
        events = [
            list(_events(lane, second, kind if is_on else Kind(), silent, rng, numbers))
            for lane in (0, 1)
        ]
        # The world is told of a bucket's events when it is over.
        stands = kind.detect_stops and is_on and second >= begin + 300
        world.passes(second + BUCKET_S, events, is_read=not stands)
    return _judged(told, world.incidents, begin, end)


def _judged(
    told: Outage, incidents: Sequence[tuple[float, Incident]], begin: float, end: float
) -> Outage:
    states: dict[str, IncidentState] = {}
    last = end
    for at, incident in incidents:
        states[incident.id] = incident.state
        is_over = incident.state is not IncidentState.OPEN
        told.found |= begin <= at <= end and incident.change is IncidentChange.OPENED
        # A false alarm about what goes on as ever may come and go within a day.
        is_hit = incident.application == APPLICATIONS[0] or KINDS[told.kind].silent == "everything"
        is_resolved = incident.state is IncidentState.RESOLVED
        told.resolved_early |= is_resolved and is_hit and begin <= at <= end
        told.opened_on_recovery += incident.change is IncidentChange.OPENED and at > end
        told.accepted += incident.change is IncidentChange.CLOSED
        told.no_data_told += incident.change is IncidentChange.NO_DATA
        last = max(last, at) if is_over else last
    told.records = len(incidents)
    if states and not told.accepted and set(states.values()) == {IncidentState.RESOLVED}:
        told.resolved_after_s = last - end
    return told


def _events(
    lane: int,
    second: int,
    kind: Kind,
    silent: str,
    rng: np.random.Generator,
    numbers: Iterator[int],
) -> Iterator[TelemetryEvent]:
    """Calls of one bucket of one lane: two models of one application, about four calls each."""
    if silent == "everything" or (silent == "lane" and lane == 0):
        return
    for model in ("heron-large", "heron-small"):
        is_hit = lane == 0 and model == "heron-large"
        if is_hit and silent:
            continue
        for at in np.sort(rng.random(rng.poisson(4))).tolist():
            tokens = round(600 * float(np.exp(rng.normal(0, 0.3))) * (kind.tokens if is_hit else 1))
            failed = rng.random() < (kind.errors if is_hit else 0.01)
            latency = 1e6 * float(np.exp(rng.normal(0, 0.3))) * (kind.latency if is_hit else 1)
            yield TelemetryEvent(
                event_id=f"e{next(numbers)}",
                event_time=_START_MS * 1000 + round((second + at * BUCKET_S) * 1e6),
                tenant=_TENANT,
                application=APPLICATIONS[lane],
                model=model,
                operation=Operation.CHAT,
                status=Status.ERROR if failed else Status.SUCCESS,
                latency_us=round(latency),
                time_to_first_token_us=round(latency / 3),
                prompt_tokens=tokens,
                completion_tokens=tokens // 3,
                cost_nano=round(tokens * 2000 * (kind.cost if is_hit else 1)),
            )


def _key(application: str) -> bytes:
    return f"{_TENANT}/{application}".encode()


def _application_of(lane: int) -> str:
    names = (f"shop-{number}" for number in itertools.count())
    return next(
        name for name in names if (murmur2(_key(name)) & 0x7FFFFFFF) % _LIMITS.partitions == lane
    )


APPLICATIONS: Final = (_application_of(0), _application_of(1))
"""One for each lane, where its key puts it."""


def main() -> int:
    """Prints what was said; status 1 when an outage was not found, resolved early, or opened
    something when it was over.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--hours", type=float, nargs="+", default=list(HOURS), help="how long each outage lasts"
    )
    parser.add_argument(
        "--kinds", nargs="+", choices=list(KINDS), default=list(KINDS), help="which outages"
    )
    asked = parser.parse_args()
    runs = [(name, hours) for hours in sorted(asked.hours, reverse=True) for name in asked.kinds]
    with ProcessPoolExecutor(2) as pool:
        told = list(pool.map(outage, *zip(*runs, strict=True)))
    if asked.json:
        print(json.dumps({"outages": [asdict(one) for one in told]}))
    else:
        for one in told:
            print(one)
    return int(any(not one.found or one.resolved_early or one.opened_on_recovery for one in told))


if __name__ == "__main__":
    sys.exit(main())
