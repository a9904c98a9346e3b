"""What stock Faust does, and what we do instead: the same question to both, with the answer of each
written down.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka.structs import TopicPartition as KafkaPartition
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from faust.tables.manager import TableManager
from faust.types import TP

from agents.correlation.settings import CorrelationSettings
from agents.stages.correlate import correlate_stage
from schemas.secrets import Secret
from streams.client.brokers import aiokafka_config
from streams.control.settings_log import SettingsLog
from streams.faust import source_hashes
from streams.faust.app import LaneApp
from streams.faust.consumer import LaneConsumer
from streams.faust.recovery import LaneTables
from streams.faust.worker import Worker, build
from streams.settings import Broker, Lanes
from streams.state.position import Position, Refused
from streams.topic_names import TopicNames
from tests.harness.worker import until

PLACE = TP("sentinel.anomalies", 0)
_IN_FLIGHT = 3
"""Offset of an event that is being worked on."""


@pytest.fixture
async def stock() -> Any:
    """Stock Faust's consumer; it connects to nobody."""
    app = faust.App("stock", broker="kafka://127.0.0.1:1", store="memory://", web_enabled=False)
    return app.consumer


@pytest.fixture
async def ours(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The consumer of a worker of ours, whose lane 0 is durable up to the event in flight."""
    # Blocks are for this whole process; other tests read records.
    monkeypatch.setattr("streams.client.fetch_parsing.install", lambda reading: None)
    broker, names = Broker(bootstrap_servers="127.0.0.1:1"), TopicNames("sentinel.")
    log = SettingsLog(aiokafka_config(broker), names.settings, Secret(""), {})
    app = build(Worker(correlate_stage(names, CorrelationSettings()), broker, Lanes(), log))
    lane = SimpleNamespace(position=Position(9, None), durable=_IN_FLIGHT)
    app.lane_set._lanes[0] = lane  # type: ignore[assignment]
    return app.consumer


@pytest.mark.parametrize(("which", "offset"), [("stock", 10), ("ours", _IN_FLIGHT)])
async def test_a_commit_does_not_pass_an_event_in_flight(
    which: str, offset: int, stock: Any, ours: LaneConsumer
) -> None:
    """Stock commits up to what was acknowledged behind it (upstream #606); we commit what the
    lane's state covers.
    """
    consumer = {"stock": stock, "ours": ours}[which]
    consumer._committed_offset[PLACE] = _IN_FLIGHT
    consumer._acked[PLACE] = list(range(_IN_FLIGHT + 1, 10))
    assert consumer._new_offset(PLACE) == offset
    # Nothing piles up for what is never asked again.
    assert consumer._acked[PLACE] == []


@pytest.mark.parametrize(("which", "sought"), [("stock", (5, False)), ("ours", (9, True))])
async def test_after_a_rebalance_reading_goes_on_where_the_state_is(
    which: str,
    sought: tuple[int, bool],
    stock: Any,
    ours: LaneConsumer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stock seeks to the committed offset, which lags behind or runs ahead; we seek to the lane's
    position. And we do so in the consumer's own thread: stock's `seek` reaches from another into
    the fetch that is being handed over, which then fails with a KeyError.
    """
    consumer = {"stock": stock, "ours": ours}[which]
    client = _Seeking()
    monkeypatch.setattr(consumer._thread, "_ensure_consumer", lambda: client)
    monkeypatch.setattr(consumer._thread, "call_thread", client.in_thread)
    if which == "stock":

        async def seek_to_committed() -> dict[TP, int]:
            await consumer.seek(PLACE, 5)
            return {PLACE: 5}

        monkeypatch.setattr(consumer, "seek_to_committed", seek_to_committed)
    await consumer.perform_seek()
    assert client.sought == {PLACE: sought}
    assert consumer._read_offset[PLACE] == sought[0]


class _Seeking:
    """Notes where aiokafka is sought to, and whether its own thread did it."""

    def __init__(self) -> None:
        self.sought: dict[TP, tuple[int, bool]] = {}
        self._inside = False

    async def in_thread(self, work: Callable[..., Any], *args: Any) -> Any:
        self._inside = True
        try:
            return await work(*args)
        finally:
            self._inside = False

    def assignment(self) -> set[KafkaPartition]:
        return {KafkaPartition(PLACE.topic, PLACE.partition)}

    def seek(self, place: KafkaPartition, offset: int) -> None:
        self.sought[TP(place.topic, place.partition)] = offset, self._inside


@pytest.mark.parametrize(
    ("which", "isolation"), [("stock", "read_uncommitted"), ("ours", "read_committed")]
)
async def test_aborted_records_are_not_read(
    which: str, isolation: str, stock: Any, ours: LaneConsumer
) -> None:
    """Stock reads them, and has no setting for it."""
    consumer = {"stock": stock, "ours": ours}[which]
    made = consumer._thread._create_worker_consumer(consumer.transport)
    try:
        assert made._isolation_level == isolation
        assert made._auto_offset_reset == "earliest"
    finally:
        await made.stop()


@pytest.mark.parametrize(("kind", "waits"), [(TableManager, [1.0]), (LaneTables, [])])
async def test_recovery_begins_at_once(kind: type[TableManager], waits: list[float]) -> None:
    """Stock waits a second for tables that we do not have; that is part of the time to the next
    verdict.
    """
    waited: list[float] = []
    started: list[bool] = []

    async def nothing() -> None:
        pass

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async def start() -> None:
        started.append(True)

    tables = SimpleNamespace(
        sleep=sleep,
        should_stop=False,
        _update_channels=nothing,
        recovery=SimpleNamespace(start=start),
    )
    await kind.on_start(tables)  # type: ignore[arg-type]
    assert (waited, started) == (waits, [True])


def test_every_override_stands_on_the_code_it_was_written_for() -> None:
    """Faust and aiokafka as they are pinned."""
    source_hashes.check_sources()
    assert {
        f"{patched.__module__}.{patched.__qualname__}" for patched in source_hashes.PATCHED
    } == set(source_hashes.HASHES)


@pytest.mark.parametrize("number", range(len(source_hashes.PATCHED)))
def test_other_code_underneath_is_refused(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One changed line in any of it, and the worker does not start: the line names what changed."""
    changed = source_hashes.PATCHED[number]
    name = f"{changed.__module__}.{changed.__qualname__}"
    assert source_hashes.source_hash(changed) == source_hashes.HASHES[name]
    monkeypatch.setitem(source_hashes.HASHES, name, "0123456789abcdef")
    with pytest.raises(Refused, match=changed.__qualname__):
        source_hashes.check_sources()
    with pytest.raises(Refused):
        LaneApp(None, Broker(), Lanes(), None)  # type: ignore[arg-type]


class StockWorker:
    """`tests.faust.stock` as a process."""

    def __init__(self, address: str, prefix: str, folder: Path) -> None:
        self.address, self.prefix = address, prefix
        self._log = folder / "stock.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.faust.stock", address, prefix, str(folder)],
                stdout=log,
                stderr=log,
            )

    def said(self) -> str:
        """Its output so far."""
        return self._log.read_text(errors="replace")


@pytest.fixture
def stock_worker(kafka: str, topic_prefix: str, tmp_path: Path) -> Iterator[StockWorker]:
    """On topics with a record that makes an agent raise, and one that is no JSON, each before a
    good one.
    """
    admin, producer = (
        AdminClient({"bootstrap.servers": kafka}),
        Producer({"bootstrap.servers": kafka}),
    )
    topics = [f"{topic_prefix}{name}" for name in ("raising", "reading")]
    for made in admin.create_topics([NewTopic(topic, 1) for topic in topics]).values():
        made.result(120)
    for value in (b"one", b"two", b"three"):
        producer.produce(topics[0], value)
    for value in (b'{"good": 1}', b"garbage", b'{"good": 2}'):
        producer.produce(topics[1], value)
    assert producer.flush(120) == 0
    worker = StockWorker(kafka, topic_prefix, tmp_path)
    try:
        yield worker
    finally:
        worker.process.kill()
        worker.process.wait()


def test_stock_commits_what_its_agents_crashed_on(stock_worker: StockWorker) -> None:
    """Why an exception ends our process (test_endings), and why decoding is ours
    (tests.stages.test_input).

    Stock logs, starts the agent again, and goes on as if nothing were: events that raised, and
    records that do not decode, are acknowledged and lost.
    """
    raising, reading = (f"{stock_worker.prefix}{name}" for name in ("raising", "reading"))
    # It joins no group by asking what one has committed.
    asking = Consumer(
        {"bootstrap.servers": stock_worker.address, "group.id": f"{stock_worker.prefix}stock"}
    )

    def committed(topic: str) -> int:
        try:
            (place,) = asking.committed([TopicPartition(topic, 0)], timeout=300)
        except KafkaException:
            # A broker that has just started is nobody's coordinator yet.
            return -1
        return int(place.offset)

    until(lambda: committed(raising) == 3, "stock commits events that raised")
    until(lambda: committed(reading) == 3, "stock commits what it could not decode")
    asking.close()
    assert stock_worker.process.poll() is None
    said = stock_worker.said()
    assert "raising at b'three'" in said
    assert "Crashed reason=ValueDecodeError" in said
