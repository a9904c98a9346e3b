"""A lane's own row: how far it is in time, and which settings are in effect."""

import struct
from dataclasses import dataclass
from typing import Final, Self

from streams.control.records import Publication
from streams.state.chunks import seal, unseal
from streams.state.watermark import Clock, Stamps

VERSION: Final = 6
_NUMBERS: Final = struct.Struct("<qqqqqq")
_STAMPS: Final = struct.Struct("<q")
"""Since version 3, behind the numbers."""
_PUBLICATION: Final = struct.Struct("<q")
"""Since version 4, behind the stamps: the number of the publication in effect."""
_SIZE: Final = struct.Struct("<I")
"""Since version 5, behind the settings' name: bytes of the listeners, which follow."""


@dataclass(frozen=True, slots=True)
class LaneRow:
    """The state of a lane beside its tables."""

    bucket_us: int
    lateness_us: int
    clock: Clock
    closed_to: int
    last_event_bucket: int
    stamps: Stamps
    applied: Publication
    listeners: bytes
    """Partitions of `anomalies` that get its watermark; empty before version 5."""
    watch: bytes
    """State of its watch over records that do not count."""
    version: int = VERSION
    """The version that it was written in. Since 6, faults in `watch` have more parts, without
    which older rows are read.
    """

    def to_bytes(self) -> bytes:
        """The row, in the newest version."""
        clock, settings = self.clock, self.applied.version.encode()
        times = (
            self.bucket_us,
            self.lateness_us,
            clock.time,
            clock.append,
            self.closed_to,
            self.last_event_bucket,
        )
        numbers = (
            _NUMBERS.pack(*times)
            + _STAMPS.pack(self.stamps.reached)
            + _PUBLICATION.pack(self.applied.number)
        )
        listeners = _SIZE.pack(len(self.listeners)) + self.listeners
        return seal(VERSION, numbers + bytes([len(settings)]) + settings + listeners + self.watch)

    @classmethod
    def from_bytes(cls, value: bytes) -> Self:
        """Read what `to_bytes` returned, here or in an earlier release. Raises NewerState."""
        version, body = unseal(value, VERSION, "meta")
        bucket, lateness, time, append, closed_to, last_event = _NUMBERS.unpack_from(body)
        body, stamps, number = body[_NUMBERS.size :], Stamps(), 0
        if version > 2:
            stamps, body = Stamps(*_STAMPS.unpack_from(body)), body[_STAMPS.size :]
        if version > 3:
            (number,), body = _PUBLICATION.unpack_from(body), body[_PUBLICATION.size :]
        length, body = body[0], body[1:]
        applied = Publication(number, str(body[:length], "utf-8"))
        clock, body, listeners = Clock(time, append), body[length:], b""
        if version > 4:
            (size,) = _SIZE.unpack_from(body)
            listeners, body = bytes(body[_SIZE.size : _SIZE.size + size]), body[_SIZE.size + size :]
        return cls(
            bucket,
            lateness,
            clock,
            closed_to,
            last_event,
            stamps,
            applied,
            listeners,
            bytes(body),
            version,
        )
