"""Has the clients send at the pace of the run, and closes all buckets when they have."""

import tempfile
import time
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from confluent_kafka import Producer

from benchmarks.foreign_run.clients import CLIENTS, Running
from benchmarks.foreign_run.traffic import Ledger, Traffic
from schemas.avro import packaged
from schemas.records.telemetry import Operation, Status, TelemetryEvent
from tests.harness.exactness import sending
from tests.harness.exactness.plan import PARTITIONS, SPAN_US
from tests.harness.showing import BenchmarkFailed
from topology.demo.traces.outbox import load_config

CLOSER: Final = "closer"
"""Tenant of the last event of each lane, which is not in the ledger."""
_READY_S: Final = 120.0


@dataclass(slots=True)
class Sender(sending.Sender):
    """As that of the exactness run, with the clients in the place of our own producer."""

    clients: Sequence[str] = tuple(CLIENTS)
    ledger: Ledger = field(default_factory=Ledger)

    def run(self) -> sending.Acknowledged:
        """Sends everything; returns what the clients say is stored. Raises BenchmarkFailed when one
        does not send all.
        """
        plan = self.plan
        traffic = Traffic(self.clients, plan.events, plan.seed, plan.start, SPAN_US)
        with tempfile.TemporaryDirectory(prefix="sentinel-foreign-") as name, ExitStack() as stack:
            running = self._started(Path(name), stack)
            self.go.wait()
            began = time.monotonic()
            for lines in traffic.chunks(self.ledger):
                self._await_turn(began)
                if self.given_up.is_set():
                    return {}
                for client, of_client in lines.items():
                    running[client].send(of_client)
                self.sent += sum(map(len, lines.values()))
            for one in running.values():
                one.finish()
        stored: dict[int, array[int]] = defaultdict(lambda: array("q"))
        for one in running.values():
            for partition, offsets in one.stored.items():
                stored[partition].extend(offsets)
        self._close()
        return stored

    def _started(self, folder: Path, stack: ExitStack) -> Mapping[str, Running]:
        known = packaged.IDS[packaged.newest("TelemetryEvent")]
        schema = folder / "TelemetryEvent.avsc"
        schema.write_text(packaged.source(known.name, known.version))
        running = {}
        for name in self.clients:
            one = Running.started(
                CLIENTS[name], self.plan.bootstrap, self.plan.names.telemetry, schema, folder
            )
            stack.callback(one.drop)
            running[name] = one
        for one in running.values():
            one.wait_ready(_READY_S)
        return running

    def _close(self) -> None:
        """One event of now for each lane, which closes every bucket before it."""
        plan = self.plan
        closer = TelemetryEvent(
            event_id=CLOSER,
            event_time=round(time.time() * 1e6),
            tenant=CLOSER,
            application=CLOSER,
            model=CLOSER,
            operation=Operation.OTHER,
            status=Status.SUCCESS,
            latency_us=1,
        )
        producer = Producer({**load_config(plan.broker, linger_ms=5), "log_level": 0})
        for lane in range(PARTITIONS):
            producer.produce(
                plan.names.telemetry,
                replace(closer, application=f"{CLOSER}-{lane}").to_bytes(),
                partition=lane,
            )
        if producer.flush(_READY_S):
            raise BenchmarkFailed("the broker did not take the last events")
