"""The players, on librdkafka's own broker: what is sent when, that all of it arrives, and what
happens when it does not.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiokafka.partitioner import murmur2
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from schemas.records.telemetry import TelemetryEvent
from streams.settings import Broker
from topology.demo.traces.ordinary import (
    MARKED_LATENCY_US,
    Population,
    ordinary_events,
    scheduled_in,
)
from topology.demo.traces.outbox import NotDelivered, Outbox, load_config
from topology.demo.traces.playing import Clock, backlog, play, send_at_rate
from topology.demo.traces.templates import event_id

pytestmark = pytest.mark.system

NOON = 1_790_000_000_000_000
SMALL = Population(applications=5, models=2, users=10)
PARTITIONS = 4
"""The embedded broker's, which takes no other number."""


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """Address of an embedded broker in this process."""
    holder = Producer({"bootstrap.servers": "none:1", "test.mock.num.brokers": 1, "log_level": 2})
    brokers = holder.list_topics(timeout=120).brokers
    yield ",".join(f"{one.host}:{one.port}" for one in brokers.values())
    holder.flush(1)


@pytest.fixture
def producer(broker: str) -> Producer:
    """A producer that is configured as the players' are."""
    return Producer({**load_config(Broker(bootstrap_servers=broker)), "log_level": 2})


def _read(broker: str, topic: str, count: int) -> list[Message]:
    """All messages of a topic; fails when there are not as many within ten seconds."""
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "test", "log_level": 2})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    messages: list[Message] = []
    deadline = time.monotonic() + 10
    while len(messages) < count and time.monotonic() < deadline:
        messages += consumer.consume(count - len(messages), 0.5)
    consumer.close()
    assert len(messages) == count
    assert all(message.error() is None for message in messages)
    return messages


def _event(message: Message) -> TelemetryEvent:
    value = message.value()
    assert value is not None
    return TelemetryEvent.from_bytes(value)


@dataclass
class Virtual:
    """A clock that only sleeping moves."""

    now: float = 100.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Lets the time pass at once."""
        self.slept.append(seconds)
        self.now += seconds

    def clock(self) -> Clock:
        """As the players take it; the wall clock reads noon at monotonic second 100."""
        return Clock(lambda: self.now, lambda: NOON + round((self.now - 100) * 1e6), self.sleep)


def _at_seconds(*seconds: float) -> list[TelemetryEvent]:
    events = ordinary_events(SMALL, seed=1, count=len(seconds))
    return [
        replace(event, event_id=f"e-{n}", event_time=NOON + round(second * 1e6))
        for n, (event, second) in enumerate(zip(events, seconds, strict=True))
    ]


def test_playing_keeps_the_pace_of_event_time(broker: str, producer: Producer) -> None:
    """At speed 10, events 30 seconds apart are sent 3 seconds apart, and none before its time."""
    time_ = Virtual()
    told: list[tuple[int, float]] = []
    events = _at_seconds(0, 0, 30, 31, 60)
    played = play(
        producer,
        "pace",
        events,
        10.0,
        lambda sent, _: told.append((sent, time_.now - 100)),
        clock=time_.clock(),
    )
    assert [sent for sent, _ in told] == [2, 3, 4, 5]
    for (_, at), due in zip(told, (0.0, 3.0, 3.1, 6.0), strict=True):
        assert due - 1e-9 <= at <= due + 0.01
    assert (played.events, played.first_event_time, played.last_event_time) == (
        5,
        NOON,
        NOON + 60_000_000,
    )
    assert played.wall_s == pytest.approx(6.0, abs=0.02)
    assert {_event(message).event_id for message in _read(broker, "pace", 5)} == {
        event.event_id for event in events
    }


def test_playing_without_a_speed_never_waits(broker: str, producer: Producer) -> None:
    """An hour goes out as fast as the broker takes it, with progress at least every 500 events."""
    time_ = Virtual()
    told: list[int] = []
    play(
        producer,
        "fast",
        _at_seconds(*range(1_200)),
        None,
        lambda sent, _: told.append(sent),
        clock=time_.clock(),
    )
    assert time_.slept == []
    assert told == [500, 1_000, 1_200]
    assert len(_read(broker, "fast", 1_200)) == 1_200


def test_playing_pauses_while_it_is_held_and_does_not_hurry_after(producer: Producer) -> None:
    """A reader that is behind gets time; events due meanwhile keep their distance to the next."""
    time_ = Virtual()
    told: list[tuple[int, float]] = []

    def hold(sent: int) -> bool:
        return sent == 1 and time_.now < 105

    play(
        producer,
        "held",
        _at_seconds(0, 1, 2),
        1.0,
        lambda sent, _: told.append((sent, time_.now - 100)),
        hold,
        time_.clock(),
    )
    assert [sent for sent, _ in told] == [1, 2, 3]
    assert told[1][1] == pytest.approx(6.0, abs=0.05)
    assert told[2][1] == pytest.approx(7.0, abs=0.05)


def test_keys_are_tenant_and_application_and_partitions_are_murmur2(
    broker: str, producer: Producer
) -> None:
    """Where aiokafka and every other client of ours looks for them; the record's own time is its
    arrival.
    """
    before = time.time()
    play(producer, "keyed", _at_seconds(*range(20)), None)
    messages = _read(broker, "keyed", 20)
    for message in messages:
        event, key = _event(message), message.key()
        assert key == f"{event.tenant}/{event.application}".encode()
        assert message.partition() == (murmur2(key) & 0x7FFFFFFF) % PARTITIONS
        assert before - 1 <= message.timestamp()[1] / 1000 <= time.time() + 1
    assert len({message.partition() for message in messages}) > 1


def test_the_schedule_is_absolute(broker: str, producer: Producer) -> None:
    """Event n's time is start + n / rate, whenever it was really sent, and every hundredth is
    marked.
    """
    time_ = Virtual()
    sent = send_at_rate(producer, "rate", 1_000, 2, SMALL, marked_every=100, clock=time_.clock())
    events = sorted(
        (_event(message) for message in _read(broker, "rate", 2_000)),
        key=lambda event: event.event_time,
    )
    assert [event.event_time - sent.first_event_time for event in events] == [
        n * 1_000 for n in range(2_000)
    ]
    assert sent.first_event_time == NOON + 100_000
    assert len({event.event_id for event in events}) == 2_000
    marked = [event for event in events if event.latency_us == MARKED_LATENCY_US]
    assert tuple(event.event_time for event in marked) == sent.marked
    assert [scheduled_in(event.application) for event in marked] == list(sent.marked)
    assert len(marked) == 20


def test_a_sender_that_is_held_up_keeps_the_schedule(broker: str, producer: Producer) -> None:
    """It sends what it owes at once, says how late it was, and no event time moves: no coordinated
    omission.
    """
    time_ = Virtual()
    naps = iter([0.0] * 20 + [1.0])

    def sleep(seconds: float) -> None:
        time_.sleep(seconds + next(naps, 0.0))

    clock = Clock(lambda: time_.now, time_.clock().wall_us, sleep)
    sent = send_at_rate(producer, "late", 100, 3, SMALL, clock=clock)
    times = sorted(_event(message).event_time for message in _read(broker, "late", 300))
    assert times == [sent.first_event_time + n * 10_000 for n in range(300)]
    assert 0.9 < sent.worst_lag_s < 1.1
    assert sent.wall_s < 3.2


def test_records_leave_when_they_are_due(broker: str) -> None:
    """None before its moment, none later than the time between two looks."""
    time_ = Virtual()
    left: list[float] = []

    class Watched(Producer):
        def produce(self, *args: Any, **kwargs: Any) -> None:
            left.append(time_.now)
            super().produce(*args, **kwargs)

    producer = Watched({**load_config(Broker(bootstrap_servers=broker)), "log_level": 2})
    sent = send_at_rate(producer, "due", 500, 1, SMALL, clock=time_.clock())
    lags = [at - (100.1 + n / 500) for n, at in enumerate(left)]
    assert len(lags) == 500
    assert -1e-9 < min(lags) < 1e-9
    assert max(lags) < 0.0021
    assert sent.worst_lag_s == pytest.approx(max(lags), abs=1e-6)


def test_a_backlog_is_the_same_for_the_same_arguments(broker: str, producer: Producer) -> None:
    """Event time runs at the asked rate from the asked start, over all subjects and users."""
    filled = backlog(producer, "backlog", 30_000, SMALL, event_rate=20_000, start=NOON)
    backlog(producer, "again", 30_000, SMALL, event_rate=20_000, start=NOON)
    first, again = (
        {message.value() for message in _read(broker, topic, 30_000)}
        for topic in ("backlog", "again")
    )
    assert first == again
    assert len(first) == 30_000
    assert (filled.first_event_time, filled.last_event_time) == (NOON, NOON + 29_999 * 50)
    events = [TelemetryEvent.from_bytes(value) for value in first if value is not None]
    assert {event.event_time for event in events} == {NOON + n * 50 for n in range(30_000)}
    assert len({(event.application, event.model) for event in events}) == SMALL.subjects
    assert event_id(f"fill{NOON:016d}", 29_999) in {event.event_id for event in events}


def test_a_backlog_without_a_start_ends_now(producer: Producer) -> None:
    """So that none of its events lies ahead of its append time."""
    filled = backlog(producer, "past", 2_000, SMALL, event_rate=1_000, clock=Virtual().clock())
    assert filled.first_event_time == NOON - 2_000_000
    assert filled.last_event_time == NOON - 1_000


@pytest.mark.parametrize(
    "make",
    [
        lambda producer: play(producer, "gone", _at_seconds(0, 1), None),
        lambda producer: send_at_rate(producer, "gone", 1_000, 0.05, SMALL),
        lambda producer: backlog(producer, "gone", 100, SMALL),
    ],
    ids=["play", "send_at_rate", "backlog"],
)
def test_a_broker_that_does_not_take_records_is_one_clear_error(
    make: Callable[[Producer], object],
) -> None:
    """It says how many and why, and no player says that it played."""
    config = {
        **load_config(Broker(bootstrap_servers="127.0.0.1:1")),
        "delivery.timeout.ms": 150,
        "log_level": 0,
    }
    with pytest.raises(
        NotDelivered, match=r"did not take \d+ of \d+ records to gone: .*timed out"
    ) as told:
        make(Producer(config))
    assert "\n" not in str(told.value)


def test_a_full_queue_is_waited_for(broker: str) -> None:
    """Nothing is lost and nothing is sent twice when the producer cannot keep up."""
    config = {
        **load_config(Broker(bootstrap_servers=broker)),
        "queue.buffering.max.messages": 10,
        "log_level": 2,
    }
    outbox = Outbox(Producer(config), "narrow")
    values = [b"%d" % n for n in range(500)]
    outbox.put([b"k"] * 500, values)
    outbox.close()
    assert outbox.sent == 500
    assert [message.value() for message in _read(broker, "narrow", 500)] == values


def test_load_producers_are_durable_and_place_keys_as_we_read_them() -> None:
    """All acknowledgements, idempotent, murmur2; the linger suits the broker unless it is given."""
    config = load_config(Broker())
    assert (config["acks"], config["enable.idempotence"], config["partitioner"]) == (
        "all",
        True,
        "murmur2_random",
    )
    assert config["linger.ms"] == 5
    assert load_config(Broker(embedded=True))["linger.ms"] == 50
    assert load_config(Broker(embedded=True), linger_ms=1, compression="none")["linger.ms"] == 1
