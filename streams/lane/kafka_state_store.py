"""The state store of a worker: a compacted Kafka topic, one transactional producer per lane."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import chain
from typing import Any

from streams.lane.changelog import Changelog, read_back
from streams.lane.state_store import RowChanges, StoredLane, TopicRecords
from streams.state.position import KEY, Position


class KafkaStateStore:
    """State of a stage's lanes in the partitions of `topic` (see `StateStore`).

    The lanes' transactional ids are `transactional_prefix` and the partition's number: they must be
    the same in all workers of a stage, and in no other stage, since the broker fences by them.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        topic: str,
        transactional_prefix: str,
        *,
        check_crcs: bool = True,
    ) -> None:
        self._client, self._topic, self._prefix = client, topic, transactional_prefix
        self._check_crcs = check_crcs
        self._changelogs: dict[int, Changelog] = {}

    async def open(
        self, partitions: Collection[int], on_progress: Callable[[], None]
    ) -> dict[int, StoredLane]:
        """See `StateStore.open`."""
        opening = {
            partition: Changelog(self._client, f"{self._prefix}{partition}", self._topic, partition)
            for partition in partitions
        }
        async with AsyncExitStack() as unless_done:
            # The next rebalance may cancel this one: nothing stays open half-way.
            unless_done.push_async_callback(_close, opening.values())
            # Opened first, which fences; read afterwards, so that nothing can be added to what was
            # read.
            await asyncio.gather(*[changelog.open() for changelog in opening.values()])
            tables = await read_back(
                self._client, self._topic, partitions, on_progress, self._check_crcs
            )
            lanes = {partition: _stored(rows) for partition, rows in tables.items()}
            unless_done.pop_all()
        self._changelogs.update(opening)
        return lanes

    async def commit(
        self,
        partition: int,
        position: Position,
        rows: RowChanges = (),
        records: Sequence[TopicRecords] = (),
    ) -> int:
        """See `StateStore.commit`."""
        # One at a time as they are sent: a list of all rows of a lane with many subjects would take
        # as much memory again as its tables.
        with_position = chain(rows, [(KEY, position.to_bytes())])
        return await self._changelogs[partition].commit(with_position, records)

    async def close(self, partition: int) -> None:
        """See `StateStore.close`."""
        await self._changelogs.pop(partition).close()


async def _close(changelogs: Iterable[Changelog]) -> None:
    # Each is closed, whatever the others raise.
    await asyncio.gather(*[changelog.close() for changelog in changelogs], return_exceptions=True)


def _stored(rows: dict[bytes, bytes]) -> StoredLane:
    position = rows.pop(KEY, None)
    return StoredLane(rows, None if position is None else Position.from_bytes(position))
