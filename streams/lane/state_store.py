"""Port: where the lanes of one stage keep their state, with one owner per lane."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from streams.state.position import Position

RowChanges = Iterable[tuple[bytes, bytes | None]]
"""Key and value of each changed row; None deletes the row."""

TopicRecords = tuple[str, bytes, list[bytes]]
"""Topic, key and values of records that are committed together with rows."""


@dataclass(slots=True)
class StoredLane:
    """What is committed of a lane: its rows by key, and its position (None before the first
    commit).
    """

    rows: dict[bytes, bytes]
    position: Position | None


class StateStore(Protocol):
    """State of a stage's lanes: rows, and the position in the input that they cover.

    A Kafka topic in a worker, memory in tests; both pass one contract suite.
    """

    async def open(
        self, partitions: Collection[int], on_progress: Callable[[], None]
    ) -> dict[int, StoredLane]:
        """Take ownership of lanes and return what is committed of each.

        The previous owner is fenced before anything is read, so what is returned stays true until
        this owner commits. Calls `on_progress` whenever a part was read. Holds no lane if it
        raises.

        Raises:
            Refused, NewerState: a lane's state cannot be read.
        """
        ...

    async def commit(
        self,
        partition: int,
        position: Position,
        rows: RowChanges = (),
        records: Sequence[TopicRecords] = (),
    ) -> int:
        """Commit rows, position, and records of other topics, all or nothing.

        The records go to the partition with the lane's number. `rows` is consumed as it is sent.
        Returns, once the commit is durable, the number of rows written, the position's included.

        Raises:
            ProducerFenced: another owner opened the lane; nothing was committed.
            KafkaError: nothing was committed, or it is unknown whether it was.
        """
        ...

    async def close(self, partition: int) -> None:
        """Release a lane; writes nothing."""
        ...
