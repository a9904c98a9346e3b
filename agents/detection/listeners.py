"""Which partitions of `anomalies` a lane tells its watermark: those where something waits for it,
so that traffic grows with what there is to say.
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

    A partition listens from the first record that the lane writes to it (its tenant says to which)
    until the watermark is `listening_s` past the last one; as long as a signal of one of its
    tenants is open, it listens on. So none costs anything that nothing was ever written to, and
    correlate hears of each incident's lane until the incident can be over.
    """

    def __init__(self, partitions: int, bucket_s: int) -> None:
        self._listening_us: Final = listening_s(bucket_s) * 1_000_000
        self._partitions: Final = partitions
        self._until: dict[int, int] = {}
        self._settled_at = self._watermark = _LONG_AGO

    def add(self, tenant: str, event_time: int) -> int | None:
        """A record of this tenant and time is about to be written: the partition, if it did not
        listen before.
        """
        partition = self._partition_of(tenant)
        known = self._until.get(partition)
        self._until[partition] = max(
            event_time + self._listening_us, _LONG_AGO if known is None else known
        )
        return partition if known is None else None

    def ends(self, event_time: int) -> None:
        """A signal ended at that time: even a lane without events must come to where its incident
        is over.
        """
        self._settled_at = max(self._settled_at, event_time + self._listening_us)

    @property
    def is_settled(self) -> bool:
        """Whether the watermark is past all that ends could wait for."""
        return self._watermark >= self._settled_at

    @property
    def watermark(self) -> int | None:
        """The last one; None before the first."""
        return None if self._watermark == _LONG_AGO else self._watermark

    def told(self, watermark: int, tenants: Callable[[], Iterable[str]]) -> list[int]:
        """The partitions to tell this watermark, ascending. Those that listened for long enough
        hear it for the last time; `tenants`, those with an open signal, is asked for only then.
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
        """For a lane of an earlier release, which told every partition: all listen on."""
        self._watermark = watermark
        self._until = dict.fromkeys(range(self._partitions), watermark + self._listening_us)

    def to_bytes(self) -> bytes:
        """All of it, for the lane's own row."""
        entries = [_ENTRY.pack(*entry) for entry in sorted(self._until.items())]
        return _HEAD.pack(self._watermark, self._settled_at) + b"".join(entries)

    def restore(self, stored: bytes) -> None:
        """Takes what `to_bytes` gave."""
        self._watermark, self._settled_at = _HEAD.unpack_from(stored)
        self._until = dict(_ENTRY.iter_unpack(stored[_HEAD.size :]))

    def _partition_of(self, tenant: str) -> int:
        return int(murmur2_partitions([tenant.encode()], self._partitions)[0])
