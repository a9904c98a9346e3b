"""The stage `sink`: how far it has stored what the others say, and what is in the store at the
end.
"""

import asyncio
from collections.abc import Collection
from typing import Final

from confluent_kafka import Consumer, TopicPartition

from agents.sinking.settings import SinkSettings
from agents.stages.sink import NAME, kinds_of
from connectors.store.settings import StoreSettings
from schemas.documents import Document, Kind, document
from streams.client.brokers import librdkafka_config
from streams.lane.outgoing import REASON
from tests.harness.documents import Documents, held, newest, told
from tests.harness.exactness.plan import PARTITIONS, Plan
from tests.harness.reference.reading import Reader
from tests.harness.reference.tally import Tally, tallied

SINK: Final = NAME
_TIMEOUT_S: Final = 30.0
_FOUND_S: Final = 10.0
"""For so long a document may be in the store and not be found."""
_REFUSED: Final = b"refused by the store: "

Place = tuple[str, int]
"""Topic and partition."""
Refusal = tuple[Kind, str, int]
"""Kind, key and revision of a document that the store never takes."""


def goal(plan: Plan) -> dict[Place, int]:
    """For each log that the sink reads, the offset after its last document; marks and watermarks
    after it are none. Raises KafkaException.
    """
    return {
        (record.topic, record.partition): record.offset + 1 for _, _, record in told(plan.broker)
    }


def committed(plan: Plan, places: Collection[Place]) -> dict[Place, int]:
    """From where the sink would go on. Raises KafkaException."""
    asking = Consumer(
        {**librdkafka_config(plan.broker), "group.id": f"{plan.prefix}{SINK}", "log_level": 0}
    )
    try:
        parts = asking.committed([TopicPartition(*place) for place in places], timeout=_TIMEOUT_S)
    finally:
        asking.close()
    return {(part.topic, part.partition): max(part.offset, 0) for part in parts}


async def compared(plan: Plan, store: StoreSettings, refused: Collection[Refusal]) -> list[Tally]:
    """The store's documents against the topics, and those that it refuses, which are dead letters
    instead. Raises what reading raises.
    """
    kept: list[Document] = []
    lost: dict[tuple[str, int, int], bytes] = {}
    for kind, value, record in await asyncio.to_thread(lambda: list(told(plan.broker))):
        one = document(kind, value)
        if (kind, one.key, one.revision) in refused:
            lost[record.topic, record.partition, record.offset] = value
        else:
            kept.append(one)
    expected = newest(kept)

    async def are_all(found: Documents) -> bool:
        return found == expected

    found = await held(store, {one.tenant for one in kept}, are_all, _FOUND_S)
    letters = await asyncio.to_thread(_letters, plan)
    return [
        tallied("stored documents", expected, found.items(), once=True),
        tallied("documents refused", lost, letters, once=False),
    ]


def _letters(plan: Plan) -> list[tuple[tuple[str, int, int], bytes]]:
    """What the sink buried, by where it stood; what it gave another reason for says that reason
    instead of what it was.
    """
    topics, found = kinds_of(plan.names, SinkSettings()), []
    with Reader(plan.broker) as reader:
        for partition in range(PARTITIONS):
            for record in reader.stored(plan.names.dead_letters, partition):
                headers = {name: content or b"" for name, content in record.headers}
                topic, reason = headers["sentinel-topic"].decode(), headers[REASON]
                if topic in topics:
                    place = (
                        topic,
                        int(headers["sentinel-partition"]),
                        int(headers["sentinel-offset"]),
                    )
                    found.append(
                        (place, record.value or b"" if reason.startswith(_REFUSED) else reason)
                    )
    return found
