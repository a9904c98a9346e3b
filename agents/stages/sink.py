"""The stage `sink`: what the other stages say, into a store.

It keeps no state, so it is a plain group of consumers: a position is committed when the store has
acknowledged what lies before it, and what is read twice is stored once, since every document has an
id of its own (docs/decisions/0007).
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from agents.sinking.batches import Batch, Origin
from agents.sinking.sampling import Cited, LoggedEvent, cited, sampled
from agents.sinking.settings import EventsKept, SinkSettings
from schemas.documents import SPECS, Document, Kind, Refused, StoreUnavailable
from schemas.errors import Reason
from streams import metrics
from streams.client import connections, fetch_parsing
from streams.client.fetching import check_fetching
from streams.client.transactions import OpenTransactions
from streams.exit_status import bounded, is_temporary
from streams.lane.outgoing import Outgoing, dead_letter
from streams.records import blocks
from streams.records.contents import MAX_BATCH_BYTES, Reading
from streams.settings import Broker
from streams.state.position import Displaced
from streams.topic_names import TopicNames

_log = structlog.get_logger("sentinel.sink")

NAME: Final = "sink"
_FETCH_WAIT_MS: Final = 500
_BUSY_WAIT_MS: Final = 20
_FETCH_BYTES: Final = 524_288
"""Of one partition at once: four topics of many partitions are held in memory twice, fetched and
decoded.
"""
_MOST_FETCH_BYTES: Final = 4_194_304
_METADATA_AGE_MS: Final = 5_000
_MOST_POLL_MS: Final = 900_000
_SAY_EVERY_S: Final = 60.0
_LAST_WRITE_S: Final = 5.0
"""How long a worker that is told to end waits for the write under way; what is not done then is
done again by another.
"""


class LooksBack(Protocol):
    """Reads telemetry again."""

    async def read(self, partition: int, start: int, end: int) -> Sequence[LoggedEvent]:
        """What the log still has from `start` to before `end`, but for records without a value."""
        ...


class Keeps(Protocol):
    """The store, as far as the sink needs it."""

    async def write(self, documents: Sequence[Document]) -> list[Refused]:
        """Returns when all but the refused are durable; raises StoreUnavailable, StoreRefused."""
        ...


class KnowsTopics(Protocol):
    """The ids of the topics that are read."""

    async def look(self) -> Mapping[str, str | None]:
        """By name; None for one that is missing, nothing where ids are not known."""
        ...


class Sends(Protocol):
    """Produces dead letters."""

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Returns when the broker acknowledged all."""
        ...


def kinds_of(names: TopicNames, settings: SinkSettings) -> dict[str, Kind]:
    """The topics that are read, each with what it holds."""
    kinds = {names.prefix + spec.topic: kind for kind, spec in SPECS.items()}
    if settings.events is EventsKept.NONE:
        del kinds[names.telemetry]
    return kinds


class Sink(ConsumerRebalanceListener):  # type: ignore[misc]
    """Reads, stores, commits. One batch is stored while the next one is read; further it does not
    read ahead.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        broker: Broker,
        settings: SinkSettings,
        store: Keeps,
        sender: Sends,
        log: LooksBack,
        topics: KnowsTopics,
        max_ahead_s: float,
        oldest: Callable[[Kind], int | None] = lambda _: None,
        max_batch_bytes: int = MAX_BATCH_BYTES,
    ) -> None:
        """`oldest` tells of a kind the time, µs, before which documents are forgotten as soon as
        they are stored; None where none is.
        """
        self._store, self._sender, self._log, self._settings = store, sender, log, settings
        self._names = TopicNames(broker.topic_prefix)
        self._kinds = kinds_of(self._names, settings)
        self._client, self._broker, self._oldest = client, broker, oldest
        self._topics = topics
        self._ids: Mapping[str, str | None] = {}
        self._said_expired: dict[Kind, float] = {}
        self._max_batch_bytes = max_batch_bytes
        self._max_ahead_us = int(max_ahead_s * 1_000_000)
        self._consumer: AIOKafkaConsumer | None = None
        self._settled: dict[tuple[str, int], int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._committing: asyncio.Task[None] | None = None
        self._transactions = OpenTransactions()
        self.moves = 0
        """Grows with every look for records."""
        self.ready = False
        """Whether the group has told what is read here."""

    def lanes_with_work(self) -> dict[int, int]:
        """None: whoever waits for the store is not helped by a new start; the store's own deadline
        ends that.
        """
        return {}

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; then the write under way is waited for a little. Raises what broker
        and store raise.
        """
        fetch_parsing.install(Reading(self._max_batch_bytes))
        connections.install()
        _begin_counting(self._kinds.values())
        self._ids = await self._topics.look()
        consumer = self._consumer = AIOKafkaConsumer(
            **self._client,
            group_id=f"{self._names.prefix}{NAME}",
            group_instance_id=self._broker.group_instance_id,
            enable_auto_commit=False,
            # So that a topic that was deleted and made again is read again soon; by default it
            # takes five minutes.
            metadata_max_age_ms=_METADATA_AGE_MS,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            check_crcs=not self._broker.embedded,
            session_timeout_ms=int(self._broker.session_timeout_s * 1000),
            heartbeat_interval_ms=int(self._broker.heartbeat_interval_s * 1000),
            fetch_max_bytes=_MOST_FETCH_BYTES,
            max_partition_fetch_bytes=_FETCH_BYTES,
            # While the store takes its time nothing is asked for; how long that may be, the store's
            # own deadline says.
            max_poll_interval_ms=_MOST_POLL_MS,
        )
        consumer.subscribe(sorted(self._kinds), listener=self)
        await consumer.start()
        try:
            await self._until(consumer, stop)
        finally:
            self.ready = False
            self._consumer = None
            # Nothing is lost with a group that is not told: a broker that is away must not hold up
            # the end, nor change its status.
            await bounded(consumer.stop(), _LAST_WRITE_S)

    def check(self) -> None:
        """Raises what a commit, or the client's own tasks failed with: with a dead one it would
        wait for ever, alive.
        """
        if (
            self._committing is not None
            and self._committing.done()
            and not self._committing.cancelled()
        ):
            self._committing.result()
        consumer = self._consumer
        if consumer is not None:
            check_fetching(consumer)

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """The group has told. What was committed in a topic that is another one now says nothing:
        that is read from its begin.
        """
        consumer = self._consumer
        if consumer is not None and assigned:
            # Its own `committed` keeps the offset alone.
            committed = await consumer._coordinator.fetch_committed_offsets(list(assigned))
            for tp, found in committed.items():
                if found.metadata and found.metadata != (self._ids.get(tp.topic) or found.metadata):
                    await consumer.seek_to_beginning(tp)
                    metrics.TOPICS_MADE_AGAIN.labels(NAME, tp.topic).inc()
                    _log.error(
                        "sink.topic_made_again",
                        topic=tp.topic,
                        partition=tp.partition,
                        committed=found.offset,
                    )
        self.ready = True

    async def look_at_topics(self) -> None:
        """Raises Displaced when a topic was deleted and made again since the start: the next start
        reads it from its begin.
        """
        for topic, id in (await self._topics.look()).items() if self.ready else ():
            if id is not None and id != (self._ids.get(topic) or id):
                raise Displaced(
                    f"topic {topic} was deleted and made again; starting again to read it from its"
                    " begin"
                )

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Nothing to hand over: what was not committed is read again by the heir, and stored once."""
        for tp in revoked:
            self._committed.pop(tp, None)
            metrics.forget_sink_lag(tp.topic, tp.partition)

    async def tell_lag(self) -> None:
        """Sets how far behind the logs' ends is what was committed; asked of the broker, since
        nothing is fetched while the store takes nothing. And tells of open transactions that hold
        back what is read.
        """
        consumer = self._consumer
        if consumer is None or not self.ready:
            return
        await self._transactions.look(consumer)
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
            # Asked again in a moment; what a broker that is away means for the sink, its own
            # requests tell.
            _log.info("sink.lag_unknown", reason=str(fault))
            return
        metrics.SINK_ASKED.set_to_current_time()
        for tp in owned & self._committed.keys() & consumer.assignment():
            metrics.SINK_LAG.labels(tp.topic, tp.partition).set(
                max(ends[tp] - self._committed[tp], 0)
            )

    async def _until(self, consumer: AIOKafkaConsumer, stop: asyncio.Event) -> None:
        """What comes while a batch is stored makes up the next one: a lone document waits for
        nothing, and a backlog goes in large batches.
        """
        writing: asyncio.Task[None] | None = None
        batch = Batch()
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                fetched = await consumer.getmany(
                    timeout_ms=_FETCH_WAIT_MS if writing is None else _BUSY_WAIT_MS
                )
                self.moves += 1
                for block in (block for each in fetched.values() for block in each):
                    for _ in self._take(batch, block):
                        # The write under way goes on.
                        await asyncio.sleep(0)
                    if batch.is_full and writing is not None and not await _over(writing, stopping):
                        return
                    await asyncio.sleep(0)
                    if writing is None or writing.done():
                        writing, batch = await self._after(writing, consumer, batch), Batch()
                if not fetched and writing is not None:
                    if not await _over(writing, stopping):
                        return
                    writing = (
                        await self._after(writing, consumer, batch) if batch.positions else None
                    )
                    batch = Batch()
        finally:
            stopping.cancel()
            if writing is not None:
                await _ended(writing)
            if self._committing is not None:
                await _ended(self._committing)

    def _take(self, batch: Batch, block: blocks.Block) -> Iterator[None]:
        kind = self._kinds[block.topic]
        if kind is not Kind.EVENT:
            return batch.take(block, kind, oldest=self._oldest(kind))
        latest = (block.append_times() + self._max_ahead_us).tolist()
        if self._settings.events is EventsKept.ALL:
            return batch.take(block, kind, None, latest, self._oldest(kind))
        chosen = sampled(block.partition, block.offsets(), self._settings.sampled_share)
        return batch.take(block, kind, chosen.tolist(), latest, self._oldest(kind))

    async def _after(
        self, writing: "asyncio.Task[None] | None", consumer: AIOKafkaConsumer, batch: Batch
    ) -> "asyncio.Task[None]":
        """Begins to store a batch when the one before is settled; raises what that raised."""
        if writing is not None:
            await writing
        return asyncio.create_task(self._settle(consumer, batch))

    async def _settle(self, consumer: AIOKafkaConsumer, batch: Batch) -> None:
        """Stores a batch, sends what cannot be stored to dead-letters, and begins to commit."""
        began = time.perf_counter()
        refused = await self._store.write(batch.documents) if batch.documents else []
        if batch.documents:
            metrics.SINK_WRITE_SECONDS.observe(time.perf_counter() - began)
        await self._bury(batch, refused)
        self._count(batch, refused)
        if self._settings.events is EventsKept.SAMPLED:
            # Before the anomalies' position is committed: what they cite is as durable as they are.
            await self._keep_cited(batch.documents)
        self._settled |= batch.positions
        await self._begin_to_commit(consumer)
        self.moves += 1

    async def _begin_to_commit(self, consumer: AIOKafkaConsumer) -> None:
        """Commits what is settled beside the next write: the store does not wait for the broker.
        Raises what the commit before raised.
        """
        if self._committing is not None:
            if not self._committing.done():
                # It goes on with what was settled meanwhile.
                return
            await self._committing
        self._committing = asyncio.create_task(self._commit_settled(consumer))

    async def _commit_settled(self, consumer: AIOKafkaConsumer) -> None:
        while self._settled:
            positions, self._settled = self._settled, {}
            await self._commit(consumer, positions)

    async def _keep_cited(self, documents: Sequence[Document]) -> None:
        found = await looked_back(self._log, documents, self._settings.cited_within)
        oldest = self._oldest(Kind.EVENT)
        found = [one for one in found if oldest is None or one.document.time >= oldest]
        refused = await self._store.write([one.document for one in found]) if found else []
        letters = []
        for each in refused:
            record = found[each.index].record
            place = (self._names.telemetry, record.partition, record.offset)
            reason = f"refused by the store: {each.reason}"
            letters.append(
                dead_letter(self._names.dead_letters, record.key, record.value, *place, reason)
            )
        if letters:
            await self._sender.send(letters)
        metrics.SINK_DOCUMENTS.labels(Kind.EVENT, "stored").inc(len(found) - len(refused))
        metrics.SINK_DOCUMENTS.labels(Kind.EVENT, "refused").inc(len(refused))

    async def _bury(self, batch: Batch, refused: Sequence[Refused]) -> None:
        letters = [
            self._letter(origin, error.reason, error.field, error.schema_id)
            for origin, error in batch.bad
        ]
        for each in refused:
            given = batch.documents[each.index]
            _log.error("sink.refused", kind=given.kind, document_id=given.id, reason=each.reason)
            letters.append(
                self._letter(batch.origins[each.index], f"refused by the store: {each.reason}")
            )
        if letters:
            await self._sender.send(letters)

    def _letter(
        self, origin: Origin, reason: str, field: str | None = None, schema_id: int | None = None
    ) -> Outgoing:
        (record,) = origin.records.records_at([origin.index])
        place = (origin.records.topic, origin.records.partition, record.offset)
        return dead_letter(
            self._names.dead_letters,
            record.key,
            record.value,
            *place,
            reason,
            field,
            schema_id,
            record.marks,
        )

    def _count(self, batch: Batch, refused: Sequence[Refused]) -> None:
        for kind in self._kinds.values():
            given = sum(document.kind is kind for document in batch.documents)
            not_taken = sum(batch.documents[each.index].kind is kind for each in refused)
            metrics.SINK_DOCUMENTS.labels(kind, "stored").inc(given - not_taken)
            metrics.SINK_DOCUMENTS.labels(kind, "refused").inc(not_taken)
        for _, error in batch.bad:
            metrics.BAD_RECORDS.labels(NAME, error.reason).inc()
        for kind, count in batch.expired.items():
            metrics.SINK_DOCUMENTS.labels(kind, "expired").inc(count)
            self._say_expired(kind, count)

    def _say_expired(self, kind: Kind, count: int) -> None:
        """Now and then: a backlog of old records is thousands of batches."""
        now = time.monotonic()
        if now - self._said_expired.get(kind, -math.inf) >= _SAY_EVERY_S:
            self._said_expired[kind] = now
            _log.warning("sink.expired", kind=kind, documents=count)

    async def _commit(
        self, consumer: AIOKafkaConsumer, positions: Mapping[tuple[str, int], int]
    ) -> None:
        owned = consumer.assignment()
        offsets = {TopicPartition(*place): offset for place, offset in positions.items()}
        offsets = {tp: offset for tp, offset in offsets.items() if tp in owned}
        try:
            if offsets:
                # With the id of the topic that they count in.
                marked = {
                    tp: OffsetAndMetadata(offset, self._ids.get(tp.topic) or "")
                    for tp, offset in offsets.items()
                }
                await consumer.commit(marked)
        except (CommitFailedError, IllegalStateError) as lost:
            # A rebalance is under way: others read these again, and nothing is stored twice.
            _log.info("sink.not_committed", reason=str(lost))
            return
        self._committed |= {
            tp: offset for tp, offset in offsets.items() if tp in consumer.assignment()
        }


async def looked_back(log: LooksBack, documents: Sequence[Document], within: int) -> list[Cited]:
    """The events that the anomalies among the documents cite (`cited`), read from `log`."""
    search = cited(documents, within)
    try:
        wanted = next(search)
        while True:
            wanted = search.send(await log.read(wanted.partition, wanted.start, wanted.end))
    except StopIteration as found:
        return list(found.value)


def _begin_counting(kinds: Iterable[Kind]) -> None:
    """At nothing: of a series that begins with its first fault, no alarm sees that it grew."""
    for reason in Reason:
        metrics.BAD_RECORDS.labels(NAME, reason)
    for kind in kinds:
        for outcome in ("stored", "refused", "expired"):
            metrics.SINK_DOCUMENTS.labels(kind, outcome)


async def _over(writing: "asyncio.Task[None]", stopping: "asyncio.Task[bool]") -> bool:
    """Whether the write under way is over; false when it is to be given up soon. Raises what it
    raised.
    """
    await asyncio.wait({writing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if writing.done():
        writing.result()
    return writing.done()


async def _ended(writing: "asyncio.Task[None]") -> None:
    """The write under way, done, or given up after a while."""
    done, _ = await asyncio.wait({writing}, timeout=_LAST_WRITE_S)
    if not done:
        writing.cancel()
        done, _ = await asyncio.wait({writing}, timeout=_LAST_WRITE_S)
    with contextlib.suppress(asyncio.CancelledError, StoreUnavailable):
        if done:
            writing.result()
