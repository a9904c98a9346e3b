"""The stage `sink`: the records of the other stages, into a store.

It keeps no state, so it is the work of a `Pipeline`: a position is committed when the store has
acknowledged everything before it, and a record that is read twice is stored once, since every
document has an id of its own (docs/decisions/0007).
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

import structlog
from aiokafka.structs import TopicPartition

from agents.sinking.batches import Batch, Origin
from agents.sinking.sampling import Cited, LoggedEvent, cited, sampled
from agents.sinking.settings import EventsKept, SinkSettings
from schemas.documents import SPECS, Document, Kind, Refused
from schemas.errors import Reason
from streams import metrics
from streams.lane.outgoing import Outgoing, dead_letter
from streams.records import blocks
from streams.topic_names import TopicNames

_log = structlog.get_logger("sentinel.sink")

NAME: Final = "sink"
_LOG_EXPIRED_EVERY_S: Final = 60.0


class TelemetryReader(Protocol):
    """Reads telemetry again."""

    async def read(self, partition: int, start: int, end: int) -> Sequence[LoggedEvent]:
        """The records that the log still has from `start` to before `end`, except those without a
        value.
        """
        ...


class DocumentWriter(Protocol):
    """The store, as far as the sink needs it."""

    async def write(self, documents: Sequence[Document]) -> list[Refused]:
        """Returns when all but the refused are durable; raises StoreUnavailable, StoreRefused."""
        ...


class SendsRecords(Protocol):
    """Produces dead letters."""

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Returns when the broker acknowledged all."""
        ...


def kinds_of(names: TopicNames, settings: SinkSettings) -> dict[str, Kind]:
    """The topics that are read, each with the kind of its records."""
    kinds = {names.prefix + spec.topic: kind for kind, spec in SPECS.items()}
    if settings.events is EventsKept.NONE:
        del kinds[names.telemetry]
    return kinds


class Sink:
    """The work of a `Pipeline`: fetched records become documents, and what cannot be stored becomes
    dead letters.

    `oldest` gives for a kind the time, µs, before which documents are too old to be stored; None
    where none is.
    """

    def __init__(
        self,
        names: TopicNames,
        settings: SinkSettings,
        store: DocumentWriter,
        sender: SendsRecords,
        log: TelemetryReader,
        max_ahead_s: float,
        oldest: Callable[[Kind], int | None] = lambda _: None,
    ) -> None:
        self._store, self._sender, self._log, self._settings = store, sender, log, settings
        self._names, self._kinds = names, kinds_of(names, settings)
        self._oldest = oldest
        self._expired_logged_at: dict[Kind, float] = {}
        self._max_ahead_us = int(max_ahead_s * 1_000_000)
        _begin_counting(self._kinds.values())

    def new_batch(self) -> Batch:
        """An empty one."""
        return Batch()

    def prepare(self, batch: Batch, block: blocks.Block) -> Iterator[None]:
        """Add a block's documents to the batch; see `Batch.add`."""
        kind = self._kinds[block.topic]
        if kind is not Kind.EVENT:
            return batch.add(block, kind, oldest=self._oldest(kind))
        latest = (block.append_times() + self._max_ahead_us).tolist()
        if self._settings.events is EventsKept.ALL:
            return batch.add(block, kind, None, latest, self._oldest(kind))
        chosen = sampled(block.partition, block.offsets(), self._settings.sampled_share)
        return batch.add(block, kind, chosen.tolist(), latest, self._oldest(kind))

    async def write(self, batch: Batch) -> None:
        """Store a batch, send what cannot be stored to dead-letters, and store the events that its
        anomalies cite. Raises StoreUnavailable, StoreRefused, and what Kafka raises.
        """
        began = time.perf_counter()
        refused = await self._store.write(batch.documents) if batch.documents else []
        if batch.documents:
            metrics.SINK_WRITE_SECONDS.observe(time.perf_counter() - began)
        await self._send_letters(batch, refused)
        self._count(batch, refused)
        if self._settings.events is EventsKept.SAMPLED:
            # Before the anomalies' position is committed: what they cite is as durable as they are.
            await self._store_cited(batch.documents)

    async def _store_cited(self, documents: Sequence[Document]) -> None:
        found = await looked_back(self._log, documents, self._settings.cited_within)
        oldest = self._oldest(Kind.EVENT)
        found = [one for one in found if oldest is None or one.document.time >= oldest]
        refused = await self._store.write([one.document for one in found]) if found else []
        letters = []
        for each in refused:
            record = found[each.index].record
            origin = (self._names.telemetry, record.partition, record.offset)
            reason = f"refused by the store: {each.reason}"
            letters.append(
                dead_letter(self._names.dead_letters, record.key, record.value, *origin, reason)
            )
        if letters:
            await self._sender.send(letters)
        metrics.SINK_DOCUMENTS.labels(Kind.EVENT, "stored").inc(len(found) - len(refused))
        metrics.SINK_DOCUMENTS.labels(Kind.EVENT, "refused").inc(len(refused))

    async def _send_letters(self, batch: Batch, refused: Sequence[Refused]) -> None:
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
        return dead_letter(
            self._names.dead_letters,
            record.key,
            record.value,
            origin.records.topic,
            origin.records.partition,
            record.offset,
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
            self._log_expired(kind, count)

    def _log_expired(self, kind: Kind, count: int) -> None:
        # At most once a minute: a backlog of old records is thousands of batches.
        now = time.monotonic()
        if now - self._expired_logged_at.get(kind, -math.inf) >= _LOG_EXPIRED_EVERY_S:
            self._expired_logged_at[kind] = now
            _log.warning("sink.expired", kind=kind, documents=count)


def report_lag(lags: Mapping[TopicPartition, int]) -> None:
    """Set the metrics of how far behind the logs' ends the stored documents are."""
    metrics.SINK_ASKED.set_to_current_time()
    for tp, lag in lags.items():
        metrics.SINK_LAG.labels(tp.topic, tp.partition).set(lag)


async def looked_back(
    log: TelemetryReader, documents: Sequence[Document], within: int
) -> list[Cited]:
    """The events that the anomalies among the documents cite (`cited`), read from `log`."""
    search = cited(documents, within)
    try:
        wanted = next(search)
        while True:
            wanted = search.send(await log.read(wanted.partition, wanted.start, wanted.end))
    except StopIteration as found:
        return list(found.value)


def _begin_counting(kinds: Iterable[Kind]) -> None:
    """Set every counter to 0: an alarm does not see the growth of a series that begins at 1."""
    for reason in Reason:
        metrics.BAD_RECORDS.labels(NAME, reason)
    for kind in kinds:
        for outcome in ("stored", "refused", "expired"):
            metrics.SINK_DOCUMENTS.labels(kind, outcome)
