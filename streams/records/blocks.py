"""Records as Kafka batched them: one object per fetch and partition, instead of one per record."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final

import numpy as np
import numpy.typing as npt

from streams.records.contents import Content, Part
from streams.records.cutting import Record

Int64s = npt.NDArray[np.int64]

_LOG_APPEND_TIME: Final = 1

STEP_RECORDS: Final = 24_000
"""Records of a step at most: fewer cost more calls, more no longer fit the processor's caches."""

STEP_BYTES: Final = 16_777_216
"""Decompressed bytes of a step at most, or one record more: bounds the memory of a worker, and the
time of a step.
"""


class Block:
    """Neighbouring records of one partition. `start` is the offset that their fetch asked for,
    `next_offset` the one to ask for next: logs have gaps, so neither need be a record's. `held` is
    the number of records as the batch headers give it; a compacted log may have fewer. Records are
    decompressed when they are first needed, a step's at a time, so a block that waits costs only
    the memory of its compressed bytes.

    The other attributes are those that Faust reads of a consumed record.
    """

    __slots__ = (
        "_content",
        "_read",
        "_several",
        "checksum",
        "headers",
        "held",
        "key",
        "next_offset",
        "offset",
        "partition",
        "serialized_key_size",
        "serialized_value_size",
        "start",
        "timestamp",
        "timestamp_type",
        "topic",
    )

    def __init__(
        self, place: tuple[str, int], start: int, next_offset: int, content: Content | None
    ) -> None:
        self.topic, self.partition = place
        self.start, self.next_offset = start, next_offset
        self._content = content
        self._read: Callable[[], Content] | None = None
        self._several: list[Block] = []
        self.held = 0 if content is None else len(content.values)
        self.offset = next_offset - 1
        self.timestamp, self.timestamp_type = 0, _LOG_APPEND_TIME
        self.headers: tuple[()] = ()
        self.key = self.checksum = None
        self.serialized_key_size = self.serialized_value_size = 0

    @classmethod
    def unread(
        cls,
        place: tuple[str, int],
        start: int,
        next_offset: int,
        held: int,
        read: Callable[[], Content],
    ) -> "Block":
        """A block whose records are read by `read`, once, when they are looked at."""
        block = cls(place, start, next_offset, None)
        block._read, block.held = read, held
        return block

    @classmethod
    def empty(cls, place: tuple[str, int], start: int, next_offset: int) -> "Block":
        """A block without records, which moves the position."""
        return cls(place, start, next_offset, Content([], {}, {}, []))

    @property
    def values(self) -> Sequence[bytes | None]:
        """The value of each record. Where all are plain they are packed, and each is made when it
        is iterated over.
        """
        return self._contents().values

    @property
    def headed(self) -> dict[int, Record]:
        """The records whose headers matter here, by index: ticks, control records, and those that
        name their schema in a header.
        """
        return self._contents().headed

    @property
    def broken(self) -> dict[int, Record]:
        """The records that cannot be read, by index, each with what is wrong (`fault`); among
        `values` they are None.
        """
        return self._contents().broken

    @property
    def _parts(self) -> list[Part]:
        return self._contents().parts

    def _contents(self) -> Content:
        self._content = content = self._peek()
        self._read = None
        return content

    def _peek(self) -> Content:
        """The content, without keeping it here if it has not been read before."""
        if self._content is not None:
            return self._content
        assert self._read is not None
        return self._read()

    @property
    def value(self) -> "Block":
        """The block, where Faust looks for a record's value. Not an attribute: a cycle would keep
        megabytes until the collector comes.
        """
        return self

    def __len__(self) -> int:
        return len(self.values)

    def offsets(self) -> Int64s:
        """The records' offsets, ascending; shape (n,)."""
        return self._contents().offsets()

    def places(self, offsets: Int64s) -> Int64s:
        """The indices of the records at these offsets, ascending."""
        return self._contents().places(offsets)

    def append_times(self) -> Int64s:
        """Append time of each record, µs; where the broker does not stamp it, the producer's time.
        Shape (n,).
        """
        return self._contents().append_times()

    def records_at(self, indices: Sequence[int]) -> Iterator[Record]:
        """Some records whole, with key and headers, by ascending index. Each batch is read at most
        once, however many are wanted of it.
        """
        at = place = 0
        for part in self._parts:
            end = at + part.count
            if place < len(indices) and indices[place] < end:
                for index, record in enumerate(part.records(), at):
                    while place < len(indices) and indices[place] == index:
                        yield record
                        place += 1
                    if place == len(indices) or indices[place] >= end:
                        break
            at = end
        if place < len(indices):
            raise IndexError(indices[place])

    def records(self) -> Iterator[Record]:
        """All records whole: for topics of little traffic, and for state."""
        return chain.from_iterable(part.records() for part in self._parts if part.count)

    def from_offset(self, offset: int) -> "Block":
        """The part from `offset` on."""
        if offset <= self.start:
            return self
        place = (self.topic, self.partition)
        return Block.unread(
            place, offset, self.next_offset, self.held, lambda: self._peek().from_offset(offset)
        )

    def in_steps(self) -> "Iterator[Block]":
        """The block in pieces that each are worth a step, in order, without gaps: of as many
        records as `STEP_RECORDS` and as many bytes as `STEP_BYTES`, about. What is not in the next
        piece is not read yet, as far as Kafka's batches allow.
        """
        waiting: list[Content] = []
        size, start, end = 0, self.start, self.start
        for block in self._several or [self]:
            content = block._peek()
            if waiting and size + content.size > STEP_BYTES:
                yield from self._piece(start, end, Content.joined(waiting))._cut_up()
                waiting, size, start = [], 0, end
            waiting.append(content)
            size += content.size
            end = block.next_offset
        yield from self._piece(start, self.next_offset, Content.joined(waiting))._cut_up()

    def _piece(self, start: int, next_offset: int, content: Content) -> "Block":
        return Block((self.topic, self.partition), start, next_offset, content)

    def _cut_up(self) -> "Iterator[Block]":
        """A large batch alone is cut. Its records share its bytes evenly, about."""
        content = self._contents()
        count = len(content.values)
        pieces = max(-(-count // STEP_RECORDS), -(-content.size // STEP_BYTES))
        if pieces <= 1 or count <= 1:
            yield self
            return
        each, start, offsets = -(-count // pieces), self.start, content.offsets()
        for first in range(0, count, each):
            last = min(first + each, count)
            next_offset = self.next_offset if last == count else int(offsets[last - 1]) + 1
            yield self._piece(start, next_offset, content.cut(first, last))
            start = next_offset

    @staticmethod
    def joined(blocks: "list[Block]") -> "Block":
        """One block of neighbouring ones, in order."""
        if len(blocks) == 1:
            return blocks[0]
        several = [one for block in blocks for one in (block._several or [block])]
        first, last = several[0], several[-1]
        joined = Block.unread(
            (first.topic, first.partition),
            first.start,
            last.next_offset,
            sum(block.held for block in several),
            lambda: Content.joined(block._peek() for block in several),
        )
        joined._several = several
        return joined
