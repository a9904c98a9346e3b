"""What the sink does beside its writes: forgets what is too old to be kept, and tends the store."""

import asyncio
import time
from typing import Final

from connectors.store.port import DocumentRetention
from connectors.store.settings import Retention
from schemas.documents import Kind, StoreUnavailable
from streams import metrics
from topology.logs import log_for

_PURGE_EVERY_S: Final = 3600.0
_TEND_EVERY_S: Final = 10.0
_MAX_LOG_BYTES: Final = 64_000_000
"""Size of a write-ahead log above which a warning is logged."""
_DAY_US: Final = 86_400_000_000


async def retain(store: DocumentRetention, retention: Retention) -> None:
    """Purges now and every hour, until cancelled."""
    while True:
        await purge(store, retention, time.time_ns() // 1000)
        await asyncio.sleep(_PURGE_EVERY_S)


async def tend(store: DocumentRetention) -> None:
    """Tends the store every few seconds, until cancelled; warns when its log grows."""
    log, warned = log_for("sentinel.sink"), 0
    while True:
        try:
            size = await store.tend()
        except StoreUnavailable:
            # The writes report it.
            size = 0
        metrics.STORE_LOG.set(size)
        # Again only when it has doubled.
        if size > max(_MAX_LOG_BYTES, 2 * warned):
            warned = size
            log.warning(
                "sink.log_grows",
                bytes=size,
                reason="a reader of the store's file does not end; end it",
            )
        elif size <= _MAX_LOG_BYTES:
            warned = 0
        await asyncio.sleep(_TEND_EVERY_S)


async def purge(store: DocumentRetention, retention: Retention, now: int) -> None:
    """Forgets what is older than its kind is kept; a store that is away is asked again the next
    time.
    """
    log = log_for("sentinel.sink")
    for kind in Kind:
        before = oldest_kept(retention, kind, now)
        if before is None:
            continue
        try:
            forgotten = await store.purge(kind, before)
        except StoreUnavailable as fault:
            log.warning("sink.not_purged", kind=kind, reason=str(fault))
            continue
        if forgotten:
            log.info("sink.purged", kind=kind, documents=forgotten)


def oldest_kept(retention: Retention, kind: Kind, now: int) -> int | None:
    """Time, µs, before which documents of a kind are too old to be kept; None when none is."""
    days = retention.days(kind)
    return None if days is None else now - days * _DAY_US
