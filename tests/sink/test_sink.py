"""The sink as a real process, between a real Kafka and a real store."""

import asyncio
import contextlib
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from agents.sinking.settings import EventsKept
from connectors.store.opening import store_of
from connectors.store.port import Page, Search
from connectors.store.settings import StoreKind, StoreSettings
from schemas.documents import Document, Kind
from streams.exit_status import AGAIN, REFUSED
from streams.lane.outgoing import REASON
from tests.harness.servers.elasticsearch import ElasticServer
from tests.harness.store_documents import START, aggregate, anomaly, incident, notification
from tests.harness.telemetry_log import event
from tests.harness.worker import Installation, until


@pytest.fixture(params=["embedded", "elasticsearch"])
def store(request: pytest.FixtureRequest, tmp_path: Path, topic_prefix: str) -> StoreSettings:
    """A place that nobody else uses."""
    if request.param == "embedded":
        return StoreSettings(StoreKind.EMBEDDED, path=str(tmp_path / "store.db"))
    url = request.getfixturevalue("elastic_url")
    prefix = f"{topic_prefix.rstrip('.')}-"
    return StoreSettings(StoreKind.ELASTICSEARCH, urls=(url,), index_prefix=prefix, replicas=0)


def section(store: StoreSettings, **more: object) -> Mapping[str, object]:
    """The settings of a store, as a file has them."""
    of_all: dict[str, object] = {"kind": str(store.kind), "retention": dict.fromkeys(RETENTION)}
    if store.kind is StoreKind.EMBEDDED:
        return {**of_all, "path": store.path, **more}
    return {
        **of_all,
        "urls": list(store.urls),
        "index_prefix": store.index_prefix,
        "replicas": 0,
        **more,
    }


RETENTION = [f"{kind}_days" for kind in Kind]
"""For ever: these documents are of times past."""


def stored(settings: StoreSettings, kind: Kind) -> list[Document]:
    """All of tenant acme's documents of a kind."""

    async def read() -> list[Document]:
        store = store_of(settings)
        assert store is not None
        await store.start()
        try:
            found: list[Document] = []
            page, cursor = Page([], ""), None
            while page.cursor is not None:
                page = await store.search(Search(kind, "acme", limit=1000, cursor=cursor))
                found += page.documents
                cursor = page.cursor
            return found
        finally:
            await store.close()

    return asyncio.run(read())


def test_what_the_stages_say_is_stored(installation: Installation, store: StoreSettings) -> None:
    """Every kind; of an incident the newest revision; watermarks are passed over; the worker is
    ready, counts, and ends with 0 when told.
    """
    names = installation.names
    installation.send(
        names.anomalies, 0, [*(anomaly(number).to_bytes() for number in range(5)), None]
    )
    installation.send(
        names.incidents, 1, [incident(1, revision).to_bytes() for revision in (1, 2, 3)]
    )
    installation.send(
        names.notifications, 0, [notification(number).to_bytes() for number in range(3)]
    )
    installation.send(names.aggregates, 1, [aggregate(bucket).to_bytes() for bucket in range(7)])
    installation.send(names.telemetry, 0, [event(0, 0).to_bytes()])
    with installation.worker("sink", store=section(store)) as worker:
        worker.ready()
        until(
            lambda: len(stored(store, Kind.AGGREGATE)) == 7, "aggregates are stored", worker=worker
        )
        until(lambda: len(stored(store, Kind.ANOMALY)) == 5, "anomalies are stored", worker=worker)
        until(
            lambda: len(stored(store, Kind.NOTIFICATION)) == 3,
            "notifications are stored",
            worker=worker,
        )
        until(
            lambda: [each.revision for each in stored(store, Kind.INCIDENT)] == [3],
            "the incident",
            worker=worker,
        )
        assert worker.get("/live") == (200, "moving\n")
        until(
            lambda: (
                worker.metric("sentinel_sink_documents_total", kind="aggregate", outcome="stored")
                == 7
            ),
            "they are counted",
            worker=worker,
        )
        assert worker.metric("sentinel_sink_documents_total", outcome="refused") == 0
        assert stored(store, Kind.EVENT) == []
        worker.signal(signal.SIGTERM)
        assert worker.ends() == 0, worker.said()
        assert "Traceback" not in worker.said()


def test_bad_records_and_refused_documents_go_to_dead_letters(
    installation: Installation, tmp_path: Path
) -> None:
    """Each with where it came from and why; those around them are stored; and all of it is
    committed, so nothing comes twice.
    """
    store = StoreSettings(StoreKind.EMBEDDED, path=str(tmp_path / "store.db"))
    topic = installation.names.anomalies
    bad = [
        b"",
        b"nonsense",
        incident(1, 1).to_bytes(),
        anomaly(7, event_time=-1).to_bytes(),
        anomaly(8, tenant="").to_bytes(),
    ]
    for number, value in enumerate(bad):
        installation.send(topic, 0, [anomaly(number).to_bytes(), value])
    for _ in range(2):
        with installation.worker("sink", store=section(store)) as worker:
            worker.ready()
            until(
                lambda: len(stored(store, Kind.ANOMALY)) == len(bad),
                "the good ones are stored",
                worker=worker,
            )
            until(
                lambda: len(installation.read(installation.names.dead_letters)) == len(bad),
                "letters",
                worker=worker,
            )
            worker.signal(signal.SIGTERM)
            assert worker.ends() == 0, worker.said()
    letters = sorted(
        installation.read(installation.names.dead_letters),
        key=lambda kept: int(bytes(kept.headers["sentinel-offset"])),
    )
    assert [letter.value for letter in letters] == bad
    assert [int(bytes(letter.headers["sentinel-offset"])) for letter in letters] == [1, 3, 5, 7, 9]
    assert b"out of range" in letters[3].headers[REASON]
    assert {letter.headers["sentinel-topic"] for letter in letters} == {topic.encode()}


def test_events_are_stored_on_request_without_what_people_wrote(
    installation: Installation, tmp_path: Path
) -> None:
    """Bad ones are detect's to tell of, and so are those of a clock that is ahead, which would make
    an index for each day of it.
    """
    store = StoreSettings(StoreKind.EMBEDDED, path=str(tmp_path / "store.db"))
    told = event(1, 0, tenant="acme", prompt_text="my secret", response_text="yours")
    ahead = replace(event(2, 0, tenant="acme"), event_time=time.time_ns() // 1000 + 3_600_000_000)
    installation.send(
        installation.names.telemetry, 0, [b"nonsense", None, ahead.to_bytes(), told.to_bytes()]
    )
    with installation.worker(
        "sink", store=section(store), sink={"events": str(EventsKept.ALL)}
    ) as worker:
        until(lambda: stored(store, Kind.EVENT), "the event is stored", worker=worker.ready())
    (kept,) = stored(store, Kind.EVENT)
    assert kept.id == told.event_id
    assert "prompt_text" not in kept.body
    assert "secret" not in str(kept.body)
    assert installation.read(installation.names.dead_letters) == []


def test_of_sampled_events_those_are_stored_that_an_anomaly_cites(
    installation: Installation, tmp_path: Path
) -> None:
    """Also when they were read long before the anomaly was; without what people wrote."""
    store = StoreSettings(StoreKind.EMBEDDED, path=str(tmp_path / "store.db"))
    names = installation.names
    events = [event(number, 0, tenant="acme", prompt_text="my secret") for number in range(20)]
    installation.send(names.telemetry, 0, [b"nonsense", *(each.to_bytes() for each in events[:10])])
    kept = {"events": str(EventsKept.SAMPLED), "sampled_share": 0}
    citing = anomaly(
        1, lane=0, offset=20, sample_event_ids=(events[3].event_id, events[19].event_id, "gone")
    )
    with installation.worker("sink", store=section(store), sink=kept) as worker:
        until(
            lambda: worker.metric("sentinel_sink_lag", topic=names.telemetry) == 0,
            "read",
            worker=worker.ready(),
        )
        worker.kill()
    installation.send(names.telemetry, 0, [each.to_bytes() for each in events[10:]])
    installation.send(names.anomalies, 0, [citing.to_bytes()])
    with installation.worker("sink", store=section(store), sink=kept) as worker:
        until(lambda: len(stored(store, Kind.EVENT)) == 2, "both are stored", worker=worker.ready())
    found = {each.id: each.body for each in stored(store, Kind.EVENT)}
    assert set(found) == {events[3].event_id, events[19].event_id}
    assert "secret" not in str(found)
    assert installation.read(names.dead_letters) == []


def test_a_store_that_stays_away_ends_the_worker_with_one_line_and_nothing_is_committed(
    installation: Installation,
) -> None:
    """To be started again; wrong credentials and wrong paths are for a person."""
    installation.send(installation.names.anomalies, 0, [anomaly(1).to_bytes()])
    nowhere = {"kind": "elasticsearch", "urls": ["http://127.0.0.1:9"], "deadline_s": 0.5}
    with installation.worker("sink", store=nowhere) as worker:
        assert worker.ends() == AGAIN, worker.said()
        assert "Elasticsearch at http://127.0.0.1:9 does not answer" in worker.said()
        assert "Traceback" not in worker.said()
    with installation.worker(
        "sink", store={"kind": "embedded", "path": str(installation.folder)}
    ) as worker:
        assert worker.ends() == REFUSED, worker.said()
        assert "check store.path" in worker.said()


@contextlib.contextmanager
def flowing(installation: Installation, count: int, seconds: float) -> Iterator[None]:
    """Documents of three kinds come in over some seconds; all are sent when this is left."""

    def send() -> None:
        for number in range(count):
            lane = number % 2
            installation.producer.produce(
                installation.names.anomalies, anomaly(number).to_bytes(), b"k", partition=lane
            )
            made = incident(number // 4, number % 4 + 1)
            installation.producer.produce(
                installation.names.incidents, made.to_bytes(), b"k", partition=lane
            )
            installation.producer.produce(
                installation.names.aggregates, aggregate(number).to_bytes(), b"k", partition=lane
            )
            installation.producer.poll(0)
            time.sleep(seconds / count)
        assert installation.producer.flush(60) == 0

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        sender.join()


def complete(store: StoreSettings, count: int) -> bool:
    """Whether every document is there, once, incidents in their last revision."""
    found = {kind: stored(store, kind) for kind in (Kind.ANOMALY, Kind.INCIDENT, Kind.AGGREGATE)}
    return (
        sorted(int(each.id, 16) for each in found[Kind.ANOMALY]) == list(range(count))
        and [(int(each.id, 16), each.revision) for each in found[Kind.INCIDENT][::-1]]
        == [(number, 4) for number in range(count // 4)]
        and len(found[Kind.AGGREGATE]) == count
    )


def test_kills_of_the_sink_and_a_store_that_hangs_lose_nothing_and_double_nothing(
    installation: Installation, tmp_path: Path
) -> None:
    """The embedded store: kill -9 of the worker at random moments, while another process locks the
    file now and then.
    """
    store = StoreSettings(StoreKind.EMBEDDED, path=str(tmp_path / "store.db"))
    chance = random.Random(4)
    asyncio.run(_made(store))
    with flowing(installation, 2000, seconds=8.0):
        for _ in range(4):
            with installation.worker("sink", store=section(store)) as worker:
                worker.ready()
                time.sleep(chance.uniform(0.0, 0.8))
                with contextlib.closing(
                    sqlite3.connect(store.path, isolation_level=None, timeout=20)
                ) as other:
                    other.execute("BEGIN EXCLUSIVE")
                    time.sleep(chance.uniform(0.1, 0.6))
                    if chance.random() < 0.5:
                        worker.kill()
                    other.execute("ROLLBACK")
    with installation.worker("sink", store=section(store)) as worker:
        until(lambda: complete(store, 2000), "every document is stored once", worker=worker)
    assert installation.read(installation.names.dead_letters) == []


async def _made(settings: StoreSettings) -> None:
    store = store_of(settings)
    assert store is not None
    await store.start()
    await store.close()


def test_kills_of_the_sink_and_of_elasticsearch_lose_nothing_and_double_nothing(
    installation: Installation, own_elastic: ElasticServer
) -> None:
    """kill -9 of the server while documents flow, of the worker while it waits for the server, and
    of the worker while it writes.
    """
    store = StoreSettings(StoreKind.ELASTICSEARCH, urls=(own_elastic.url,), replicas=0)
    chance = random.Random(4)
    with flowing(installation, 2000, seconds=6.0):
        with installation.worker("sink", store=section(store)) as worker:
            worker.ready()
            time.sleep(chance.uniform(0.5, 1.5))
        with installation.worker("sink", store=section(store)) as worker:
            worker.ready()
            time.sleep(chance.uniform(0.5, 1.5))
            own_elastic.kill()
            time.sleep(chance.uniform(0.0, 0.5))
    with installation.worker("sink", store=section(store)) as worker:
        own_elastic.start()
        until(lambda: complete(store, 2000), "every document is stored once", worker=worker)
    assert installation.read(installation.names.dead_letters) == []


@pytest.mark.parametrize("damage", ["page", "all", "text"])
def test_a_damaged_file_ends_the_sink_at_once_with_what_to_do(
    installation: Installation, tmp_path: Path, damage: str
) -> None:
    """One page, everything, or another file in its place: status 78 and a line, and nothing is
    committed that was not stored.
    """
    store = StoreSettings(StoreKind.EMBEDDED, path=str(tmp_path / "store.db"))
    asyncio.run(_made(store))
    path = Path(store.path)
    whole = path.read_bytes()
    path.write_bytes(
        {
            "page": whole[:4096] + bytes(4096) + whole[8192:],
            "all": bytes(len(whole)),
            "text": b"no database" * 999,
        }[damage]
    )
    installation.send(
        installation.names.anomalies, 0, [anomaly(number).to_bytes() for number in range(50)]
    )
    for _ in range(2):
        with installation.worker("sink", store=section(store)) as worker:
            assert worker.ends() == REFUSED, worker.said()
            assert f"the store {store.path} " in worker.said()
            assert "Traceback" not in worker.said()
            assert worker.said().count("\n") < 12


def test_what_is_too_old_to_be_kept_is_counted_and_not_stored(
    installation: Installation, elastic_url: str, topic_prefix: str
) -> None:
    """Two hundred days of long ago make no index, no error and no dead letter; what is within its
    retention is stored and stays.
    """
    store = StoreSettings(
        StoreKind.ELASTICSEARCH,
        urls=(elastic_url,),
        index_prefix=f"{topic_prefix.rstrip('.')}-",
        replicas=0,
    )
    now, day = time.time_ns() // 1000, 86_400_000_000
    old = [anomaly(number, event_time=START - number * day) for number in range(200)]
    buckets = [aggregate(-8640 * number) for number in range(200)]
    installation.send(installation.names.anomalies, 0, [each.to_bytes() for each in old])
    installation.send(installation.names.aggregates, 0, [each.to_bytes() for each in buckets])
    installation.send(
        installation.names.anomalies,
        1,
        [anomaly(number, event_time=now).to_bytes() for number in range(3)],
    )
    kept = section(store, retention={"anomaly_days": 30, "aggregate_days": 30})
    with installation.worker("sink", store=kept) as worker:
        worker.ready()
        assert worker.metric("sentinel_bad_records_total", stage="sink") == 0
        assert (
            'sentinel_bad_records_total{reason="does not decode with its schema",stage="sink"} 0.0'
            in worker.get("/metrics")[1]
        )
        expired = "sentinel_sink_documents_total"
        until(
            lambda: worker.metric(expired, kind="anomaly", outcome="expired") == 200,
            "counted",
            worker=worker,
        )
        until(
            lambda: worker.metric(expired, kind="aggregate", outcome="expired") == 200,
            "counted",
            worker=worker,
        )
        until(
            lambda: len(stored(store, Kind.ANOMALY)) == 3, "the new ones are stored", worker=worker
        )
        assert worker.said().count("sink.expired") == 2
        worker.signal(signal.SIGTERM)
        assert worker.ends() == 0, worker.said()
    assert installation.read(installation.names.dead_letters) == []
    with Elasticsearch(elastic_url, request_timeout=300) as client:
        made = client.indices.get(index=f"{store.index_prefix}*").body
    assert [name.removeprefix(store.index_prefix)[:8] for name in made] == ["anomaly-"]


def test_a_topic_that_is_made_again_under_a_running_sink_is_read_from_its_begin(
    installation: Installation, tmp_path: Path
) -> None:
    """The sink says so and ends within seconds; its next start reads all of the new one, which may
    be longer than the old one was.
    """
    store = StoreSettings(StoreKind.EMBEDDED, path=str(tmp_path / "store.db"))
    topic = installation.names.anomalies
    installation.send(topic, 0, [anomaly(number).to_bytes() for number in range(5)])
    with installation.worker("sink", store=section(store)) as worker:
        worker.ready()
        until(
            lambda: worker.metric("sentinel_sink_lag", topic=topic) == 0, "committed", worker=worker
        )
        until(lambda: len(stored(store, Kind.ANOMALY)) == 5, "stored", worker=worker)
        installation.admin.delete_topics([topic])[topic].result(120)
        until(
            lambda: topic not in installation.admin.list_topics(timeout=120).topics,
            "the topic is gone",
        )
        installation.with_topics()
        installation.send(topic, 0, [anomaly(number).to_bytes() for number in range(100, 120)])
        assert worker.ends() == AGAIN, worker.said()
        assert f"topic {topic} was deleted and made again" in worker.said()
    with installation.worker("sink", store=section(store)) as worker:
        until(
            lambda: len(stored(store, Kind.ANOMALY)) == 25,
            "all of the new topic is stored",
            worker=worker.ready(),
        )
