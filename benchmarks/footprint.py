"""What the recorded hour takes on disk: bytes of a record in each topic, and of a document in the
store.

    python -m benchmarks.footprint [--json] [--store embedded]

A real Kafka with four partitions and a worker of each stage; the hour of recorded traffic with its
faults is played as fast as the broker takes it, and all of its events are stored too. When
everything is worked off, the topics' logs are measured, and the store: the embedded one by the
pages of each table and its indexes, Elasticsearch (`--store elasticsearch`, a real one) by what it
says of its indices after a merge, without replicas.

Records of the hour differ from each other as real ones do, which is what compression depends on;
large batches compress better than those of quiet traffic.
"""

import argparse
import contextlib
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from elasticsearch import Elasticsearch

from benchmarks.stages import Stages, supervised
from schemas.documents import Kind
from streams.admin.topics import STAGES
from tests.harness.installation import Installation, Kept, installed, kept
from tests.harness.machine import machine
from tests.harness.servers.elasticsearch import CannotStartElasticsearch, ElasticServer
from tests.harness.showing import BenchmarkFailed, Json, Screen, Sheet, end_in_order
from topology.demo.traces import scenario
from topology.demo.traces.playing import play

TOPICS: Final = ("telemetry", "aggregates", "anomalies", "incidents", "notifications")

_PREFIX: Final = "sentinel-"
_AGO_US: Final = (scenario.DURATION_S + 120) * 1_000_000
_QUIET_S: Final = 10.0
_PATIENCE_S: Final = 300.0

Sizes = Mapping[str, tuple[int, int]]
"""By topic or kind of document: how many, and their bytes."""


def measured(store: str, screen: Screen) -> tuple[Sizes, Sizes]:
    """Topics and documents. Raises BenchmarkFailed, CannotStartElasticsearch."""
    with contextlib.ExitStack() as running:
        sections: dict[str, Mapping[str, object]] = {
            "sink": {"events": "all"},
            "alerting": {"receivers": [{"name": "log", "kind": "log"}]},
        }
        client, file = (
            None,
            Path(running.enter_context(tempfile.TemporaryDirectory())) / "sentinel.db",
        )
        if store == "elasticsearch":
            server = running.enter_context(ElasticServer(is_measured=True))
            client = running.enter_context(Elasticsearch(server.url, request_timeout=120))
            sections["store"] = {
                "kind": store,
                "urls": [server.url],
                "index_prefix": _PREFIX,
                "replicas": 0,
            }
        else:
            sections["store"] = {"kind": store, "path": str(file)}
        installation = running.enter_context(installed(sections))
        with supervised(installation, (*STAGES, "sink"), screen) as stages:
            _play(installation, stages, screen)
        topics = {topic: _size(kept(installation, topic)) for topic in TOPICS}
        found = _in_file(file) if client is None else _in_elasticsearch(client)
        return topics, dict(found)


def _play(installation: Installation, stages: Stages, screen: Screen) -> None:
    """The hour, until nothing moves any more."""
    events = scenario.events(1, time.time_ns() // 1000 - _AGO_US)
    screen.note(f"playing {len(events):,} events")
    play(installation.load_producer(), installation.names.telemetry, events, None)
    seen, moved, deadline = (0.0, 0.0), time.monotonic(), time.monotonic() + _PATIENCE_S
    while seen[0] < len(events) or time.monotonic() - moved < _QUIET_S:
        stages.check()
        now = (
            stages.scrape("detect")["sentinel_events_total"],
            stages.scrape("sink")["sentinel_sink_documents_total"],
        )
        if now != seen:
            seen, moved = now, time.monotonic()
        if time.monotonic() > deadline:
            raise BenchmarkFailed(
                f"{seen[0]:,.0f} of {len(events):,} events are worked off after {_PATIENCE_S:g} s"
            )
        time.sleep(0.5)


def _size(topic: Kept) -> tuple[int, int]:
    return topic.offsets, topic.bytes


def _in_file(path: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for kind in Kind:
            (count,) = connection.execute(f"SELECT count(*) FROM {kind}").fetchone()
            pages = (
                "SELECT sum(pgsize) FROM dbstat WHERE name IN (SELECT name FROM sqlite_schema WHERE"
                " tbl_name = ?)"
            )
            try:
                (size,) = connection.execute(pages, (str(kind),)).fetchone()
            except sqlite3.OperationalError as why:
                raise BenchmarkFailed(
                    f"this SQLite does not tell what tables take ({why})"
                ) from why
            yield str(kind), (count, size)


def _in_elasticsearch(client: Elasticsearch) -> Iterator[tuple[str, tuple[int, int]]]:
    client.indices.forcemerge(index=f"{_PREFIX}*", max_num_segments=1)
    client.indices.refresh(index=f"{_PREFIX}*")
    for kind in Kind:
        total = client.indices.stats(index=f"{_PREFIX}{kind}-*", metric=["store", "docs"])["_all"][
            "primaries"
        ]
        if total:
            yield str(kind), (total["docs"]["count"], total["store"]["size_in_bytes"])


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.footprint",
        description=(__doc__ or "").splitlines()[0],
        epilog="Example: python -m benchmarks.footprint --json --store elasticsearch",
    )
    parser.add_argument("--json", action="store_true", help="print one object instead of tables")
    parser.add_argument(
        "--store",
        choices=("embedded", "elasticsearch"),
        default="embedded",
        help="which (embedded)",
    )
    options = parser.parse_args(arguments)
    screen, described = Screen(options.json), machine()
    end_in_order()
    try:
        topics, documents = measured(options.store, screen)
    except (BenchmarkFailed, CannotStartElasticsearch) as why:
        sys.exit(f"benchmarks.footprint: {why}")
    raw = statistics.fmean(
        len(event.to_bytes()) for event in scenario.events(1, time.time_ns() // 1000)
    )
    sheets = [_sheet("topic", topics), _sheet(f"document in {options.store}", documents)]
    whole: dict[str, Json] = {
        "topics": _told(topics),
        "documents": _told(documents),
        "store": options.store,
        "record_bytes": round(raw),
    }
    screen.results(described, sheets, whole)


def _told(sizes: Sizes) -> dict[str, Json]:
    return {
        name: {"count": count, "bytes": size, "bytes_each": round(size / max(count, 1), 1)}
        for name, (count, size) in sizes.items()
    }


def _sheet(what: str, sizes: Sizes) -> Sheet:
    rows = [
        (name, f"{count:,}", f"{size:,}", f"{size / max(count, 1):,.1f}")
        for name, (count, size) in sizes.items()
    ]
    return Sheet(f"The recorded hour by {what}", (what, "count", "bytes", "bytes each"), rows)


if __name__ == "__main__":
    main()
