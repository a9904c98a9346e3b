"""Fills `telemetry` at a pace that leaves something to do for as long as workers are killed, then
as fast as the broker takes it.
"""

import threading
import time
from array import array
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from confluent_kafka import KafkaError, Message, Producer

from tests.harness.exactness.plan import Plan
from tests.harness.exactness.traffic import Chunk
from tests.harness.showing import BenchmarkFailed
from topology.demo.traces.outbox import load_config

HELD_BACK: Final = 0.1
"""Share of the events that is sent only when no more workers are killed."""

RUSHED: Final = 0.5
"""Share of the events that is kept for rushes."""

_LOOK_S: Final = 0.02
_PATIENCE_S: Final = 300.0
"""How long a record may take, also where the broker is away again and again."""

Acknowledged = Mapping[int, "array[int]"]
"""Offsets that the broker acknowledged, by partition."""


@dataclass(slots=True)
class Sender:
    """Runs in a thread of its own. `calm` is set by others: nobody is killed any more, or there is
    no reason to wait.
    """

    plan: Plan
    rate: float
    """Records a second until `calm`, but for rushes."""
    parts: int = 1
    """Into how many parts, one after the other, what is kept for rushes is divided."""
    go: threading.Event = field(default_factory=threading.Event)
    """Set when sending may begin; until then the traffic is prepared."""
    calm: threading.Event = field(default_factory=threading.Event)
    given_up: threading.Event = field(default_factory=threading.Event)
    """Set when nobody wants the rest any more."""
    sent: int = 0
    acknowledged: Acknowledged = field(default_factory=lambda: defaultdict(lambda: array("q")))
    _rush_until: int = 0
    _rushed: int = 0
    _faults: list[str] = field(default_factory=list)
    _too: deque[Chunk] = field(default_factory=deque)

    def run(self) -> Acknowledged:
        """Sends everything; returns what the broker acknowledged. Raises BenchmarkFailed when it
        did not take all.
        """
        plan = self.plan
        told = {
            "delivery.report.only.error": False,
            "log_level": 0,
            "delivery.timeout.ms": round(_PATIENCE_S * 1000),
        }
        producer = Producer({**load_config(plan.broker, linger_ms=5), **told})
        chunks = plan.traffic.chunks()
        first = next(chunks)
        self.go.wait()
        began = time.monotonic()
        for chunk in chain([first], chunks):
            self._await_turn(began, producer)
            if self.given_up.is_set():
                break
            self._put(producer, chunk)
            self.sent += len(chunk.keys)
            self._put_too(producer)
        self._put_too(producer)
        if producer.flush(_PATIENCE_S):
            raise BenchmarkFailed(
                f"the broker did not acknowledge everything within {_PATIENCE_S:g} s"
            )
        if self._faults:
            raise BenchmarkFailed(
                f"the broker did not take {len(self._faults)} records: {self._faults[0]}"
            )
        return self.acknowledged

    def send_too(self, chunk: Chunk) -> None:
        """Sends these between two chunks of the traffic, at the latest after its last; from any
        thread, until `calm`.
        """
        self._too.append(chunk)

    def rush(self, share: float) -> None:
        """Sends this share of a part's events as fast as the broker takes them, as long as there
        are some kept for it: workers fall behind.
        """
        count = min(
            round(share * self.plan.events / self.parts),
            round(RUSHED * self.plan.events) - self._rushed,
        )
        self._rushed += count
        self._rush_until = self.sent + count

    def _await_turn(self, began: float, producer: Producer | None = None) -> None:
        """Returns when the pace wants more; a producer is looked after meanwhile. `began` is by the
        monotonic clock.
        """
        while not self.calm.is_set() and self._is_early(began):
            self.calm.wait(_LOOK_S)
            if producer is not None:
                producer.poll(0)

    def _is_early(self, began: float) -> bool:
        if self.sent >= (1 - HELD_BACK) * self.plan.events:
            return True
        return (
            self.sent >= self._rush_until
            and self.sent > (time.monotonic() - began) * self.rate + self._rushed
        )

    def _put(self, producer: Producer, chunk: Chunk) -> None:
        topic = self.plan.names.telemetry
        for key, value, headers in zip(chunk.keys, chunk.values, chunk.headers, strict=True):
            while True:
                try:
                    producer.produce(
                        topic, value, key, on_delivery=self._delivered, headers=list(headers)
                    )
                    break
                except BufferError:
                    producer.poll(_LOOK_S)
        producer.poll(0)

    def _put_too(self, producer: Producer) -> None:
        while self._too:
            chunk = self._too.popleft()
            self._put(producer, chunk)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._faults.append(error.str())
            return
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        # What was acknowledged only when it was sent again has no known offset, sometimes.
        if offset >= 0:
            self.acknowledged[partition].append(offset)
