"""A table of a lane's state: rows of a numpy structured dtype, one per subject, that know which of
them changed.
"""

import mmap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from streams.state.chunks import page_key, rows_per_page, seal, unseal

Int64s = npt.NDArray[np.int64]
Row = npt.NDArray[np.void]
Migrate = Callable[[Row], Row]

_LARGE: Final = 1 << 20
"""Size from which rows get a memory mapping of their own, bytes. Rows that were never written then
use no memory, and a table that grows returns the old ones to the kernel at once, where the
allocator (streams.process.allocation) would keep them.
"""


@dataclass(frozen=True, slots=True)
class TableSpec:
    """Name, dtype and version of a table.

    The dtype is packed and little-endian. `migrations[v]` turns rows of version v into rows of v +
    1; a version without one is refused.
    """

    name: str
    dtype: np.dtype[np.void]
    version: int = 1
    migrations: Mapping[int, tuple[np.dtype[np.void], Migrate]] = field(default_factory=dict)


class Table:
    """Rows that grow by doubling; new rows are zero bytes.

    `rows` may be another array after `reserve`, so it is not to be kept across it. Whatever changes
    rows has to call `touch`.
    """

    def __init__(self, spec: TableSpec, capacity: int = 64) -> None:
        self.spec = spec
        self.per_page = rows_per_page(spec.dtype.itemsize)
        self._zeros = bytes(self.per_page * spec.dtype.itemsize)
        pages = -(-capacity // self.per_page)
        self.rows = _zeros(pages * self.per_page, spec.dtype)
        self._dirty = np.zeros(pages, bool)
        self._written = np.zeros(pages, bool)

    def __len__(self) -> int:
        return len(self.rows)

    def reserve(self, count: int) -> None:
        """Makes room for `count` rows."""
        if count <= len(self.rows):
            return
        # Doubled, so that adding rows one at a time copies each a constant number of times.
        pages = max(-(-count // self.per_page), 2 * len(self._dirty))
        grown = _zeros(pages * self.per_page, self.spec.dtype)
        grown[: len(self.rows)] = self.rows
        self.rows = grown
        self._dirty = np.concatenate([self._dirty, np.zeros(pages - len(self._dirty), bool)])
        self._written = np.concatenate([self._written, np.zeros(pages - len(self._written), bool)])

    def touch(self, rows: Int64s) -> None:
        """Marks rows as changed."""
        self._dirty[rows // self.per_page] = True

    def clear(self, rows: Int64s) -> None:
        """Sets rows to zero bytes; a page of nothing but zeros is a tombstone on the topic."""
        self.rows[rows] = np.zeros((), self.spec.dtype)
        self.touch(rows)

    def clear_pages(self, pages: Sequence[int]) -> None:
        """Sets all rows of some pages to zero bytes."""
        self.rows.view(np.uint8).reshape(-1, len(self._zeros))[pages] = 0
        self._dirty[pages] = True

    @property
    def is_empty(self) -> bool:
        """Whether no page was restored, written or changed, or all that were are tombstones now."""
        return not (self._written.any() or self._dirty.any())

    def dirty_bytes(self) -> int:
        """Bytes that a flush would write now."""
        return int(np.count_nonzero(self._dirty)) * self.per_page * self.spec.dtype.itemsize

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Key and value of every changed page, a tombstone (None) where only zeros are left; then
        nothing counts as changed.

        A page that was never written and holds only zeros is not written at all. The caller must
        make the changes durable or end the process: they are not returned again.
        """
        size, version = self.per_page, self.spec.version
        for page in np.flatnonzero(self._dirty).tolist():
            body = self.rows[page * size : (page + 1) * size].tobytes()
            if body == self._zeros:
                if self._written[page]:
                    yield page_key(self.spec.name, page), None
                self._written[page] = False
            else:
                yield page_key(self.spec.name, page), seal(version, body)
                self._written[page] = True
        self._dirty[:] = False

    def restore(self, pages: Mapping[int, bytes]) -> None:
        """Restores pages that were read from the state topic.

        Raises:
            NewerState: a page has a newer version than the table's.
        """
        if not pages:
            return
        self.reserve((max(pages) + 1) * self.per_page)
        for page, value in pages.items():
            version, body = unseal(value, self.spec.version, self.spec.name)
            rows, first = self._read(version, body, page)
            self.reserve(first + len(rows))
            self.rows[first : first + len(rows)] = rows
            self._written[page] = True
            if version < self.spec.version:
                # Rows of another size were on other pages: everything is written again, with a
                # tombstone for each page that has no rows left.
                self._dirty[:] = True

    def _read(self, version: int, body: memoryview, page: int) -> tuple[Row, int]:
        """The page's rows in the present version, and the number of the first."""
        dtype = (
            self.spec.dtype if version == self.spec.version else self.spec.migrations[version][0]
        )
        rows: Row = np.frombuffer(body, dtype)
        while version < self.spec.version:
            rows = self.spec.migrations[version][1](rows)
            version += 1
        return rows, page * rows_per_page(dtype.itemsize)


def _zeros(count: int, dtype: np.dtype[np.void]) -> Row:
    size = count * dtype.itemsize
    return np.zeros(count, dtype) if size < _LARGE else np.frombuffer(mmap.mmap(-1, size), dtype)
