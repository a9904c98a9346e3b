"""Commits of one consumer group, made beside its work and marked with the ids of the topics.

An offset counts in one topic. When a topic is deleted and made again under its name, what was
committed before says nothing of the new one: the id that is stored with each commit shows it.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeAlias

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from streams import metrics
from streams.exit_status import is_temporary
from streams.state.position import Displaced

Positions: TypeAlias = Mapping[tuple[str, int], int]
"""Topic and partition, each with the offset to go on from."""


class LooksUpTopics(Protocol):
    """The ids of the topics that are read."""

    async def look(self) -> Mapping[str, str | None]:
        """By name; None for one that is missing, empty where ids are not known."""
        ...


class Committer(ConsumerRebalanceListener):  # type: ignore[misc]
    """Commits what is settled, and knows how far behind the logs' ends that is.

    `name` is the stage's, for log and metrics. `lost` is called with topic and partition of each
    one that is revoked.
    """

    def __init__(self, name: str, topics: LooksUpTopics, lost: Callable[[str, int], None]) -> None:
        self._name, self._topics, self._lost = name, topics, lost
        self._log: Final = structlog.get_logger(f"sentinel.{name}")
        self._ids: Mapping[str, str | None] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._settled: dict[tuple[str, int], int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._committing: asyncio.Task[None] | None = None
        self.ready = False
        """Whether the group has assigned partitions, if only none."""

    async def prepare(self) -> None:
        """Look up the ids of the topics, before the consumer starts."""
        self._ids = await self._topics.look()

    def attach(self, consumer: AIOKafkaConsumer | None) -> None:
        """Commit through this consumer from now on; None when it stops."""
        self._consumer = consumer
        if consumer is None:
            self.ready = False

    async def settle(self, positions: Positions) -> None:
        """Everything before these positions is written: commit them beside the next write. Raises
        what the commit before raised.
        """
        self._settled |= positions
        if self._committing is not None:
            if not self._committing.done():
                # The commit under way goes on with what has been settled meanwhile.
                return
            await self._committing
        self._committing = asyncio.create_task(self._commit_settled())

    def check(self) -> None:
        """Raises what a commit failed with: nobody waits for its task."""
        task = self._committing
        if task is not None and task.done() and not task.cancelled():
            task.result()

    @property
    def under_way(self) -> asyncio.Task[None] | None:
        """The last commit that was begun."""
        return self._committing

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """Read a re-created topic from its begin: the committed offset is the old topic's."""
        consumer = self._consumer
        if consumer is not None and assigned:
            # The consumer's own `committed` drops the metadata, where the id is.
            committed = await consumer._coordinator.fetch_committed_offsets(list(assigned))
            for tp, found in committed.items():
                if found.metadata and found.metadata != (self._ids.get(tp.topic) or found.metadata):
                    # Within the assignment, so before the first fetch of the partition.
                    await consumer.seek_to_beginning(tp)
                    metrics.TOPICS_MADE_AGAIN.labels(self._name, tp.topic).inc()
                    self._log.error(
                        "pipeline.topic_made_again",
                        topic=tp.topic,
                        partition=tp.partition,
                        committed=found.offset,
                    )
        self.ready = True

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Nothing to hand over: the new owner reads again what was not committed."""
        for tp in revoked:
            self._committed.pop(tp, None)
            self._lost(tp.topic, tp.partition)

    async def check_topics(self) -> None:
        """Raises Displaced when a topic was deleted and made again since the start: the next start
        reads it from its begin.
        """
        for topic, id in (await self._topics.look()).items() if self.ready else ():
            if id is not None and id != (self._ids.get(topic) or id):
                raise Displaced(
                    f"topic {topic} was deleted and made again; starting again to read it from its"
                    " begin"
                )

    async def lags(self) -> Mapping[TopicPartition, int] | None:
        """Offsets between what is committed and the end of each partition that is owned; None while
        that is not known. The broker is asked, since a full pipeline fetches nothing.
        """
        consumer = self._consumer
        if consumer is None or not self.ready:
            return None
        owned = consumer.assignment()
        try:
            ends = await consumer.end_offsets(owned)
            begins = await consumer.beginning_offsets(owned - self._committed.keys())
            for tp, begin in begins.items():
                committed = await consumer.committed(tp)
                self._committed.setdefault(tp, begin if committed is None else committed)
        except KafkaError as fault:
            if not (is_temporary(fault) or isinstance(fault, IllegalStateError)):
                raise
            # Asked again in a moment; the group's own requests report a broker that stays away.
            self._log.info("pipeline.lag_unknown", reason=str(fault))
            return None
        # A rebalance may have taken partitions away while the broker was asked.
        return {
            tp: max(ends[tp] - self._committed[tp], 0)
            for tp in owned & self._committed.keys() & consumer.assignment()
        }

    async def _commit_settled(self) -> None:
        # Only the newest position of each partition is left to commit after each round.
        while self._settled:
            positions, self._settled = self._settled, {}
            await self._commit(positions)

    async def _commit(self, positions: Positions) -> None:
        consumer = self._consumer
        if consumer is None:
            return
        owned = consumer.assignment()
        # A partition that was revoked meanwhile is the new owner's to commit.
        offsets = {TopicPartition(*tp): offset for tp, offset in positions.items()}
        offsets = {tp: offset for tp, offset in offsets.items() if tp in owned}
        marked = {
            tp: OffsetAndMetadata(offset, self._ids.get(tp.topic) or "")
            for tp, offset in offsets.items()
        }
        try:
            if marked:
                await consumer.commit(marked)
        except (CommitFailedError, IllegalStateError) as lost:
            # A rebalance is under way: the new owner reads these again, and nothing is written
            # twice.
            self._log.info("pipeline.not_committed", reason=str(lost))
            return
        self._committed |= {
            tp: offset for tp, offset in offsets.items() if tp in consumer.assignment()
        }
