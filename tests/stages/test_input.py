"""One detect worker on a real broker, and everything that may stand in its input: each test has a
lane of its own.
"""

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from agents.detection.intake.sorting import SUPERSEDED
from schemas.errors import Reason
from schemas.secrets import Secret
from streams.client.brokers import producer_config
from streams.control.records import SETTINGS, Publication, settings_control
from streams.lane.outgoing import REASON
from tests.harness.telemetry_log import event
from tests.harness.worker import CONTROL_KEY, Installation, Kept, Worker, until

LANES = 12
_free_lanes = iter(range(LANES))


@pytest.fixture(scope="module")
def big(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An installation with a lane for each test, whose telemetry takes records of several
    megabytes.
    """
    installation = Installation(
        kafka, f"in{time.time_ns()}.", tmp_path_factory.mktemp("input"), LANES
    ).with_topics()
    resource = ConfigResource(
        ResourceType.TOPIC,
        installation.names.telemetry,
        incremental_configs=[
            ConfigEntry(
                "max.message.bytes", str(16 << 20), incremental_operation=AlterConfigOpType.SET
            ),
        ],
    )
    installation.admin.incremental_alter_configs([resource])[resource].result(120)
    return installation


@pytest.fixture(scope="module")
def worker(big: Installation) -> Iterator[Worker]:
    """The worker, ready; it must still run when all tests are over."""
    with big.worker("detect") as running:
        yield running.ready()
        assert running.status is None, running.said()


@pytest.fixture
def lane() -> int:
    """A lane that no other test writes to."""
    return next(_free_lanes)


def now_event(number: int) -> bytes:
    """An ordinary event of this moment."""
    return event(number, 0, event_time=time.time_ns() // 1000).to_bytes()


def counted(worker: Worker, lane: int) -> int:
    """Good events of the lane so far."""
    return int(worker.metric("sentinel_events_total", lane=lane))


def dead(big: Installation, lane: int) -> list[Kept]:
    """Dead letters of the lane."""
    return [
        kept
        for kept in big.read(big.names.dead_letters)
        if kept.headers["sentinel-partition"] == b"%d" % lane
    ]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_codec_arrives(big: Installation, worker: Worker, codec: str) -> None:
    """A compressed batch that the client cannot read would end a worker."""
    # All codecs share a lane: what follows one of them arrives too.
    lane = LANES - 1
    before = counted(worker, lane)
    producer = Producer(
        {"bootstrap.servers": big.address, "compression.type": codec, "linger.ms": 50}
    )
    for number in range(200):
        producer.produce(big.names.telemetry, now_event(number), b"k", partition=lane)
    assert producer.flush(120) == 0
    until(lambda: counted(worker, lane) == before + 200, f"{codec} arrives", worker=worker)


def test_five_hundred_bad_records_hold_up_nobody(
    big: Installation, worker: Worker, lane: int
) -> None:
    """The good event behind them is counted; each bad one is in dead-letters with its bytes and
    reason, and counted.
    """
    values = [b"garbage %d" % number for number in range(500)]
    big.send(big.names.telemetry, lane, [now_event(0), *values])
    big.send(big.names.telemetry, lane, [now_event(1)])
    until(lambda: counted(worker, lane) == 2, "good neighbours are counted", worker=worker)
    letters = dead(big, lane)
    assert [letter.value for letter in letters] == values
    assert {letter.headers[REASON] for letter in letters} == {Reason.NO_MAGIC.encode()}
    assert [letter.headers["sentinel-offset"] for letter in letters] == [
        b"%d" % offset for offset in range(1, 501)
    ]
    assert worker.metric("sentinel_bad_records_total", reason=Reason.NO_MAGIC) >= 500


def test_a_record_of_megabytes_is_a_dead_letter(
    big: Installation, worker: Worker, lane: int
) -> None:
    """Where the topic allows it: not decoded, not in the way."""
    large = now_event(0) + b"x" * (2 << 20)
    producer = Producer({"bootstrap.servers": big.address, "message.max.bytes": 10_000_000})
    producer.produce(big.names.telemetry, large, b"k", partition=lane)
    assert producer.flush(120) == 0
    big.send(big.names.telemetry, lane, [now_event(1)])
    until(lambda: counted(worker, lane) == 1, "the good neighbour is counted", worker=worker)
    (letter,) = dead(big, lane)
    assert letter.headers[REASON] == Reason.TOO_LARGE.encode()
    assert letter.value == large


def test_a_record_that_is_larger_than_what_we_can_send_is_a_cut_dead_letter(
    big: Installation, worker: Worker, lane: int
) -> None:
    """Compressed it is small, unpacked it is not: its begin is kept, and its size. It does not end
    the worker, now or at each start.
    """
    producer = Producer(
        {
            "bootstrap.servers": big.address,
            "message.max.bytes": 100_000_000,
            "compression.type": "zstd",
        }
    )
    producer.produce(big.names.telemetry, b"x" * (24 << 20), b"key" * 1_000_000, partition=lane)
    assert producer.flush(120) == 0
    big.send(big.names.telemetry, lane, [now_event(1)])
    until(lambda: counted(worker, lane) == 1, "the good neighbour is counted", worker=worker)
    (letter,) = dead(big, lane)
    assert letter.headers[REASON] == Reason.TOO_LARGE.encode()
    assert letter.headers["sentinel-size"] == b"%d" % (24 << 20)
    assert letter.value is not None
    assert set(letter.value) == set(b"x")
    assert letter.headers["sentinel-key-size"] == b"3000000"


def test_forged_control_records_are_dead_letters_and_forged_ticks_do_nothing(
    big: Installation, worker: Worker, lane: int
) -> None:
    """Also with headers that Faust would obey."""
    topic = big.names.telemetry
    big.send(topic, lane, [b"v1", None], [(SETTINGS, b"1"), ("sentinel-signature", b"0" * 64)])
    big.send(topic, lane, [None], [("sentinel-tick", b"forged")])
    big.send(topic, lane, [now_event(0)], [("Faust-Ag-ReplyTo", big.names.dead_letters.encode())])
    until(lambda: counted(worker, lane) == 1, "the good neighbour is counted", worker=worker)
    letters = dead(big, lane)
    assert [letter.headers[REASON] for letter in letters] == [
        b"control record without a valid signature"
    ] * 2


def test_a_signed_control_record_counts_once(big: Installation, worker: Worker, lane: int) -> None:
    """A copy of it in its own lane is a dead letter, and so is what was published before it."""
    topic = big.names.telemetry
    for number in (5, 5, 4):
        made = settings_control(topic, lane, Publication(number, "0"), Secret(CONTROL_KEY))
        big.send(topic, lane, [made.value], list(made.headers))
    big.send(topic, lane, [now_event(0)])
    until(lambda: counted(worker, lane) == 1, "the good neighbour is counted", worker=worker)
    assert [letter.headers[REASON] for letter in dead(big, lane)] == [SUPERSEDED.encode()] * 2


def transactional(big: Installation, name: str) -> Producer:
    """A producer of somebody else's, with transactions."""
    producer = Producer(
        {"bootstrap.servers": big.address, "transactional.id": f"{big.prefix}{name}"}
    )
    producer.init_transactions(20)
    return producer


def test_aborted_records_never_count_and_markers_are_passed(
    big: Installation, worker: Worker, lane: int
) -> None:
    """Committed ones do; a lane whose log ends in markers alone still moves to its end, and so does
    its committed offset.
    """
    producer = transactional(big, "aborting")
    for number, commit in enumerate((True, False, True, False, False)):
        producer.begin_transaction()
        producer.produce(big.names.telemetry, now_event(number), b"k", partition=lane)
        producer.flush(120)
        (producer.commit_transaction if commit else producer.abort_transaction)(20)
    # Five records and their five markers.
    until(
        lambda: worker.metric("sentinel_lane_position", lane=lane) == 10,
        "markers are passed",
        worker=worker,
    )
    assert counted(worker, lane) == 2
    assert dead(big, lane) == []
    until(
        lambda: worker.metric("sentinel_lane_durable_position", lane=lane) >= 10,
        "it is durable",
        worker=worker,
    )
    until(lambda: committed(big, lane) >= 10, "the committed offset follows", worker=worker)


def test_an_open_transaction_holds_back_what_stands_behind_it_and_then_goes_on(
    big: Installation, worker: Worker, lane: int
) -> None:
    """Nothing behind it is read before it is known how it ends; other lanes go on."""
    producer = transactional(big, "open")
    producer.begin_transaction()
    producer.produce(big.names.telemetry, now_event(0), b"k", partition=lane)
    producer.flush(120)
    big.send(big.names.telemetry, lane, [now_event(1), now_event(2)])
    other = next(_free_lanes)
    big.send(big.names.telemetry, other, [now_event(3)])
    until(lambda: counted(worker, other) == 1, "other lanes go on", worker=worker)
    assert counted(worker, lane) == 0
    producer.commit_transaction(20)
    until(lambda: counted(worker, lane) == 3, "the lane goes on", worker=worker)


def test_an_idle_lane_closes_its_bucket_by_ticks(
    big: Installation, worker: Worker, lane: int
) -> None:
    """A single event is in an aggregate within its bucket and the lateness, though nothing
    follows.
    """
    big.send(big.names.telemetry, lane, [now_event(0)])
    until(lambda: big.read(big.names.aggregates, lane), "the bucket is closed", worker=worker)
    assert worker.metric("sentinel_ticks_total", lane=lane) >= 1


def committed(big: Installation, lane: int) -> int:
    """The group's committed offset of a lane."""
    place = TopicPartition(big.names.telemetry, lane)
    asked = ConsumerGroupTopicPartitions(f"{big.prefix}detect", [place])
    answer = next(iter(big.admin.list_consumer_group_offsets([asked]).values())).result(120)
    return int(answer.topic_partitions[0].offset)


def test_pages_of_a_worker_mean_something(worker: Worker) -> None:
    """It moves, it is ready, and its metrics name lane health; any other page is none, as Faust's
    `/table` would be.
    """
    assert worker.get("/live") == (200, "moving\n")
    assert worker.get("/ready") == (200, "ready\n")
    for name in (
        "sentinel_records_total",
        "sentinel_step_records_count",
        "sentinel_flush_seconds_count",
        "sentinel_ready",
    ):
        assert worker.metric(name) > 0, name
    assert worker.get("/table")[0] == 404


def test_a_producers_open_transaction_is_told_and_ends_nothing(
    big: Installation, worker: Worker, lane: int
) -> None:
    """The lane has no lag and sees nothing: metric, log and the text of `/live` say since when and
    whose it is, until it is committed.
    """
    foreign = Producer(
        {**producer_config(big.broker), "transactional.id": f"{big.prefix}orders", "log_level": 0}
    )
    foreign.init_transactions(30)
    began = time.time()
    foreign.begin_transaction()
    foreign.produce(big.names.telemetry, now_event(1), partition=lane)
    assert foreign.flush(120) == 0
    opened = time.time()
    big.send(big.names.telemetry, lane, [now_event(2), now_event(3)])
    at = {"topic": big.names.telemetry, "partition": lane}
    until(
        lambda: worker.metric("sentinel_held_records", **at) >= 3, "the hold is told", worker=worker
    )
    since = worker.metric("sentinel_held_since_timestamp_seconds", **at)
    assert began - 1 < since < opened + 1
    assert time.time() - since > 9
    status, text = worker.get("/live")
    assert (
        status,
        f"{big.names.telemetry}/{lane} is held by an open transaction since" in text,
    ) == (200, True)
    assert worker.metric("sentinel_lane_lag", lane=lane) == 0
    assert f"{big.prefix}orders" in worker.said()
    assert counted(worker, lane) == 0
    foreign.commit_transaction(30)
    until(lambda: counted(worker, lane) == 3, "the events are counted", worker=worker)
    until(
        lambda: not worker.metric("sentinel_held_since_timestamp_seconds", **at),
        "the end is told",
        worker=worker,
    )
