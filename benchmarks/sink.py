"""Documents a second of one sink worker into a real Elasticsearch, beside the official bulk helper
alone.

    python -m benchmarks.sink [--json] [--documents 60000] [--rounds 4]

Each round has two halves on the same server, into fresh indices with the same mappings:
`elasticsearch.helpers.bulk` with documents that are ready in memory as dicts, and a real worker of
the stage `sink` on a backlog of the same documents in a real Kafka, Avro, lz4. Which half comes
first alternates; a first round that is not counted warms the server up. A document is an anomaly of
about 2 kB of JSON.

The helper is timed from its call to its return. The worker is timed from the moment at which its
first documents are stored until all are, start-up left out; the broker, the worker and
Elasticsearch share the machine. CPU is user and system time of the client, and of the server's
process. The ratio is the median of the rounds' own ratios.
"""

import argparse
import itertools
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson
import psutil
import yaml
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk

from connectors.store.elasticsearch.bulk import BULK_BYTES
from connectors.store.elasticsearch.coding import bulk_lines
from connectors.store.elasticsearch.templates import template, template_name
from schemas.documents import Kind, document
from schemas.ids import record_id
from schemas.records.anomalies import Anomaly, Direction, Evidence, Severity
from tests.harness.installation import Installation, installed
from tests.harness.machine import machine
from tests.harness.processes import Usage, WorkerProcess, usage
from tests.harness.servers.elasticsearch import CannotStartElasticsearch, ElasticServer
from tests.harness.showing import BenchmarkFailed, Json, Screen, Sheet, end_in_order

GOAL: Final = 0.9
HEAP_MB: Final = 1024
_EVIDENCE: Final = 15
_SAMPLES: Final = 14
_LOOK_S: Final = 0.1
_PATIENCE_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Half:
    """What one half of a round gave."""

    documents: int
    documents_per_s: int
    wall_s: float
    client_cpu_s: float
    server_cpu_s: float


def made(number: int, begin_us: int) -> Anomaly:
    """One anomaly of about 2 kB, a millisecond after the one before."""
    at = begin_us + number * 1000
    return Anomaly(
        id=record_id("benchmark", number),
        tenant=f"tenant-{number % 7}",
        application=f"application-{number % 50}",
        model=f"model-{number % 5}",
        metric="time_to_first_token",
        detector="deviation",
        detector_version=1,
        settings_version="0",
        window_start=at - 10_000_000,
        window_end=at,
        event_time=at,
        observed=2.0 + number / 1e6,
        expected=1.0,
        score=5.25 + number / 1e6,
        severity=Severity.HIGH,
        confidence=0.93,
        direction=Direction.ABOVE,
        reason=(
            f"time to first token of application-{number % 50}/model-{number % 5} is 2.9 s, 1.0 s"
            " expected; 42 calls in 10 s"
        ),
        evidence=tuple(
            Evidence(f"number_{index}_of_what_was_seen", index + number / 1e3)
            for index in range(_EVIDENCE)
        ),
        sample_event_ids=tuple(record_id(number, index) for index in range(_SAMPLES)),
        lane=number % 4,
        offset=number,
        ordinal=0,
    )


def run(documents: int, rounds: int, screen: Screen) -> tuple[list[Half], list[Half], float]:
    """Helper halves, sink halves, and a document's mean size, bytes. Raises BenchmarkFailed."""
    with (
        installed() as installation,
        _server() as server,
        Elasticsearch(server.url, request_timeout=120) as client,
    ):
        begin = time.time_ns() // 1000 - 3_600_000_000
        values = [made(number, begin).to_bytes() for number in range(documents)]
        lines = [bulk_lines("", document(Kind.ANOMALY, value)).splitlines()[1] for value in values]
        size = statistics.fmean(map(len, lines))
        bodies = [orjson.loads(line) for line in lines]
        screen.note(f"{documents:,} documents of {size:,.0f} bytes; warming the server up")
        _helper(server, client, "warm-", bodies)
        _sink(server, client, installation, "warm-sink-", values)
        helped: list[Half] = []
        sunk: list[Half] = []
        for number in range(rounds):
            if number % 2 == 0:
                helped.append(_helper(server, client, f"helper{number}-", bodies))
            sunk.append(_sink(server, client, installation, f"sink{number}-", values))
            if number % 2 == 1:
                helped.append(_helper(server, client, f"helper{number}-", bodies))
            rates = (
                f"helper {helped[-1].documents_per_s:,}, sink {sunk[-1].documents_per_s:,}"
                " documents a second"
            )
            screen.note(f"round {number + 1}: {rates}")
        return helped, sunk, size


def _server() -> ElasticServer:
    return ElasticServer(heap_mb=HEAP_MB, is_measured=True)


def _helper(
    server: ElasticServer, client: Elasticsearch, prefix: str, bodies: Sequence[dict[str, Any]]
) -> Half:
    made_template: Any = template(prefix, Kind.ANOMALY, 0)
    client.indices.put_index_template(name=template_name(prefix, Kind.ANOMALY), body=made_template)
    index = f"{prefix}{Kind.ANOMALY}-all"
    actions = (
        {"_op_type": "create", "_index": index, "_id": body["document_key"], "_source": body}
        for body in bodies
    )
    ours, theirs = usage(os.getpid()), _server_usage(server)
    # As many documents in a request as the sink sends, which is also its default.
    done, _ = bulk(client, actions, chunk_size=BULK_BYTES // 2000, max_chunk_bytes=BULK_BYTES)
    half = _half(done, usage(os.getpid()).since(ours), _server_usage(server).since(theirs))
    _check(client, index, len(bodies))
    return half


def _sink(
    server: ElasticServer,
    client: Elasticsearch,
    installation: Installation,
    prefix: str,
    values: Sequence[bytes],
) -> Half:
    producer = installation.load_producer()
    for value in values:
        while True:
            try:
                producer.produce(installation.names.anomalies, value)
                break
            except BufferError:
                producer.poll(0.05)
    producer.flush()
    config = installation.folder / f"{prefix}.yaml"
    given = yaml.safe_load(installation.config.read_text())
    given["store"] = {
        "kind": "elasticsearch",
        "urls": [server.url],
        "index_prefix": prefix,
        "replicas": 0,
    }
    config.touch(mode=0o600)
    config.write_text(yaml.safe_dump(given))
    with WorkerProcess("sink", config, installation.folder) as worker:
        half = _measured(server, worker, len(values))
        worker.stop()
    _check(client, f"{prefix}{Kind.ANOMALY}-*", len(values))
    return half


def _measured(server: ElasticServer, worker: WorkerProcess, documents: int) -> Half:
    stored = _stored(worker)
    first = next(count for count in stored if count)
    ours, theirs = worker.usage(), _server_usage(server)
    if first >= documents:
        raise BenchmarkFailed(
            "the backlog was over before it could be measured; give more --documents"
        )
    next(count for count in stored if count >= documents)
    return _half(documents - first, worker.usage().since(ours), _server_usage(server).since(theirs))


def _stored(worker: WorkerProcess) -> Iterator[int]:
    """How many documents the worker has stored, again and again."""
    deadline = time.monotonic() + _PATIENCE_S
    for _ in itertools.count():
        told = worker.scrape()
        yield int(told["sentinel_sink_documents_total"]) if told is not None else 0
        if time.monotonic() > deadline:
            raise BenchmarkFailed(
                f"the sink is not done after {_PATIENCE_S:g} s: {worker.last_words()}"
            )
        time.sleep(_LOOK_S)


def _half(documents: int, ours: Usage, theirs: Usage) -> Half:
    rate = round(documents / ours.wall_s)
    return Half(
        documents, rate, round(ours.wall_s, 2), round(ours.cpu_s, 2), round(theirs.cpu_s, 2)
    )


def _server_usage(server: ElasticServer) -> Usage:
    """Of the server and its launcher."""
    processes = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    cpu = sum(times.user + times.system for times in (process.cpu_times() for process in processes))
    return Usage(cpu, time.monotonic())


def _check(client: Elasticsearch, index: str, documents: int) -> None:
    client.indices.refresh(index=index)
    if (count := client.count(index=index)["count"]) != documents:
        raise BenchmarkFailed(f"{index} has {count:,} documents, not {documents:,}")
    client.indices.delete(index=index)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sink", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--json", action="store_true", help="print one object instead of a table")
    parser.add_argument(
        "--documents", type=int, default=60_000, help="documents of each half (60,000)"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=4,
        help="rounds; the median is told (4, so that each half is first as often as the other)",
    )
    options = parser.parse_args(arguments)
    screen, described = Screen(options.json), machine()
    end_in_order()
    try:
        helped, sunk, size = run(options.documents, options.rounds, screen)
    except (BenchmarkFailed, CannotStartElasticsearch) as why:
        sys.exit(f"benchmarks.sink: {why}")
    ratios = [
        sink.documents_per_s / helper.documents_per_s
        for helper, sink in zip(helped, sunk, strict=True)
    ]
    whole: dict[str, Json] = {
        "documents_per_s": round(statistics.median(half.documents_per_s for half in sunk)),
        "bulk_helper_per_s": round(statistics.median(half.documents_per_s for half in helped)),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "document_bytes": round(size),
        "sink": [asdict(half) for half in sunk],
        "bulk_helper": [asdict(half) for half in helped],
    }
    screen.results(
        described, [_sheet(helped, sunk, statistics.median(ratios), options.documents, size)], whole
    )


def _sheet(
    helped: Sequence[Half], sunk: Sequence[Half], ratio: float, documents: int, size: float
) -> Sheet:
    rows = [
        (
            f"{name} {number}",
            f"{half.documents_per_s:,}",
            f"{half.wall_s:.1f}",
            f"{half.client_cpu_s:.1f}",
            f"{half.server_cpu_s:.1f}",
        )
        for number, pair in enumerate(zip(helped, sunk, strict=True), 1)
        for name, half in zip(("bulk helper", "sink"), pair, strict=True)
    ]
    return Sheet(
        f"{documents:,} documents of {size:,.0f} bytes into a real Elasticsearch",
        ("round", "documents / s", "wall s", "client CPU s", "server CPU s"),
        rows,
        f"ratio {ratio:.2f}, median of {len(sunk)} rounds; goal {GOAL:g}",
    )


if __name__ == "__main__":
    main()
