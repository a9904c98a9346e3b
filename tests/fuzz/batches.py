"""Record batches by hand, with headers and records that say what is not so; and how they come to a
real broker.
"""

import asyncio
import gzip
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cramjam
from aiokafka.client import AIOKafkaClient
from aiokafka.codec import lz4_encode
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from schemas.avro.binary import long_bytes
from streams.client.fetch_parsing import ColumnRecords
from streams.records.blocks import Block
from streams.records.contents import Reading
from streams.records.record_batches import FetchedBytes

PLACE = TopicPartition("t", 3)
CODECS: Mapping[str, tuple[int, Callable[[bytes], bytes]]] = {
    "none": (0, bytes),
    "gzip": (1, gzip.compress),
    "snappy": (2, lambda data: bytes(cramjam.snappy.compress_raw(data))),
    "lz4": (3, lz4_encode),
    "zstd": (4, lambda data: bytes(cramjam.zstd.compress(data))),
}
"""By name: number, and what compresses."""

_HEADER = struct.Struct(">qiibIhiqqqhii")
_CHECKED_FROM = 21


def counted(content: bytes | None) -> bytes:
    """Bytes behind their size; None is -1."""
    return long_bytes(-1) if content is None else long_bytes(len(content)) + content


@dataclass(frozen=True)
class Rec:
    """One record. What is None is as it should be."""

    value: bytes | None = b"v"
    key: bytes | None = b"k"
    headers: Sequence[tuple[bytes, bytes | None]] = ()
    attributes: int = 0
    delta: int | None = None
    time: int = 0
    length: int | None = None
    headers_count: int | None = None
    tail: bytes = b""

    def to_bytes(self, row: int) -> bytes:
        """As it stands in a batch, the row-th."""
        count = len(self.headers) if self.headers_count is None else self.headers_count
        body = (
            bytes([self.attributes])
            + long_bytes(self.time)
            + long_bytes(row if self.delta is None else self.delta)
        )
        body += counted(self.key) + counted(self.value) + long_bytes(count)
        body += (
            b"".join(counted(name) + counted(content) for name, content in self.headers) + self.tail
        )
        return long_bytes(len(body) if self.length is None else self.length) + body


def batch(
    records: Sequence[Rec],
    base: int = 0,
    codec: str = "none",
    packed: bytes | None = None,
    **said: int,
) -> bytes:
    """A batch; `said` are fields of its header that are other than they should be, `packed` its
    records if these are not to be compressed here.
    """
    number, compress = CODECS[codec]
    content = (
        compress(b"".join(one.to_bytes(row) for row, one in enumerate(records)))
        if packed is None
        else packed
    )
    fields = {
        "base": base,
        "length": len(content) + _HEADER.size - 12,
        "epoch": 0,
        "magic": 2,
        "checksum": 0,
        "attributes": number,
        "last": len(records) - 1,
        "first_time": 1_760_000_000_000,
        "max_time": 1_760_000_000_000,
        "producer": -1,
        "producer_epoch": -1,
        "sequence": -1,
        "count": len(records),
    } | said
    whole = bytearray(_HEADER.pack(*fields.values()) + content)
    if "checksum" not in said:
        whole[17:21] = struct.pack(">I", calc_crc32c(bytes(whole[_CHECKED_FROM:])))
    return bytes(whole)


def fetched(
    data: bytes, ask: int = 0, reading: Reading | None = None, aborted: Any = None
) -> list[Block]:
    """The blocks that a fetch from that offset gives."""
    kind = (
        ColumnRecords
        if reading is None
        else type("Read", (ColumnRecords,), {"reading": reading, "unsound": {}})
    )
    return list(kind(PLACE, FetchedBytes(data), aborted, ask, None, None, True, READ_COMMITTED))


def produce(address: str, topic: str, partition: int, data: bytes) -> int:
    """The broker's answer, an error's code, to a batch that is given to it as it is."""

    async def send() -> int:
        client = AIOKafkaClient(bootstrap_servers=address)
        await client.bootstrap()
        try:
            await client._wait_on_metadata(topic)
            leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
            request = ProduceRequest(
                transactional_id=None,
                required_acks=-1,
                timeout=30_000,
                topics=[(topic, [(partition, data)])],
            )
            connection = await client._get_conn(leader)
            answer = await connection.send(request)
            return int(answer.topics[0][1][0][1])
        finally:
            await client.close()

    return asyncio.run(send())
