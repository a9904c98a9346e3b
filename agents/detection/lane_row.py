"""A lane's own row: how far it is in time, and which settings are in effect."""

import struct
from dataclasses import dataclass
from typing import Final, Self

from streams.control import Publication
from streams.pages import seal, unseal
from streams.watermark import Clock, Stamps

VERSION: Final = 4
_NUMBERS: Final = struct.Struct("<qqqqqq")
_STAMPS: Final = struct.Struct("<q")
"""Since version 3, behind the numbers."""
_PUBLICATION: Final = struct.Struct("<q")
"""Since version 4, behind the stamps: the number under which the settings in effect were published."""


@dataclass(frozen=True, slots=True)
class LaneRow:
    """What is written of a lane beside its tables."""

    bucket_us: int
    lateness_us: int
    clock: Clock
    closed_to: int
    last_event_bucket: int
    stamps: Stamps
    applied: Publication
    rest: bytes
    """What its log of anomalies keeps of listeners, since version 4, and behind it what its watch over records that do not count keeps."""
    version: int = VERSION
    """That it was written in."""

    def to_bytes(self) -> bytes:
        """The row, in the newest version."""
        clock, settings = self.clock, self.applied.version.encode()
        times = (self.bucket_us, self.lateness_us, clock.time, clock.append, self.closed_to, self.last_event_bucket)
        numbers = _NUMBERS.pack(*times) + _STAMPS.pack(self.stamps.reached) + _PUBLICATION.pack(self.applied.number)
        return seal(VERSION, numbers + bytes([len(settings)]) + settings + self.rest)

    @classmethod
    def from_bytes(cls, value: bytes) -> Self:
        """What `to_bytes` gave, here or in an older program. Raises NewerState."""
        version, body = unseal(value, VERSION, "meta")
        bucket, lateness, time, append, closed_to, last_event = _NUMBERS.unpack_from(body)
        body, stamps, number = body[_NUMBERS.size :], Stamps(), 0
        if version > 2:
            stamps, body = Stamps(*_STAMPS.unpack_from(body)), body[_STAMPS.size :]
        if version > 3:
            (number,), body = _PUBLICATION.unpack_from(body), body[_PUBLICATION.size :]
        length, body = body[0], body[1:]
        applied = Publication(number, str(body[:length], "utf-8"))
        clock, rest = Clock(time, append), bytes(body[length:])
        return cls(bucket, lateness, clock, closed_to, last_event, stamps, applied, rest, version)
