"""The `settings` topic as a worker knows it: immutable configuration versions, and offsets that no decoder may see."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from schemas.errors import BadRecord
from schemas.records import Settings
from schemas.secrets import Secret
from streams.control import SETTINGS, SIGNATURE, SKIP, Headers, is_signed, sign
from streams.ending import ends_process
from streams.outgoing import Outgoing

_log = structlog.get_logger("sentinel.settings")

_SKIP_KEY: Final = re.compile(rb"skip/(?P<topic>[^/]+)/(?P<partition>\d+)/(?P<offset>\d+)")


def version_record(topic: str, settings: Settings, key: Secret) -> Outgoing:
    """A configuration version, signed, as it stands on the topic under `tenant/version`."""
    value = settings.to_bytes()
    name = f"{settings.tenant or '*'}/{settings.version}".encode()
    return Outgoing(topic, name, value, ((SETTINGS, b"1"), (SIGNATURE, sign(key, SETTINGS, name, value))))


def skip_record(topic: str, origin: str, partition: int, offset: int, reason: str, key: Secret) -> Outgoing:
    """A verdict that the record at `offset` kills the decoder. It stands here and not in its lane, since a worker must know it before it comes to
    the offset, on every replay."""
    name = f"skip/{origin}/{partition}/{offset}".encode()
    value = reason.encode()
    return Outgoing(topic, name, value, ((SKIP, b"1"), (SIGNATURE, sign(key, SKIP, name, value))))


class SettingsLog:
    """Reads the topic whole at the start, and follows it."""

    def __init__(self, client: Mapping[str, Any], topic: str, key: Secret, packaged: Mapping[str, str]) -> None:
        self._client, self._topic, self._key = client, topic, key
        self._bodies = dict(packaged)
        self._skips: dict[tuple[str, int], set[int]] = {}
        self._arrived = asyncio.Event()
        self._consumer: AIOKafkaConsumer | None = None
        self._partitions: list[TopicPartition] = []
        self._following: asyncio.Task[None] | None = None

    def body(self, version: str) -> str:
        """The JSON of a version that is known. Raises KeyError when it is not."""
        return self._bodies[version]

    def skipped(self, topic: str, partition: int) -> set[int]:
        """Offsets of a partition that are never decoded."""
        return self._skips.get((topic, partition), set())

    async def wait_for(self, version: str) -> None:
        """Returns when the version is known; says once that it waits."""
        if version not in self._bodies:
            _log.warning("settings.waiting", version=version)
        while version not in self._bodies:
            self._arrived.clear()
            await self._arrived.wait()

    async def start(self) -> None:
        """Connects, reads what is there, and follows from then on."""
        consumer = AIOKafkaConsumer(
            **self._client, enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed"
        )
        self._consumer = consumer
        await consumer.start()
        await consumer._client._wait_on_metadata(self._topic)
        self._partitions = [
            TopicPartition(self._topic, partition) for partition in sorted(consumer.partitions_for_topic(self._topic))
        ]
        consumer.assign(self._partitions)
        await consumer.seek_to_beginning(*self._partitions)
        self._following = asyncio.create_task(ends_process(self._follow)(consumer), name="sentinel-settings")
        await self.catch_up()

    async def catch_up(self) -> None:
        """Returns when everything is known that the topic holds now. A lane that comes from another worker may have taken a version that this worker,
        which follows, has not read yet."""
        consumer = self._consumer
        if consumer is None:
            raise RuntimeError("the settings log is not started")
        ends = await consumer.end_offsets(self._partitions)
        while any([await consumer.position(tp) < ends[tp] for tp in self._partitions]):
            self._arrived.clear()
            await self._arrived.wait()

    async def stop(self) -> None:
        """Disconnects."""
        consumer, self._consumer = self._consumer, None
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])
            self._following = None
        if consumer is not None:
            await consumer.stop()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            for blocks in (await consumer.getmany(timeout_ms=1000)).values():
                for block in blocks:
                    for record in block.records():
                        self._take(record.key or b"", record.value, record.headers)
            # Also for a block without records: the position has moved.
            self._arrived.set()

    def _take(self, key: bytes, value: bytes | None, headers: Headers) -> None:
        if value is None:
            return
        skip = _SKIP_KEY.fullmatch(key)
        if not is_signed(self._key, headers, SKIP if skip else SETTINGS, key, value):
            _log.error("settings.unsigned", key=key.decode(errors="replace")[:200])
        elif skip:
            place = (skip["topic"].decode(), int(skip["partition"]))
            self._skips.setdefault(place, set()).add(int(skip["offset"]))
        else:
            self._learn(value)

    def _learn(self, value: bytes) -> None:
        try:
            settings = Settings.from_bytes(value)
        except BadRecord as fault:
            _log.error("settings.bad", reason=str(fault))
            return
        # Immutable: the first that was read under an id stands.
        self._bodies.setdefault(settings.version, settings.body)
