"""The subjects of a lane: names to row numbers, without a Python call per event."""

import bisect
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from schemas.native.library import NATIVE
from schemas.telemetry.events import Events, Name, hashes_of
from streams.state.chunks import page_key, seal, unseal

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]

NAMES_PER_PAGE: Final = 64
OVERFLOW: Final = "(overflow)"
"""Replaces the last parts of a name when a tenant's budget is spent."""

_LENGTH: Final = struct.Struct("<H")
_VERSION: Final = 1
_FREE: Final = -1


class Subjects:
    """Rows of subjects, assigned in the order of their first event; the first part of a name is the
    tenant.

    Names are found by two independent 64-bit hashes (`schemas.telemetry.events`, the seed chosen by
    the caller: random in a worker, since a producer who could guess it could make two names share a
    row). A pair of different names that share both, one in 2^128, would share a row; nothing that
    is written depends on the hashes.

    `budget` limits the rows of one tenant; what exceeds it is counted into one row named (tenant,
    OVERFLOW, ...).
    """

    def __init__(self, table: str, columns: Sequence[str], budget: int, seed: int) -> None:
        self.table = table
        self.columns = tuple(columns)
        self._budget = budget
        self._seed = seed
        self.names: list[Name | None] = []
        self.notes: list[bytes | None] = []
        """By row, what others derived from its name; forgotten with it."""
        self._by_name: dict[Name, int] = {}
        self._free: list[int] = []
        self._of_tenant: dict[str, int] = {}
        self._fresh: list[int] = []
        self._dirty: set[int] = set()
        self._written: set[int] = set()
        self._sorted: Int64s | None = None
        """Rows in the order of their names; None when all are to be sorted."""
        self._unsorted: list[int] = []
        """Rows assigned since `_sorted` was made."""
        self._hashes = np.zeros((2, 1024), np.uint64)
        self._slots = np.full(4096, _FREE, np.int64)

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def capacity(self) -> int:
        """One more than the highest row number ever assigned."""
        return len(self.names)

    def sorted_rows(self) -> Int64s:
        """All live rows in the order of their names."""
        if self._sorted is None:
            self._sorted = np.array([row for _, row in sorted(self._by_name.items())], np.int64)
        elif self._unsorted:
            # A binary search for each new name, instead of sorting all names again.
            names = _Names(self.names, self._sorted)
            rows = sorted(self._unsorted, key=self.name)
            at = [bisect.bisect_left(names, self.name(row)) for row in rows]
            self._sorted = np.insert(self._sorted, at, rows)
        self._unsorted.clear()
        return self._sorted

    def rows_of(self, events: Events) -> Int64s:
        """The row of every event; new names get rows in the order in which they come."""
        first, second = events.hashes(self.columns, self._seed)
        rows = self._found(first, second)
        missing = np.flatnonzero(rows == _FREE)
        if len(missing):
            self._register(events, missing, first, second, rows)
        return rows

    def row_of(self, name: Name) -> int:
        """The row of one name; a new one gets a row."""
        return self._row_for(name)[0]

    def find(self, name: Name) -> int | None:
        """The row of one name; None when it has none."""
        return self._by_name.get(name)

    def take_fresh(self) -> list[int]:
        """Rows assigned since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def name(self, row: int) -> Name:
        """The name of a live row."""
        name = self.names[row]
        if name is None:
            raise KeyError(f"row {row} of {self.table} is free")
        return name

    def forget(self, rows: Int64s) -> None:
        """Frees rows; their numbers are assigned again, the lowest first."""
        for row in rows.tolist():
            name = self.name(row)
            del self._by_name[name]
            self.names[row] = None
            self.notes[row] = None
            self._of_tenant[name[0]] -= 1
            if not self._of_tenant[name[0]]:
                del self._of_tenant[name[0]]
            self._free.append(row)
            self._dirty.add(row // NAMES_PER_PAGE)
        self._free.sort(reverse=True)
        if self._sorted is not None:
            self._sorted = self._sorted[~np.isin(self._sorted, rows)]
        gone = set(rows.tolist())
        self._unsorted = [row for row in self._unsorted if row not in gone]
        # Linear probing cannot free single slots: a search would end at the gap. So the slots are
        # filled again.
        self._hashes[:, rows[rows < self._hashes.shape[1]]] = 0
        self._rebuild(len(self._slots))

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Key and value of every changed page of names; then nothing counts as changed."""
        for page in sorted(self._dirty):
            names = self.names[page * NAMES_PER_PAGE : (page + 1) * NAMES_PER_PAGE]
            while names and names[-1] is None:
                # Free rows after the last name are left out: a process that restores the names
                # cannot know of them, and must assign the same rows as this one.
                names.pop()
            if names:
                yield page_key(self.table, page), seal(_VERSION, b"".join(map(_encoded, names)))
                self._written.add(page)
            elif page in self._written:
                yield page_key(self.table, page), None
                self._written.discard(page)
        self._dirty.clear()

    def restore(self, pages: Mapping[int, bytes]) -> None:
        """Replaces all names by those that were read from the state topic."""
        if not pages:
            return
        self.names = [None] * ((max(pages) + 1) * NAMES_PER_PAGE)
        for page, value in pages.items():
            names = _decoded(unseal(value, _VERSION, self.table)[1], len(self.columns))
            self.names[page * NAMES_PER_PAGE : page * NAMES_PER_PAGE + len(names)] = names
            self._written.add(page)
        while self.names and self.names[-1] is None:
            self.names.pop()
        self.notes = [None] * len(self.names)
        live = [(row, name) for row, name in enumerate(self.names) if name is not None]
        self._by_name = {name: row for row, name in live}
        self._free = sorted(
            (row for row, name in enumerate(self.names) if name is None), reverse=True
        )
        for _, name in live:
            self._of_tenant[name[0]] = self._of_tenant.get(name[0], 0) + 1
        self._sorted = None
        self._unsorted.clear()
        self._rehash([row for row, _ in live], [name for _, name in live])

    def _register(
        self, events: Events, missing: Int64s, first: UInt64s, second: UInt64s, rows: Int64s
    ) -> None:
        where, inverse = _distinct(first[missing], second[missing])
        order = np.argsort(where)
        positions = missing[where[order]]
        given = np.empty(len(order), np.int64)
        fresh: list[int] = []
        for index, name in enumerate(events.names(self.columns, positions)):
            given[index], own = self._row_for(name)
            if own:
                fresh.append(index)
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order))
        rows[missing] = given[ranks[inverse]]
        if fresh:
            at = positions[fresh]
            self._insert(given[fresh], first[at], second[at])

    def _row_for(self, name: Name) -> tuple[int, bool]:
        """The row of a name that no hash was found for, and whether the name has it to itself."""
        known = self._by_name.get(name)
        if known is not None:
            return known, True
        tenant = name[0]
        count = self._of_tenant.get(tenant, 0)
        if count >= self._budget:
            overflow = (tenant, *[OVERFLOW] * (len(self.columns) - 1))
            known = self._by_name.get(overflow)
            return (self._new_row(overflow) if known is None else known), False
        return self._new_row(name), True

    def _new_row(self, name: Name) -> int:
        # Tenants, applications and models are in many names each.
        name = tuple(map(sys.intern, name))
        if self._free:
            row = self._free.pop()
            self.names[row] = name
        else:
            row = len(self.names)
            self.names.append(name)
            self.notes.append(None)
        self._by_name[name] = row
        self._fresh.append(row)
        self._of_tenant[name[0]] = self._of_tenant.get(name[0], 0) + 1
        self._dirty.add(row // NAMES_PER_PAGE)
        self._unsorted.append(row)
        return row

    def _found(self, first: UInt64s, second: UInt64s) -> Int64s:
        """Row by hashes, _FREE where there is none, by open addressing. Without native code all
        events probe at once.
        """
        if NATIVE is not None:
            return NATIVE.find(first, second, self._hashes, self._slots)
        mask = len(self._slots) - 1
        at = (first & np.uint64(mask)).astype(np.int64)
        rows = self._slots[at]
        wrong = np.flatnonzero((rows != _FREE) & ~self._same(rows, first, second))
        while len(wrong):
            at[wrong] = (at[wrong] + 1) & mask
            rows[wrong] = self._slots[at[wrong]]
            found = rows[wrong]
            wrong = wrong[(found != _FREE) & ~self._same(found, first[wrong], second[wrong])]
        return rows

    def _same(self, rows: Int64s, first: UInt64s, second: UInt64s) -> npt.NDArray[np.bool_]:
        known = self._hashes[:, rows]
        return np.asarray((known[0] == first) & (known[1] == second))

    def _insert(self, rows: Int64s, first: UInt64s, second: UInt64s) -> None:
        top = int(rows.max()) + 1
        if top > self._hashes.shape[1]:
            grown = np.zeros((2, max(top, 2 * self._hashes.shape[1])), np.uint64)
            grown[:, : self._hashes.shape[1]] = self._hashes
            self._hashes = grown
        self._hashes[0, rows] = first
        self._hashes[1, rows] = second
        if 2 * (len(self._by_name) + 1) > len(self._slots):
            self._rebuild(1 << (4 * len(self._by_name)).bit_length())
        else:
            self._place(rows)

    def _place(self, rows: Int64s) -> None:
        """Puts rows into slots of the hash table by linear probing: a row whose slot is used, also
        by another row of this call, tries the next.
        """
        mask = len(self._slots) - 1
        at = (self._hashes[0, rows] & np.uint64(mask)).astype(np.int64)
        while len(rows):
            free = self._slots[at] == _FREE
            self._slots[at[free]] = rows[free]
            lost = self._slots[at] != rows
            rows, at = rows[lost], (at[lost] + 1) & mask

    def _rebuild(self, size: int) -> None:
        self._slots = np.full(size, _FREE, np.int64)
        # Names that share the overflow row have no hash of their own; the overflow row's own name
        # is found by name.
        rows = np.array(
            [row for row in self._by_name.values() if self._hashes.shape[1] > row], np.int64
        )
        if len(rows):
            self._place(rows[self._hashes[0, rows] != 0])

    def _rehash(self, rows: list[int], names: list[Name]) -> None:
        self._hashes = np.zeros((2, max(1024, len(self.names))), np.uint64)
        if not rows:
            self._rebuild(4096)
            return
        first, second = hashes_of(names, self._seed)
        at = np.array(rows, np.int64)
        self._hashes[0, at], self._hashes[1, at] = first, second
        self._rebuild(max(4096, 1 << (4 * len(rows)).bit_length()))


class _Names(Sequence[Name]):
    """The names of rows, in their order, for who looks at a few of them."""

    def __init__(self, names: Sequence[Name | None], rows: Int64s) -> None:
        self._names, self._rows = names, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._names[self._rows[index]]


def _distinct(first: UInt64s, second: UInt64s) -> tuple[Int64s, Int64s]:
    """Of pairs: where each different one stands first, and for every pair the index of its own in
    that.
    """
    order = np.lexsort((second, first))
    ones, twos = first[order], second[order]
    new = np.concatenate([[True], (ones[1:] != ones[:-1]) | (twos[1:] != twos[:-1])])
    inverse = np.empty(len(first), np.int64)
    inverse[order] = np.cumsum(new) - 1
    return order[new], inverse


def _encoded(name: Name | None) -> bytes:
    if name is None:
        return _LENGTH.pack(0xFFFF)
    parts = [part.encode() for part in name]
    return b"".join([piece for part in parts for piece in (_LENGTH.pack(len(part)), part)])


def _decoded(body: memoryview, parts: int) -> list[Name | None]:
    names: list[Name | None] = []
    at = 0
    while at < len(body):
        name: list[str] = []
        for _ in range(parts):
            (length,) = _LENGTH.unpack_from(body, at)
            at += _LENGTH.size
            if length == 0xFFFF:
                break
            name.append(str(body[at : at + length], "utf-8"))
            at += length
        names.append(tuple(map(sys.intern, name)) if name else None)
    return names
