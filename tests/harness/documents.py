"""What a store is to hold, by the topics as they stand, and what it holds."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator
from typing import Final

import orjson

from agents.sinking.settings import SinkSettings
from agents.stages.sink import kinds_of
from connectors.store.opening import store_of
from connectors.store.port import MAX_PAGE, Search, Store
from connectors.store.settings import StoreSettings
from schemas.documents import Document, Kind
from streams.settings import Broker
from streams.topic_names import TopicNames
from topology.control.reading import Read, whole

KINDS: Final = (Kind.ANOMALY, Kind.INCIDENT, Kind.NOTIFICATION, Kind.AGGREGATE)
"""Kinds that are always kept."""
_LOOK_S: Final = 0.5

Documents = dict[tuple[Kind, str], bytes]
"""Body of each document as JSON with sorted keys, by kind and key."""


def told(broker: Broker) -> Iterator[tuple[Kind, bytes, Read]]:
    """Every record that is kept in a store: its kind, its value, and where it stands. Raises
    KafkaException.
    """
    kinds = kinds_of(TopicNames(broker.topic_prefix), SinkSettings())
    for record in whole(broker, list(kinds)):
        if record.value is not None:
            yield kinds[record.topic], record.value, record


def newest(documents: Iterable[Document]) -> Documents:
    """Each once; of an incident its last revision. The first of one revision stays, as in the
    store: what was written again says the same.
    """
    found: dict[tuple[Kind, str], Document] = {}
    for one in documents:
        place = one.kind, one.key
        if place not in found or found[place].revision < one.revision:
            found[place] = one
    return {place: body(one) for place, one in found.items()}


def body(one: Document) -> bytes:
    """As it is compared."""
    return orjson.dumps(one.body, option=orjson.OPT_SORT_KEYS)


async def held(
    settings: StoreSettings,
    tenants: Collection[str],
    are_all: Callable[[Documents], Awaitable[bool]],
    within_s: float,
) -> Documents:
    """The store's documents, of these tenants and of those that it names, when they are all, or no
    more time is given.
    """
    store = store_of(settings)
    assert store is not None
    await store.start()
    try:
        deadline = time.monotonic() + within_s
        while True:
            found = {(one.kind, one.key): body(one) async for one in _every(store, tenants)}
            if await are_all(found) or time.monotonic() > deadline:
                return found
            await asyncio.sleep(_LOOK_S)
    finally:
        await store.close()


async def _every(store: Store, tenants: Collection[str]) -> AsyncIterator[Document]:
    for tenant in sorted({*tenants, *await store.tenants()}):
        for kind in KINDS:
            cursor: str | None = None
            while True:
                page = await store.search(Search(kind, tenant, limit=MAX_PAGE, cursor=cursor))
                for one in page.documents:
                    yield one
                if (cursor := page.cursor) is None:
                    break
