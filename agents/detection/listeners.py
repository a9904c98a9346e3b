"""Which partitions of `anomalies` get a lane's watermark: those with an incident that waits for it,
so that traffic grows with the number of incidents and not with that of partitions.
"""

import struct
from collections.abc import Callable, Iterable
from typing import Final

from streams.records.partitioners import murmur2_partitions
from streams.settings import listening_s

_LONG_AGO: Final = -(1 << 62)
_HEAD: Final = struct.Struct("<qq")
_ENTRY: Final = struct.Struct("<Iq")


class Listeners:
    """The partitions of one lane that listen; all times are event time, µs.

    A partition listens from the first record that the lane writes to it (the tenant decides which
    one) until the watermark is `listening_s` past the last one; while a signal of one of its
    tenants is open, it goes on. So a partition that nothing was written to costs nothing, and
    correlate gets the watermark of each incident's lane until the incident can be over.
    """

    def __init__(self, partitions: int, bucket_s: int) -> None:
        self._listening_us: Final = listening_s(bucket_s) * 1_000_000
        self._partitions: Final = partitions
        self._until: dict[int, int] = {}
        self._settled_at = self._watermark = _LONG_AGO

    def add(self, tenant: str, event_time: int) -> int | None:
        """Note that a record of this tenant and time is about to be written; returns its partition
        if it did not listen before.
        """
        partition = self._partition_of(tenant)
        known = self._until.get(partition)
        self._until[partition] = max(
            event_time + self._listening_us, _LONG_AGO if known is None else known
        )
        return partition if known is None else None

    def ends(self, event_time: int) -> None:
        """Note that a signal ended at that time: the watermark must reach the end of its incident,
        even in a lane without events.
        """
        self._settled_at = max(self._settled_at, event_time + self._listening_us)

    @property
    def is_settled(self) -> bool:
        """Whether the watermark has reached the end of every incident whose signals ended."""
        return self._watermark >= self._settled_at

    @property
    def watermark(self) -> int | None:
        """The last watermark; None before the first."""
        return None if self._watermark == _LONG_AGO else self._watermark

    def notified(self, watermark: int, tenants: Callable[[], Iterable[str]]) -> list[int]:
        """Partitions to write this watermark to, ascending. For those that listened for long enough
        it is the last one. `tenants` returns those with an open signal; it is called only if there
        are such partitions, since it looks at every signal.
        """
        self._watermark = watermark
        partitions = sorted(self._until)
        past = {partition for partition in partitions if watermark >= self._until[partition]}
        if past:
            for tenant in tenants():
                partition = self._partition_of(tenant)
                if partition in past:
                    past.remove(partition)
                    self._until[partition] = watermark + self._listening_us
                if not past:
                    break
            for partition in past:
                del self._until[partition]
        return partitions

    def begin(self, watermark: int) -> None:
        """Let every partition listen: a lane of an earlier release wrote its watermark to all."""
        self._watermark = watermark
        self._until = dict.fromkeys(range(self._partitions), watermark + self._listening_us)

    def to_bytes(self) -> bytes:
        """The state, for the lane's own row."""
        entries = [_ENTRY.pack(*entry) for entry in sorted(self._until.items())]
        return _HEAD.pack(self._watermark, self._settled_at) + b"".join(entries)

    def restore(self, stored: bytes) -> None:
        """Restore what `to_bytes` returned."""
        self._watermark, self._settled_at = _HEAD.unpack_from(stored)
        self._until = dict(_ENTRY.iter_unpack(stored[_HEAD.size :]))

    def _partition_of(self, tenant: str) -> int:
        return int(murmur2_partitions([tenant.encode()], self._partitions)[0])
