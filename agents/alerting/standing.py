"""How an open incident stands: what repeats, silences that end, and acknowledgements need of it."""

import struct
from dataclasses import dataclass
from typing import Final, Self

from schemas.records import Incident
from streams.pages import seal, unseal

_VERSION: Final = 1
_SIZE: Final = struct.Struct("<H")
KEY: Final = b"open/"


@dataclass(slots=True)
class Standing:
    """The newest record of an open incident, and who cares for it."""

    incident: Incident
    acknowledged_by: str = ""
    """Author of the acknowledgement; empty while there is none."""

    def row(self) -> bytes:
        """As a row of a lane's state."""
        author = self.acknowledged_by.encode()
        return seal(_VERSION, _SIZE.pack(len(author)) + author + self.incident.to_bytes())

    @classmethod
    def from_row(cls, value: bytes) -> Self:
        """What `row` gave. Raises NewerState, and BadRecord where the bytes are not a row's."""
        _, body = unseal(value, _VERSION, "open incidents")
        (size,) = _SIZE.unpack_from(body)
        author = bytes(body[_SIZE.size : _SIZE.size + size]).decode()
        return cls(Incident.from_bytes(bytes(body[_SIZE.size + size :])), author)


def reach(incident: Incident) -> int:
    """How many models, users and metrics it names. It only grows: what is listed once stays listed."""
    return len(incident.models) + len(incident.users) + len(incident.metrics)
