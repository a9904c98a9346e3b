"""Open incidents as repeats, silences that end, and acknowledgements need them."""

import struct
from dataclasses import asdict, dataclass
from typing import Final, Self

import orjson

from schemas.records.incidents import Incident
from streams.state.chunks import seal, unseal

_VERSION: Final = 2
"""1 had the author of the acknowledgement alone: a row of it has no time and no comment."""
_SIZE: Final = struct.Struct("<H")


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A person's acknowledgement of an incident."""

    author: str
    at: int
    """When the person gave it, wall clock, µs; 0 when that is not known."""
    comment: str = ""


@dataclass(slots=True)
class TrackedIncident:
    """The newest record of an open incident, and its acknowledgement."""

    incident: Incident
    acknowledgement: Acknowledgement | None = None

    @property
    def acknowledged_by(self) -> str:
        """Author of the acknowledgement; empty while there is none."""
        return "" if self.acknowledgement is None else self.acknowledgement.author

    def row(self) -> bytes:
        """As a row of a lane's state."""
        about = b"" if self.acknowledgement is None else orjson.dumps(asdict(self.acknowledgement))
        return seal(_VERSION, _SIZE.pack(len(about)) + about + self.incident.to_bytes())

    @classmethod
    def from_row(cls, value: bytes) -> Self:
        """What `row` gave. Raises NewerState, and BadRecord where the bytes are not a row's."""
        version, body = unseal(value, _VERSION, "open incidents")
        (size,) = _SIZE.unpack_from(body)
        about = bytes(body[_SIZE.size : _SIZE.size + size])
        incident = Incident.from_bytes(bytes(body[_SIZE.size + size :]))
        # Neither version writes anything for an incident without an acknowledgement.
        if not about:
            return cls(incident)
        return cls(
            incident,
            (
                Acknowledgement(**orjson.loads(about))
                if version > 1
                else Acknowledgement(about.decode(), 0)
            ),
        )


def reach(incident: Incident) -> int:
    """How many models, users and metrics it names; it only grows."""
    return len(incident.models) + len(incident.users) + len(incident.metrics)
