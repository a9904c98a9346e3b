"""Fetched records as documents, in batches of bounded size, each with the position after it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from schemas.documents import Document, Kind, document
from schemas.errors import BadRecord

BATCH_DOCUMENTS: Final = 4_000
"""Documents and bad records after which a batch is closed; a block is never cut."""

_STRETCH: Final = 100
"""Records that are decoded in one go, a few milliseconds: requests that are ready meanwhile do not
wait longer.
"""

_PRIVATE: Final = ("prompt_text", "response_text")
"""Never stored: nobody has masked them here."""


class Records(Protocol):
    """Neighbouring records of a partition (streams.records.blocks: `Block`)."""

    topic: str
    partition: int
    next_offset: int

    @property
    def values(self) -> Sequence[bytes | None]:
        """Of each record."""
        ...

    @property
    def broken(self) -> Mapping[int, Any]:
        """Those that cannot be read, by index, each with what is wrong (`fault`)."""
        ...

    def offsets(self) -> npt.NDArray[np.int64]:
        """The records' offsets, ascending; shape (n,)."""
        ...

    def records_at(self, indices: Sequence[int]) -> Iterator[Any]:
        """Records whole, with key and offset."""
        ...


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a document or a bad record came from."""

    records: Records
    index: int


@dataclass(slots=True)
class Batch:
    """What is stored together. When all of it is settled, the positions may be committed."""

    documents: list[Document] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    """Of each document."""
    bad: list[tuple[Origin, BadRecord]] = field(default_factory=list)
    """Records that are no documents, and are told to nobody else."""
    positions: dict[tuple[str, int], int] = field(default_factory=dict)
    """Topic and partition, each with the offset to go on from."""
    records: int = 0
    expired: Counter[Kind] = field(default_factory=Counter)
    """Documents that are older than their kind is kept, and are therefore not here."""

    def add(
        self,
        records: Records,
        kind: Kind,
        chosen: Sequence[bool] | None = None,
        latest: Sequence[int] | None = None,
        oldest: int | None = None,
    ) -> Iterator[None]:
        """Adds the records that are `chosen` (None: all), in order; `kind` is what their topic
        holds. `latest`, µs, is for each the time after which it is not stored, `oldest` the one
        before which none is. Yields now and then, so that something else may be done between; to be
        gone through to its end.

        Records without a value are ticks and watermarks: they are passed over. So are bad events
        and those of a clock that is ahead, which `detect` sends to dead-letters.
        """
        return _add(self, records, kind, chosen, latest, oldest)

    @property
    def is_full(self) -> bool:
        """Whether it should grow no further."""
        return len(self.documents) + len(self.bad) >= BATCH_DOCUMENTS


def _add(
    batch: Batch,
    records: Records,
    kind: Kind,
    chosen: Sequence[bool] | None,
    latest: Sequence[int] | None,
    oldest: int | None,
) -> Iterator[None]:
    for index, value in enumerate(records.values):
        if index % _STRETCH == _STRETCH - 1:
            yield
        if value is None or not (chosen is None or chosen[index]):
            continue
        try:
            made = document(kind, value)
        except BadRecord as error:
            if kind is not Kind.EVENT:
                batch.bad.append((Origin(records, index), error))
            continue
        if latest is not None and made.time > latest[index]:
            continue
        if oldest is not None and made.time < oldest:
            batch.expired[kind] += 1
            continue
        batch.documents.append(without_texts(made) if kind is Kind.EVENT else made)
        batch.origins.append(Origin(records, index))
    if kind is not Kind.EVENT:
        batch.bad += [
            (Origin(records, index), record.fault) for index, record in records.broken.items()
        ]
    batch.records += len(records.values)
    batch.positions[records.topic, records.partition] = records.next_offset


def without_texts(made: Document) -> Document:
    """An event as it may be stored: without what people wrote."""
    return replace(
        made, body={name: value for name, value in made.body.items() if name not in _PRIVATE}
    )
