"""Which events are stored when not all are: a share of them by their place in the log, and those
that an anomaly cites.
"""

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from agents.sinking.batches import without_texts
from schemas.documents import Document, Kind, document
from schemas.errors import BadRecord

_FIRST_LOOK: Final = 1_000
"""Records that are looked at first: most cited events are the record that completed the anomaly."""
_GROWS: Final = 10
_LONGEST: Final = 10_000
"""Records between the first and the last anomaly that are looked back from together."""


def sampled(partition: int, offsets: npt.NDArray[np.int64], share: float) -> npt.NDArray[np.bool_]:
    """Which records of a partition belong to the sample; shape (n,). The same for the same place,
    whenever it is asked.

    The offset's bits are mixed by splitmix64's finaliser (Steele, Lea, Flood 2014), so that no
    pattern of the producers' meets one of ours.
    """
    if share >= 1:
        return np.ones(len(offsets), np.bool_)
    mixed = offsets.astype(np.uint64) + np.uint64(
        (partition + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    )
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    drawn: npt.NDArray[np.bool_] = (mixed >> np.uint64(11)) < np.uint64(int(share * 2**53))
    return drawn


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """A record of telemetry, read again."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes


@dataclass(frozen=True, slots=True)
class Reread:
    """A request for telemetry records from offset `start` to before `end` of a partition."""

    partition: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Cited:
    """An event that an anomaly cites, and the record that it was."""

    document: Document
    record: LoggedEvent


def cited(
    documents: Sequence[Document], within: int
) -> Generator[Reread, Sequence[LoggedEvent], list[Cited]]:
    """The events that the anomalies among the documents cite, as far as they are among the `within`
    records before each (or, of those that near records completed, before the first of them). Each
    once.

    Yields what is to be read again, and is sent what the log still has of it, but for records
    without a value.
    """
    found: list[Cited] = []
    for stretch in _wanted(documents):
        wanted, begin, look = stretch.wanted, stretch.last, min(_FIRST_LOOK, within)
        while wanted and begin > max(stretch.first - within, 0):
            start = max(stretch.first - look, 0)
            for record in (yield Reread(stretch.partition, start, begin)):
                one = _matching(record, wanted) if wanted else None
                if one is not None:
                    wanted.discard((one.tenant, one.id))
                    found.append(Cited(one, record))
            begin, look = start, min(look * _GROWS, within)
    return found


@dataclass(slots=True)
class _Stretch:
    """Anomalies that near records of a partition completed, looked back from together: a log is
    opened once for many.
    """

    partition: int
    first: int
    """Offset after the record that completed the first of them."""
    last: int
    wanted: set[tuple[str, str]]
    """Tenant and id of each event that they cite."""


def _wanted(documents: Sequence[Document]) -> list[_Stretch]:
    places: dict[tuple[int, int], set[tuple[str, str]]] = {}
    for each in documents:
        if each.kind is Kind.ANOMALY:
            lane, offset, ids = (each.body[name] for name in ("lane", "offset", "sample_event_ids"))
            assert isinstance(lane, int)
            assert isinstance(offset, int)
            assert isinstance(ids, list)
            if ids and lane >= 0 and offset >= 0:
                places.setdefault((lane, offset + 1), set()).update((each.tenant, id) for id in ids)
    made: list[_Stretch] = []
    for (lane, end), wanted in sorted(places.items()):
        near = made[-1] if made else None
        if (
            near is not None
            and near.partition == lane
            and end - near.last <= _FIRST_LOOK
            and end - near.first <= _LONGEST
        ):
            near.last = end
            near.wanted |= wanted
        else:
            made.append(_Stretch(lane, end, end, wanted))
    return made


def _matching(record: LoggedEvent, wanted: set[tuple[str, str]]) -> Document | None:
    # Most records are passed over by their bytes, without being decoded.
    if not re.search(b"|".join(re.escape(id.encode()) for _, id in wanted), record.value):
        return None
    try:
        event = document(Kind.EVENT, record.value)
    except BadRecord:
        return None
    return without_texts(event) if (event.tenant, event.id) in wanted else None
