"""Batches as only somebody who means harm sends them, given to a real broker as they are: the lane
goes on, and what is broken is a dead letter.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from streams.control.records import WATERMARK
from streams.lane.outgoing import REASON
from streams.records.cutting import LAST_OFFSET, Broken
from tests.fuzz.batches import CODECS, Rec, batch, produce
from tests.harness.telemetry_log import event
from tests.harness.worker import Installation, Kept, Worker, until

LANES = 16
BOUND = 1 << 20
_free_lanes = iter(range(LANES))


@pytest.fixture(scope="module")
def hostile(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An installation with a lane for each test."""
    folder = tmp_path_factory.mktemp("hostile")
    return Installation(
        kafka, f"ho{time.time_ns()}.", folder, LANES, {"lanes": {"max_batch_bytes": BOUND}}
    ).with_topics()


@pytest.fixture(scope="module")
def worker(hostile: Installation) -> Iterator[Worker]:
    """The worker, ready; it must still run when all tests are over."""
    with hostile.worker("detect") as running:
        yield running.ready()
        assert running.status is None, running.said()


@pytest.fixture
def lane() -> int:
    """A lane that no other test writes to."""
    return next(_free_lanes)


def good(number: int = 0) -> Rec:
    """An ordinary event of this moment."""
    return Rec(event(number, 0, event_time=time.time_ns() // 1000).to_bytes(), b"acme/shop")


def dead(hostile: Installation, lane: int) -> list[Kept]:
    """Dead letters of the lane."""
    letters = hostile.read(hostile.names.dead_letters)
    return [kept for kept in letters if kept.headers["sentinel-partition"] == b"%d" % lane]


def goes_on(hostile: Installation, worker: Worker, lane: int, data: bytes, events: int = 0) -> None:
    """The broker accepts the batch; `events` of it, and the event behind it, are counted."""
    assert produce(hostile.address, hostile.names.telemetry, lane, data) == 0
    hostile.send(hostile.names.telemetry, lane, [good(1).value])
    until(
        lambda: worker.metric("sentinel_events_total", lane=lane) == events + 1,
        "the event behind it is counted",
        worker=worker,
    )


def goes_to(worker: Worker, offset: int) -> bool:
    """Whether the first lane is there."""
    return worker.metric("sentinel_lane_position", lane=0) >= offset


def test_an_offset_of_its_own_moves_no_position(
    hostile: Installation, worker: Worker, lane: int
) -> None:
    """One record that says it is two billion offsets on: a position there would make the lane blind
    for all before.
    """
    goes_on(hostile, worker, lane, batch([replace(good(), delta=2**31 - 1)]), 1)
    assert worker.metric("sentinel_lane_position", lane=lane) == 2
    assert dead(hostile, lane) == []


@pytest.mark.parametrize(
    "record",
    [
        {"attributes": 0x80},
        {"headers": [(b"x-us\xe9r", b"1")]},
        {"headers": [(b"\xff\xfe", b"1")]},
        {"headers": [(b"sentinel-no", b"1"), (b"\xff\xfe", b"1")]},
    ],
    ids=["attributes", "Latin-1", "ff fe", "beside one of ours"],
)
def test_names_and_attributes_end_no_worker(
    hostile: Installation, worker: Worker, lane: int, record: dict[str, object]
) -> None:
    """The record is an event as any."""
    goes_on(hostile, worker, lane, batch([replace(good(), **record)]), 1)  # type: ignore[arg-type]
    assert dead(hostile, lane) == []


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_bomb_is_one_dead_letter(
    hostile: Installation, worker: Worker, lane: int, codec: str
) -> None:
    """Of 64 MB where the bound is 1 MB; with its place, its bytes as they came, and how large it
    is.
    """
    data = batch([Rec(bytes(12 << 20) if codec == "snappy" else bytes(64 << 20))], codec=codec)
    goes_on(hostile, worker, lane, data)
    (letter,) = dead(hostile, lane)
    assert letter.headers[REASON] == Broken.TOO_LARGE.encode()
    assert letter.headers["sentinel-offset"] == letter.headers[LAST_OFFSET] == b"0"
    assert b"bytes" in bytes(letter.headers["sentinel-detail"])  # type: ignore[arg-type]
    assert (letter.value or b"")[61:] == data[61:]


def test_counts_without_end_hold_up_nobody(
    hostile: Installation, worker: Worker, lane: int
) -> None:
    """Records that are good up to a list, which says that it has 2^40 items, and goes on with
    zeros: 8 kB that took minutes of CPU time.
    """
    value = good().value or b""
    lying = value[:-2] + b"\x80\x80\x80\x80\x80\x40" + bytes(2_000)
    before = worker.cpu_s()
    goes_on(hostile, worker, lane, batch([Rec(lying)] * 400, codec="zstd"))
    assert worker.cpu_s() - before < 20
    assert {letter.headers[REASON] for letter in dead(hostile, lane)} == {
        b"does not decode with its schema"
    }
    assert len(dead(hostile, lane)) == 400


def test_other_stages_and_topics_go_on(installation: Installation) -> None:
    """What correlate, alert and the logs that are followed read may be written by others too, where
    nobody forbids it.
    """
    names = installation.names
    bomb = batch([Rec(bytes(40 << 20))], codec="zstd")
    named = batch([Rec(b"x", headers=[(b"\xff\xfe", b"1"), (WATERMARK.encode(), b"?")])])
    for topic in (names.anomalies, names.incidents, names.settings, names.commands):
        for data in (bomb, named):
            assert produce(installation.address, topic, 0, data) == 0
    for stage, topic in (("correlate", names.anomalies), ("alert", names.incidents)):
        with installation.worker(stage) as running:
            running.ready()
            until(partial(goes_to, running, 2), f"{stage} goes on", worker=running)
        letters = [
            kept
            for kept in installation.read(names.dead_letters)
            if kept.headers["sentinel-topic"] == topic.encode()
        ]
        assert {letter.headers["sentinel-offset"]: letter.headers[REASON] for letter in letters}[
            b"0"
        ] == (Broken.TOO_LARGE.encode())


def test_the_codecs_here_are_the_brokers(hostile: Installation, worker: Worker, lane: int) -> None:
    """What these batches are made with is what producers make."""
    for codec in CODECS:
        assert (
            produce(hostile.address, hostile.names.telemetry, lane, batch([good()], codec=codec))
            == 0
        )
    until(
        lambda: worker.metric("sentinel_events_total", lane=lane) == len(CODECS),
        "all arrive",
        worker=worker,
    )
