"""The faulty records of a block: refused, ahead of the clock, or late; as columns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from schemas.telemetry.events import Name

Int64s = npt.NDArray[np.int64]

OTHER: Final = ""
"""Application of records that do not say theirs, and of a tenant's level for all applications that
have none of their own.
"""

NO_TIME: Final = -(2**62)
"""Event time of a record that cannot be read."""


@dataclass(frozen=True, slots=True)
class Faulty:
    """Faulty records of one block, in offset order; arrays have shape (n,)."""

    offsets: Int64s
    names: Sequence[Name]
    """Tenant and application, the latter `OTHER` where it cannot be read; each pair once."""
    name_of: Int64s
    """Of each record, the index of its name."""
    kinds: Sequence[str]
    """What can be wrong; each once."""
    kind_of: Int64s
    """Of each record, the index of what is wrong with it."""
    append_times: Int64s
    """µs."""
    event_times: Int64s
    """µs; `NO_TIME` where the record does not say."""

    def between(self, start: int, end: int) -> Self:
        """Those at offsets from `start` to before `end`."""
        at = slice(*np.searchsorted(self.offsets, (start, end)).tolist())
        if at == slice(0, len(self.offsets)):
            return self
        return replace(
            self,
            offsets=self.offsets[at],
            name_of=self.name_of[at],
            kind_of=self.kind_of[at],
            append_times=self.append_times[at],
            event_times=self.event_times[at],
        )


class FaultyRecords:
    """Gathers faulty records one by one, in offset order."""

    def __init__(self) -> None:
        self._names: dict[Name, int] = {}
        self._kinds: dict[str, int] = {}
        self._rows: list[tuple[int, int, int, int, int]] = []

    def add(self, offset: int, name: Name, kind: str, append_time: int, event_time: int) -> None:
        """Add one record; see `Faulty`."""
        code = self._names.setdefault(name, len(self._names))
        what = self._kinds.setdefault(kind, len(self._kinds))
        # A decoded event time may be anything; a difference of two must stay within 63 bits.
        self._rows.append(
            (offset, code, what, append_time, min(max(event_time, NO_TIME), -NO_TIME))
        )

    def all(self) -> Faulty:
        """Those that were added."""
        offsets, codes, kinds, append_times, event_times = (
            np.array(self._rows, np.int64).reshape(-1, 5).T
        )
        return Faulty(
            offsets, list(self._names), codes, list(self._kinds), kinds, append_times, event_times
        )


NO_FAULTY: Final = FaultyRecords().all()
