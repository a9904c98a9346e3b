"""The client of a worker's lanes. It pauses briefly after each small fetch, raises when it has
stopped fetching, and marks what it commits.
"""

import asyncio
import collections
from collections.abc import Mapping
from typing import Any, Final

import aiokafka
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from streams.state.position import OURS, Displaced

_MANY_BYTES: Final = 262_144
"""After an answer of this many bytes, or of half of what may be fetched, the next fetch is sent at
once: there probably is more.
"""


class LaneClient(aiokafka.AIOKafkaConsumer):  # type: ignore[misc]
    """Fetches with pauses, and marks its commits as Sentinel's (`streams.state.position`).

    Stock: at a steady rate, a fetch is answered as soon as a single record is there, and each costs
    the client and its lanes a millisecond or two, however few records it brings. Here a broker that
    has just returned a few records is not asked again for `linger_s`. A record after a longer pause
    is fetched at once, since by then a fetch waits for it at the broker.
    """

    def __init__(self, *, linger_s: float, **settings: Any) -> None:
        super().__init__(**settings)
        self._linger_s = linger_s

    async def start(self) -> None:
        """As the stock one."""
        await super().start()
        if self._linger_s:
            many = min(_MANY_BYTES, self._max_partition_fetch_bytes // 2)
            self._fetcher._proc_fetch_request = _Lingering(self._fetcher, self._linger_s, many)

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """As the stock one."""
        await super().commit(
            {tp: OffsetAndMetadata(each.offset, OURS) for tp, each in offsets.items()}
        )


class _Lingering:
    """Stands in for a fetcher's `_proc_fetch_request`: sends a request to one broker, and keeps
    the answer.
    """

    def __init__(self, fetcher: Any, linger_s: float, many_bytes: int) -> None:
        self._fetcher, self._stock = fetcher, fetcher._proc_fetch_request
        self._linger_s, self._many_bytes = linger_s, many_bytes
        self._rests_until: dict[int, float] = collections.defaultdict(float)

    async def __call__(self, assignment: Any, node_id: int, request: Any) -> bool:
        clock = asyncio.get_running_loop().time
        try:
            await asyncio.sleep(self._rests_until[node_id] - clock())
        except asyncio.CancelledError:
            # False is stock's answer for a request that was given up.
            return False
        came: bool = await self._stock(assignment, node_id, request)
        if came and self._bytes_of(request) < self._many_bytes:
            self._rests_until[node_id] = clock() + self._linger_s
        return came

    def _bytes_of(self, request: Any) -> int:
        """Bytes of the request's partitions that are fetched and not read yet."""
        asked = (
            TopicPartition(topic, place[0]) for topic, places in request.topics for place in places
        )
        kept = (self._fetcher._records.get(partition) for partition in asked)
        return sum(
            each._partition_records._records.size_in_bytes()
            for each in kept
            if hasattr(each, "_partition_records")
        )


def check_fetching(consumer: aiokafka.AIOKafkaConsumer) -> None:
    """Raises what one of the client's own tasks failed with, the coordinator's or the fetcher's.
    A client with a dead task waits for ever, and raises nothing by itself.

    Raises:
        Displaced: its fetcher has just ended; a new client fetches again.
    """
    if consumer._coordinator is not None:
        consumer._coordinator.check_errors()
    if consumer._fetcher is None:
        return
    fetching = consumer._fetcher.error_future
    if fetching.done():
        if not fetching.cancelled():
            fetching.result()
        raise Displaced("the Kafka client fetches no longer; starting again")
