"""The `settings` topic as a worker has read it: immutable configuration versions, and offsets that
are never decoded.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import structlog

from schemas.errors import BadRecord
from schemas.records.control import Settings
from schemas.secrets import Secret
from streams.control.followed import FollowedTopic
from streams.control.records import SETTINGS, SIGNATURE, SKIP, Headers, is_signed, sign
from streams.lane.outgoing import Outgoing

_log = structlog.get_logger("sentinel.settings")

_SKIP_KEY: Final = re.compile(
    rb"skip(?P<batch>-batch)?/(?P<topic>[^/]+)/(?P<partition>\d+)/(?P<offset>\d+)"
)


def version_record(topic: str, settings: Settings, key: Secret) -> Outgoing:
    """The signed record of a configuration version, keyed by `tenant/version`. It makes the version
    known without putting it into effect, so a copy of it changes nothing.
    """
    value = settings.to_bytes()
    name = f"{settings.tenant or '*'}/{settings.version}".encode()
    return Outgoing(
        topic, name, value, ((SETTINGS, b"1"), (SIGNATURE, sign(key, SETTINGS, name, value)))
    )


def skip_record(
    topic: str, origin: str, partition: int, offset: int, reason: str, key: Secret
) -> Outgoing:
    """A verdict that the record at `offset` kills the decoder. It is on this topic and not in the
    lane, since on every replay a worker must know it before it reaches the offset. A copy of it
    changes nothing: the key, which is signed, names topic, partition and offset.
    """
    name = f"skip/{origin}/{partition}/{offset}".encode()
    value = reason.encode()
    return Outgoing(topic, name, value, ((SKIP, b"1"), (SIGNATURE, sign(key, SKIP, name, value))))


def skip_batch_record(
    topic: str, origin: str, partition: int, offset: int, reason: str, key: Secret
) -> Outgoing:
    """A verdict that workers die while they decompress the batch whose first offset is `offset`.
    Bound to the offset as in `skip_record`.
    """
    name = f"skip-batch/{origin}/{partition}/{offset}".encode()
    value = reason.encode()
    return Outgoing(topic, name, value, ((SKIP, b"1"), (SIGNATURE, sign(key, SKIP, name, value))))


def signed_settings(
    key: Secret, name: bytes, value: bytes | None, headers: Headers
) -> Settings | None:
    """The configuration version that a record under this name holds; None when it is not signed, or
    no version that this program can read.
    """
    if (
        value is None
        or _SKIP_KEY.fullmatch(name)
        or not is_signed(key, headers, SETTINGS, name, value)
    ):
        return None
    try:
        return Settings.from_bytes(value)
    except BadRecord:
        return None


class SettingsLog(FollowedTopic):
    """Reads all of the topic at the start, and follows it."""

    def __init__(
        self, client: Mapping[str, Any], topic: str, key: Secret, packaged: Mapping[str, str]
    ) -> None:
        super().__init__(client, topic)
        self._key = key
        self._bodies = dict(packaged)
        self._skips: dict[tuple[str, int], set[int]] = {}
        self._deadly: dict[tuple[str, int], set[int]] = {}

    def body(self, version: str) -> str:
        """The JSON of a version that is known. Raises KeyError when it is not."""
        return self._bodies[version]

    def skipped(self, topic: str, partition: int) -> set[int]:
        """Offsets of a partition that are never decoded."""
        return self._skips.get((topic, partition), set())

    def is_deadly(self, topic: str, partition: int, offset: int) -> bool:
        """Whether the batch of a partition that begins at this offset is never decompressed."""
        return offset in self._deadly.get((topic, partition), ())

    async def wait_for(self, version: str) -> None:
        """Returns when the version is known; says once that it waits."""
        if version not in self._bodies:
            _log.warning("settings.waiting", version=version)
        while version not in self._bodies:
            self._arrived.clear()
            await self._arrived.wait()

    def _on_record(self, partition: int, record: Any) -> None:
        if record.fault is not None:
            _log.error(
                "settings.broken",
                partition=partition,
                offset=record.offset,
                reason=str(record.fault),
            )
            return
        self._read(record.key or b"", record.value, record.headers)

    def _read(self, key: bytes, value: bytes | None, headers: Headers) -> None:
        if value is None:
            return
        skip = _SKIP_KEY.fullmatch(key)
        if not is_signed(self._key, headers, SKIP if skip else SETTINGS, key, value):
            _log.error("settings.unsigned", key=key.decode(errors="replace")[:200])
        elif skip:
            partition = (skip["topic"].decode(), int(skip["partition"]))
            skips = self._deadly if skip["batch"] else self._skips
            skips.setdefault(partition, set()).add(int(skip["offset"]))
        else:
            self._learn(value)

    def _learn(self, value: bytes) -> None:
        try:
            settings = Settings.from_bytes(value)
        except BadRecord as fault:
            _log.error("settings.bad", reason=str(fault))
            return
        # Versions are immutable: a second record with the same id changes nothing.
        self._bodies.setdefault(settings.version, settings.body)
