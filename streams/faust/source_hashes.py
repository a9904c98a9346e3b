"""The code of Faust and aiokafka that ours reaches into, by the hash it had when ours was written.

Both are pinned exactly; this is the second lock: another version, or a changed copy of the same, is
refused at the start instead of misbehaving.
"""

import gc
import hashlib
import inspect
from collections.abc import Callable
from typing import Any, Final

import aiokafka.consumer.fetcher as fetcher
from aiokafka import conn
from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust.app.base import App
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Producer
from faust.transport.utils import DefaultSchedulingStrategy

from streams.state.position import Refused

PATCHED: Final[tuple[Callable[..., Any] | type, ...]] = (
    conn.create_conn,
    conn.AIOKafkaConnection.send,
    conn.AIOKafkaConnection._send_sasl_token,
    conn.AIOKafkaConnection.close,
    conn.AIOKafkaConnection.connect,
    conn.AIOKafkaConnection._read,
    conn.AIOKafkaConnection._handle_frame,
    fetcher.PartitionRecords,
    fetcher.FetchResult,
    fetcher.Fetcher._fetch_requests_routine,
    fetcher.Fetcher._get_actions_per_node,
    fetcher.Fetcher._proc_fetch_request,
    GroupCoordinator.check_errors,
    AIOKafkaConsumerThread._create_worker_consumer,
    App._create_directories,
    App._on_partitions_revoked,
    App._on_partitions_assigned,
    Consumer._add_gap,
    Consumer._drain_messages,
    Consumer._filter_committable_offsets,
    Consumer._new_offset,
    Consumer._wait_next_records,
    Consumer.getmany,
    Consumer.on_buffer_full,
    Consumer.perform_seek,
    DefaultSchedulingStrategy.iterate,
    Producer._new_producer,
    Recovery._restart_recovery.fun,
    Recovery._resume_streams,
    Recovery.on_rebalance,
    TableManager.on_start,
)

HASHES: Final[dict[str, str]] = {
    "aiokafka.conn.create_conn": "673276cbddb4dc7c",
    "aiokafka.conn.AIOKafkaConnection.send": "5909ea32f4efca49",
    "aiokafka.conn.AIOKafkaConnection._send_sasl_token": "7a3d948fc526c953",
    "aiokafka.conn.AIOKafkaConnection.close": "28f164aa1e4f0bbc",
    "aiokafka.conn.AIOKafkaConnection.connect": "b0f9ba7f0cf6b432",
    "aiokafka.conn.AIOKafkaConnection._read": "7b892995c0b81468",
    "aiokafka.conn.AIOKafkaConnection._handle_frame": "46a7d9b8cf7ca222",
    "aiokafka.consumer.fetcher.PartitionRecords": "94aa0da0dbec8d1b",
    "aiokafka.consumer.fetcher.FetchResult": "d7db13f06de8248c",
    "aiokafka.consumer.fetcher.Fetcher._fetch_requests_routine": "2a8ec5932644c9b0",
    "aiokafka.consumer.fetcher.Fetcher._get_actions_per_node": "1dab2cf937d165d0",
    "aiokafka.consumer.fetcher.Fetcher._proc_fetch_request": "59bf948fff47eed5",
    "aiokafka.consumer.group_coordinator.GroupCoordinator.check_errors": "ba6ca51ad34838d9",
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread._create_worker_consumer": (
        "c2701bfc3e6f6cad"
    ),
    "faust.app.base.App._create_directories": "a9f571c3b04abec3",
    "faust.app.base.App._on_partitions_revoked": "d5c895bbe57dc73a",
    "faust.app.base.App._on_partitions_assigned": "de932b7927db85b3",
    "faust.transport.consumer.Consumer._add_gap": "4df2573ded7c1c2c",
    "faust.transport.consumer.Consumer._drain_messages": "44a2500309e83c63",
    "faust.transport.consumer.Consumer._filter_committable_offsets": "dc5e9baf5d994485",
    "faust.transport.consumer.Consumer._new_offset": "1d2c7ea89a7ad4f1",
    "faust.transport.consumer.Consumer._wait_next_records": "6218e1969a636b3f",
    "faust.transport.consumer.Consumer.getmany": "4b168d84882a70d6",
    "faust.transport.consumer.Consumer.on_buffer_full": "c8961679e0bcdce5",
    "faust.transport.consumer.Consumer.perform_seek": "0e8c130ff4b0afd8",
    "faust.transport.utils.DefaultSchedulingStrategy.iterate": "aa1147fa5c2101b8",
    "faust.transport.drivers.aiokafka.Producer._new_producer": "e72355c3430ed02f",
    "faust.tables.recovery.Recovery._restart_recovery": "6bd8a8558a2dffe4",
    "faust.tables.recovery.Recovery._resume_streams": "d986a6710c1aca98",
    "faust.tables.recovery.Recovery.on_rebalance": "aa4d997a1795ceae",
    "faust.tables.manager.TableManager.on_start": "365dd25fbc0e0684",
}


def source_hash(patched: Callable[..., Any] | type) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of its source."""
    was_enabled = gc.isenabled()
    # A collection in the middle of parsing may run code that upsets the parser of CPython 3.11:
    # "AST constructor recursion depth mismatch" (python/cpython#106905).
    gc.disable()
    try:
        source = inspect.getsource(patched)
    finally:
        if was_enabled:
            gc.enable()
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def check_sources() -> None:
    """Raises Refused when the patched code is not the one that the overrides were written for."""
    for patched in PATCHED:
        name = f"{patched.__module__}.{patched.__qualname__}"
        if source_hash(patched) != HASHES.get(name):
            raise Refused(
                f"{name} is not the code that this program was written for; install the pinned"
                " faust-streaming and aiokafka (uv sync)"
            )
