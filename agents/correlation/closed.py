"""Signals of incidents that a person closed: they open no other incident before they have ended
once.
"""

import struct
from dataclasses import dataclass
from typing import Final, Self

from agents.correlation.signals import Signals
from streams.state.chunks import seal, unseal

_VERSION: Final = 2
_HEAD: Final = struct.Struct("<q")
KEY: Final = b"closed/"


@dataclass(slots=True)
class ClosedSignals:
    """What was still wrong with one application when its incident was closed."""

    signals: Signals
    last_append: int
    """Append time of the last record that concerned one of them, µs."""

    def row(self) -> bytes:
        """As a row of a lane's state."""
        return seal(_VERSION, _HEAD.pack(self.last_append) + self.signals.row())

    @classmethod
    def from_row(cls, value: bytes, max_signals: int) -> Self:
        """Read what `row` returned. Raises NewerState."""
        version, body = unseal(value, _VERSION, "closed signals")
        # Nothing reads the lane of a closed one: any will do.
        signals, _ = Signals.from_row(body[_HEAD.size :], max_signals, 0 if version == 1 else None)
        return cls(signals, *_HEAD.unpack_from(body))
