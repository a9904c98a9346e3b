"""Open transactions that hold back records: where, since when, and whose they are.

A consumer of committed records gets none that lies after the first record of an open transaction,
not even those of other producers: the partition seems to end there. A fetch returns both ends, that
of what may be read (the last stable offset) and that of the log (the high watermark).
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams import metrics
from streams.client.transaction_requests import (
    DescribeProducers,
    DescribeTransactions,
    ListTransactions,
)

REPORTED_AFTER_S: Final = 10.0
"""Transactions that are open for a shorter time are normal: each flush of a worker makes one."""

_log = structlog.get_logger("sentinel.transactions")


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open transaction as the broker describes it. A field is None where this user has no right
    to know it, or the broker is too old to be asked.
    """

    producer_id: int | None = None
    transactional_id: str | None = None
    started_at: float | None = None
    """Unix seconds."""
    timeout_s: float | None = None
    """After which the broker aborts it."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Of one partition: up to where committed records may be read, and where its log ends."""

    stable: int
    log: int


@dataclass(slots=True)
class _Hold:
    offset: int
    since: float
    reported: bool = False


class OpenTransactions:
    """Watches the partitions that one client reads, and reports in metrics and log each one that
    has been held back for `REPORTED_AFTER_S`, and its release.

    A worker cannot end the transaction of another producer, and a restart would not help, so it
    names the producer.
    """

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._holds: dict[TopicPartition, _Hold] = {}

    async def look(self, consumer: AIOKafkaConsumer) -> None:
        """To be called every few seconds, in the client's loop. A question that the broker does not
        answer is not repeated, and raises nothing.
        """

        async def whose(tp: TopicPartition, offset: int) -> Transaction:
            return await transaction_at(consumer, tp, offset)

        await self.look_at(ends_of(consumer), whose)

    async def look_at(
        self,
        ends: Mapping[TopicPartition, Ends],
        whose: Callable[[TopicPartition, int], Awaitable[Transaction]],
    ) -> None:
        """The same for known ends; partitions that are not among them are no longer read here."""
        for tp in self._holds.keys() - ends.keys():
            self._end(tp, released=False)
        now = self._wall()
        for tp, end in ends.items():
            hold = self._holds.get(tp)
            if hold is not None and (end.stable != hold.offset or end.log <= end.stable):
                self._end(tp, released=True)
                hold = None
            if end.log <= end.stable:
                continue
            if hold is None:
                hold = self._holds[tp] = _Hold(end.stable, now)
            if not hold.reported and now - hold.since >= REPORTED_AFTER_S:
                self._report(tp, hold, end, await whose(tp, hold.offset))
            if hold.reported:
                metrics.HELD_RECORDS.labels(tp.topic, tp.partition).set(end.log - end.stable)

    def _report(self, tp: TopicPartition, hold: _Hold, end: Ends, found: Transaction) -> None:
        hold.reported = True
        if found.started_at is not None:
            # It may have been open before this worker saw it.
            hold.since = min(hold.since, found.started_at)
        metrics.HELD_SINCE.labels(tp.topic, tp.partition).set(hold.since)
        _log.warning(
            "partition.held_by_transaction",
            topic=tp.topic,
            partition=tp.partition,
            since=utc(hold.since),
            offset=hold.offset,
            records=end.log - end.stable,
            transactional_id=found.transactional_id,
            producer_id=found.producer_id,
            transaction_timeout_s=found.timeout_s,
        )

    def _end(self, tp: TopicPartition, *, released: bool) -> None:
        hold = self._holds.pop(tp)
        if not hold.reported:
            return
        metrics.forget_hold(tp.topic, tp.partition)
        if released:
            held_s = round(self._wall() - hold.since, 1)
            _log.info("partition.released", topic=tp.topic, partition=tp.partition, held_s=held_s)


def ends_of(consumer: AIOKafkaConsumer) -> dict[TopicPartition, Ends]:
    """The ends by the last fetches. Partitions that were not fetched yet are left out, and those
    for which the broker gave no stable offset.
    """
    ends = {}
    for tp in consumer.assignment():
        stable, log = consumer.last_stable_offset(tp), consumer.highwater(tp)
        if stable is not None and log is not None and stable >= 0:
            ends[tp] = Ends(stable, log)
    return ends


async def transaction_at(
    consumer: AIOKafkaConsumer, tp: TopicPartition, offset: int
) -> Transaction:
    """The transaction whose first record in the partition is at this offset. Asks three questions;
    what is not answered is None.
    """
    client = consumer._client
    try:
        leader = client.cluster.leader_for_partition(tp)
        answer = await client.send(leader, DescribeProducers(tp.topic, tp.partition))
        ((_, ((_, _, _, producers, _),), _),) = answer.topics
        producer_id = next((each[0] for each in producers or () if each[5] == offset), None)
        if producer_id is None:
            return Transaction()
        # Only a transaction's own coordinator lists it, and which broker that is follows from the
        # transactional id, which is not known yet.
        for node in [broker.nodeId for broker in client.cluster.brokers()]:
            answer = await client.send(node, ListTransactions([producer_id]))
            for transactional_id, _, _, _ in answer.transactions or ():
                return await _described(consumer, node, producer_id, transactional_id)
        return Transaction(producer_id)
    except (KafkaError, NotImplementedError) as fault:
        # An older broker, or one that is away: that the partition is held is known all the same.
        _log.info(
            "partition.transaction_unknown",
            topic=tp.topic,
            partition=tp.partition,
            reason=str(fault),
        )
        return Transaction()


async def _described(
    consumer: AIOKafkaConsumer, node: int, producer_id: int, transactional_id: str
) -> Transaction:
    answer = await consumer._client.send(node, DescribeTransactions([transactional_id]))
    ((error, _, _, timeout_ms, started_ms, *_),) = answer.transactions
    if error or started_ms < 0:
        return Transaction(producer_id, transactional_id)
    return Transaction(producer_id, transactional_id, started_ms / 1000, timeout_ms / 1000)


def utc(seconds: float) -> str:
    """ISO 8601, of Unix seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
