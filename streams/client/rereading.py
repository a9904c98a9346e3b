"""Reading records of a partition again, within the same bounds as lanes do."""

import asyncio
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaTimeoutError
from aiokafka.structs import TopicPartition

from streams.client import connections, fetch_parsing
from streams.client.brokers import aiokafka_config
from streams.client.fetching import check_fetching
from streams.records.cutting import Record
from streams.settings import Broker

_POLL_MS: Final = 200


async def records_between(
    broker: Broker, topic: str, partition: int, start: int, end: int, silence_s: float
) -> list[Record]:
    """The records from `start` to before `end` that the log still has, broken ones too; an empty
    list for a partition that does not exist.

    Raises:
        KafkaError: what aiokafka raises, and KafkaTimeoutError when nothing arrives for
        `silence_s`.
    """
    fetch_parsing.install(fetch_parsing.reading_in_use())
    connections.install()
    consumer = AIOKafkaConsumer(
        **aiokafka_config(broker),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        check_crcs=not broker.embedded,
    )
    await consumer.start()
    try:
        await consumer._client._wait_on_metadata(topic)
        if partition not in (consumer.partitions_for_topic(topic) or ()):
            return []
        return await _read(consumer, TopicPartition(topic, partition), start, end, silence_s)
    finally:
        await consumer.stop()


async def _read(
    consumer: AIOKafkaConsumer, tp: TopicPartition, start: int, end: int, silence_s: float
) -> list[Record]:
    consumer.assign([tp])
    first = max(start, (await consumer.beginning_offsets([tp]))[tp])
    last = min(end, (await consumer.end_offsets([tp]))[tp])
    found: list[Record] = []
    if first >= last:
        return found
    consumer.seek(tp, first)
    clock = asyncio.get_running_loop().time
    at, heard = first, clock()
    while at < last:
        for block in (await consumer.getmany(tp, timeout_ms=_POLL_MS)).get(tp, ()):
            found += [record for record in block.records() if record.offset < last]
        check_fetching(consumer)
        before, at = at, await consumer.position(tp)
        heard = clock() if at != before else heard
        if clock() - heard > silence_s:
            raise KafkaTimeoutError(f"no record came for {silence_s:g} s")
    return found
