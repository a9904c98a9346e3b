"""How a lane's client fetches, on a real Kafka: a rest after each few records, none when there is
more, and none before a record that comes alone.
"""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.client.fetching import LaneClient

NEVER_S = 3600.0
TIME_S = 20.0


class Fetching:
    """A client with one partition, and the requests by which it asked for records; their times
    are the loop's.
    """

    def __init__(self, client: LaneClient, producer: AIOKafkaProducer, topic: str) -> None:
        self.client, self.producer, self.topic = client, producer, topic
        self.asked: list[float] = []
        self._asks = asyncio.Event()
        self._send = client._client.send
        client._client.send = self._watched

    async def _watched(self, node: int, request: object, **more: object) -> object:
        is_fetch = isinstance(request, FetchRequest)
        if is_fetch:
            self.asked.append(asyncio.get_running_loop().time())
            self._asks.set()
        return await self._send(node, request, **more)

    async def send(self, size: int) -> None:
        """A record of this many bytes that cannot be compressed."""
        await self.producer.send_and_wait(self.topic, os.urandom(size), partition=0)

    async def comes(self) -> int:
        """How many requests had been sent when the next record came."""
        async with asyncio.timeout(TIME_S):
            await self.client.getone()
            return len(self.asked)

    async def asks(self) -> None:
        """Returns when one more request is on its way."""
        self._asks.clear()
        async with asyncio.timeout(TIME_S):
            await self._asks.wait()


@asynccontextmanager
async def fetching(kafka: str, linger_s: float) -> AsyncIterator[Fetching]:
    """A client that waits at the broker for a first record."""
    topic = f"fetching{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, 1)])[topic].result(TIME_S)
    async with (
        AIOKafkaProducer(bootstrap_servers=kafka) as producer,
        LaneClient(
            linger_s=linger_s,
            bootstrap_servers=kafka,
            fetch_max_wait_ms=60_000,
            auto_offset_reset="earliest",
        ) as client,
    ):
        client.assign([TopicPartition(topic, 0)])
        seen = Fetching(client, producer, topic)
        await seen.asks()
        yield seen


async def test_a_broker_that_gave_few_records_rests(kafka: str) -> None:
    """The second record is there, and the client, which talks to the broker meanwhile, does not
    fetch it.
    """
    async with fetching(kafka, linger_s=NEVER_S) as seen:
        await seen.send(10)
        asked = await seen.comes()
        await seen.send(10)
        place = TopicPartition(seen.topic, 0)
        for _ in range(3):
            assert await seen.client.end_offsets([place]) == {place: 2}
        assert len(seen.asked) == asked


async def test_after_the_rest_the_broker_is_asked_again(kafka: str) -> None:
    """The next record waits for that, and for no request after it."""
    async with fetching(kafka, linger_s=0.4) as seen:
        for _ in range(2):
            await seen.send(10)
            await seen.comes()


async def test_a_record_that_comes_alone_is_fetched_at_once(kafka: str) -> None:
    """The request for it waits at the broker, whatever the rest would be after it."""
    async with fetching(kafka, linger_s=NEVER_S) as seen:
        before = len(seen.asked)
        await seen.send(10)
        assert await seen.comes() == before


async def test_where_many_records_came_there_is_no_rest(kafka: str) -> None:
    """There is more behind them, most likely."""
    async with fetching(kafka, linger_s=NEVER_S) as seen:
        await seen.send(600_000)
        await seen.comes()
        await seen.send(600_000)
        await seen.comes()


async def test_a_client_that_never_rests_asks_at_once(kafka: str) -> None:
    """`lanes.linger_s` 0."""
    async with fetching(kafka, linger_s=0.0) as seen:
        for _ in range(3):
            await seen.send(10)
            await seen.comes()
