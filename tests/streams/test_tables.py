"""Rows go to the state topic as pages and come back the same, also into a newer version of their
table.
"""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.state.chunks import PAGE_BYTES, NewerState, rows_per_page, seal, unseal
from streams.state.tables import Row, Table, TableSpec
from tests.harness.compacted_topic import CompactedTopic

# Large rows, so that a few of them fill a page.
_ROW = np.dtype([("count", "<i8"), ("filler", "V1016")])
SPEC = TableSpec("counts", _ROW)
PER_PAGE = rows_per_page(_ROW.itemsize)


def at(*rows: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Row numbers as tables take them."""
    return np.array(rows, np.int64)


def counted(table: Table, rows: Sequence[int], value: int) -> None:
    """Writes `value` into rows, and says so."""
    table.reserve(max(rows) + 1)
    table.rows["count"][at(*rows)] = value
    table.touch(at(*rows))


def restored(topic: CompactedTopic, spec: TableSpec = SPEC) -> Table:
    """A new table from what the topic holds."""
    table = Table(spec)
    table.restore(topic.pages(spec.name))
    return table


def content(table: Table) -> bytes:
    """All rows up to the last that is not zero."""
    return table.rows.tobytes().rstrip(b"\0")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("count", "clear", "flush", "restart")),
        st.integers(0, 60),
        st.integers(1, 9),
    ),
    max_size=40,
)


@given(STEPS)
def test_what_is_restored_is_what_was_there(steps: list[tuple[str, int, int]]) -> None:
    """Written, cleared, grown, flushed and restarted in any order: a restored table equals the one
    that never stopped.
    """
    topic, never_stopped, table = CompactedTopic(), Table(SPEC), Table(SPEC)
    for step, row, value in steps:
        for one in (table, never_stopped):
            if step == "count":
                counted(one, [row], value)
            elif step == "clear":
                one.reserve(row + 1)
                one.clear(at(row))
        if step in ("flush", "restart"):
            topic.take(table.changes())
        if step == "restart":
            table = restored(topic)
    topic.take(table.changes())
    assert content(restored(topic)) == content(never_stopped)


def test_only_changed_pages_are_written_and_once() -> None:
    """A flush after a flush writes nothing, and one row writes one page."""
    table, topic = Table(SPEC), CompactedTopic()
    counted(table, range(4 * PER_PAGE), 1)
    topic.take(table.changes())
    assert topic.written == 4
    assert list(table.changes()) == []
    counted(table, [2 * PER_PAGE], 2)
    assert [key for key, _ in table.changes()] == [b"counts/2"]


def test_a_page_is_about_as_large_as_promised() -> None:
    """One changed row makes a flush write at most PAGE_BYTES, but for a row that is larger by
    itself.
    """
    table = Table(SPEC)
    counted(table, [0], 1)
    ((_, value),) = table.changes()
    assert value is not None
    assert len(value) <= PAGE_BYTES + 4
    assert rows_per_page(10 * PAGE_BYTES) == 1


def test_a_page_of_zeros_is_a_tombstone_once() -> None:
    """Cleared rows leave the topic; a page that was never written is not buried."""
    table, topic = Table(SPEC), CompactedTopic()
    counted(table, [0, PER_PAGE], 1)
    topic.take(table.changes())
    table.clear(at(0))
    assert list(table.changes()) == [(b"counts/0", None)]
    table.clear(at(0))
    assert list(table.changes()) == []
    counted(table, [3 * PER_PAGE], 1)
    table.clear(at(3 * PER_PAGE))
    assert list(table.changes()) == []


def test_growing_keeps_rows_and_what_is_known_of_them() -> None:
    """Rows stay where they are, changed pages stay changed, and written ones can still be
    buried.
    """
    table, topic = Table(SPEC), CompactedTopic()
    counted(table, [0, PER_PAGE], 7)
    topic.take(table.changes())
    counted(table, [1], 8)
    table.reserve(50 * PER_PAGE)
    assert table.rows["count"][at(0, 1, PER_PAGE)].tolist() == [7, 8, 7]
    assert [key for key, _ in table.changes()] == [b"counts/0"]
    table.clear(at(PER_PAGE))
    assert list(table.changes()) == [(b"counts/1", None)]


# Version 2 has larger rows, so that rows of old pages stand on other pages now; version 3 smaller
# ones than both.
_ROW2 = np.dtype([("count", "<i8"), ("filler", "V3000")])
_ROW3 = np.dtype([("count", "<i8"), ("doubled", "<i8"), ("filler", "V100")])


def _larger(rows: Row) -> Row:
    larger = np.zeros(len(rows), _ROW2)
    larger["count"] = rows["count"]
    return larger


def _doubled(rows: Row) -> Row:
    smaller = np.zeros(len(rows), _ROW3)
    smaller["count"] = rows["count"]
    smaller["doubled"] = 2 * rows["count"]
    return smaller


SPEC2 = TableSpec("counts", _ROW2, 2, {1: (_ROW, _larger)})
SPEC3 = TableSpec("counts", _ROW3, 3, {1: (_ROW, _larger), 2: (_ROW2, _doubled)})


@pytest.mark.parametrize(
    "spec", [SPEC2, SPEC3], ids=["larger rows", "smaller rows, over two versions"]
)
@given(rows=st.sets(st.integers(0, 300), min_size=1, max_size=40))
def test_rows_of_an_older_version_stay_under_their_numbers(spec: TableSpec, rows: set[int]) -> None:
    """A row is found under its number after a migration, and again after the migrated table was
    written and read.
    """
    table, topic = Table(SPEC), CompactedTopic()
    table.reserve(301)
    for row in rows:
        counted(table, [row], row + 1)
    topic.take(table.changes())
    for _ in range(2):
        migrated = restored(topic, spec)
        found = np.flatnonzero(migrated.rows["count"])
        assert set(found.tolist()) == rows
        assert migrated.rows["count"][found].tolist() == [row + 1 for row in sorted(rows)]
        if spec is SPEC3:
            assert migrated.rows["doubled"][found].tolist() == [2 * row + 2 for row in sorted(rows)]
        topic.take(migrated.changes())
    assert list(migrated.changes()) == []
    assert {unseal(page, 3, "counts")[0] for page in topic.pages("counts").values()} == {
        spec.version
    }


def test_a_page_of_a_newer_version_is_refused() -> None:
    """A program that does not know what the bytes mean changes nothing."""
    table = Table(SPEC)
    with pytest.raises(NewerState, match="'counts' has version 2, this program reads up to 1"):
        table.restore({0: seal(2, bytes(_ROW.itemsize))})
    with pytest.raises(NewerState):
        table.restore({0: b"\2\0\1\0" + bytes(_ROW.itemsize)})
