"""How rows of a lane's state become records of its state topic, and back.

A table is written in pages of neighbouring rows, about `PAGE_BYTES` each: one record of that size
costs about as much CPU as one of a single row, so a flush of many changed rows costs a fraction,
and a million rows are read back as a few thousand arrays.
"""

import struct
from typing import Final

PAGE_BYTES: Final = 8192
"""Target size of a page, bytes; also the maximum that a flush writes for one changed row."""

_HEAD: Final = struct.Struct("<HH")


class NewerState(Exception):
    """State was written by a newer version than this program reads: the process ends, nothing is
    changed.
    """


def rows_per_page(itemsize: int) -> int:
    """Rows of `itemsize` bytes in a page; at least one.

    >>> rows_per_page(100), rows_per_page(100_000)
    (81, 1)
    """
    return max(1, PAGE_BYTES // itemsize)


def page_key(table: str, page: int) -> bytes:
    """The key under which a page is compacted.

    >>> page_key("window", 7)
    b'window/7'
    """
    return b"%s/%d" % (table.encode(), page)


def split_key(key: bytes) -> tuple[str, int]:
    """Table and page of a key.

    >>> split_key(b'window/7')
    ('window', 7)
    """
    table, _, page = key.rpartition(b"/")
    return table.decode(), int(page)


def seal(version: int, body: bytes) -> bytes:
    """A page's value: format and version before the rows."""
    return _HEAD.pack(1, version) + body


def unseal(value: bytes, newest: int, table: str) -> tuple[int, memoryview]:
    """Version and rows of a page's value.

    Raises:
        NewerState: it was written by a program that knows a newer version of the table.
    """
    form, version = _HEAD.unpack_from(value)
    if form > 1 or version > newest:
        raise NewerState(
            f"state of table {table!r} has version {version}, this program reads up to {newest}"
        )
    return version, memoryview(value)[_HEAD.size :]
