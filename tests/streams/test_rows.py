"""Rows of Python objects: every change is written, and nothing else is."""

from hypothesis import given
from hypothesis import strategies as st

from streams.state.rows import RowCodec, Rows, SingleRow

CODEC: RowCodec[int, list[int]] = RowCodec(
    prefix=b"n/",
    key_to_bytes=lambda key: b"%d" % key,
    key_from_bytes=int,
    to_bytes=bytes,
    from_bytes=list,
)
KEYS = st.integers(0, 4)
VALUES = st.lists(st.integers(0, 255), max_size=3)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), KEYS, VALUES),
        st.tuples(st.sampled_from(["append", "read", "delete", "default"]), KEYS, VALUES),
        st.tuples(st.sampled_from(["flush", "restart", "values"]), KEYS, VALUES),
    ),
    max_size=40,
)


class Topic:
    """A compacted topic with one table's rows, which accepts real changes only."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}

    def write(self, rows: Rows[int, list[int]]) -> None:
        """Take what changed."""
        for key, value in rows.changes():
            assert self.rows.get(key) != value, "a row that did not change was written"
            if value is None:
                del self.rows[key]
            else:
                self.rows[key] = value

    def restored(self) -> Rows[int, list[int]]:
        """What the next owner of the lane begins with."""
        rows = Rows(CODEC)
        rows.restore([(b"other/1", b"of another table"), *self.rows.items()])
        return rows


def _apply(rows: Rows[int, list[int]], what: str, key: int, value: list[int]) -> None:
    if what == "set":
        rows[key] = list(value)
    elif what == "append" and key in rows:
        rows[key].extend(value)
    elif what == "read":
        rows.get(key)
    elif what == "delete":
        rows.pop(key, None)
    elif what == "default":
        rows.setdefault(key, []).extend(value)
    elif what == "values":
        for each in rows.values():
            each[:] = value


@given(OPERATIONS)
def test_the_changes_written_restore_an_equal_table_and_nothing_unchanged_is_written(
    operations: list[tuple[str, int, list[int]]],
) -> None:
    """After any operations, flushes and restarts; values are also changed in place."""
    rows, model, topic = Rows(CODEC), dict[int, list[int]](), Topic()
    for what, key, value in operations:
        if what == "restart":
            topic.write(rows)
            rows = topic.restored()
        elif what == "flush":
            topic.write(rows)
            assert dict(topic.restored().view()) == dict(rows.view())
        else:
            _apply(rows, what, key, value)
            _model(model, what, key, value)
        assert dict(rows.view()) == model
    topic.write(rows)
    assert dict(topic.restored().view()) == model
    assert rows.changes() == []


def _model(model: dict[int, list[int]], what: str, key: int, value: list[int]) -> None:
    """The same with a dictionary."""
    if what == "set":
        model[key] = list(value)
    elif what == "append" and key in model:
        model[key] = [*model[key], *value]
    elif what == "delete":
        model.pop(key, None)
    elif what == "default":
        model[key] = [*model.get(key, []), *value]
    elif what == "values":
        model.update({each: list(value) for each in model})


def test_changes_come_in_the_order_of_their_keys() -> None:
    """Two runs write the same bytes in the same order."""
    rows = Rows(CODEC)
    for key in (3, 1, 4, 2):
        rows[key] = [key]
    assert rows.changes() == [(b"n/%d" % key, bytes([key])) for key in (1, 2, 3, 4)]
    rows[2].append(0)
    del rows[3]
    assert rows.changes() == [(b"n/2", b"\x02\x00"), (b"n/3", None)]


def test_a_follower_learns_of_every_entry_that_may_have_changed() -> None:
    """An index need not look at the others; entries that are only read are no news."""
    rows = Rows(CODEC)
    news = rows.follow()
    rows.restore([(b"n/1", b"\x01"), (b"n/2", b"\x02"), (b"n/3", b"\x03")])
    assert news == {1, 2, 3}
    news.clear()
    assert rows.view()[1] == [1]
    assert news == set()
    rows[2].append(0)
    del rows[3]
    rows[4] = []
    assert news == {2, 3, 4}


def test_a_single_row_is_written_when_its_object_changed() -> None:
    """Also the first time, unless the object was settled as it begins."""
    value = [1]
    row = SingleRow(b"one", lambda: bytes(value))
    assert row.changes() == [(b"one", b"\x01")]
    assert row.changes() == []
    value.append(2)
    assert row.changes() == [(b"one", b"\x01\x02")]
    value.append(3)
    row.settle()
    assert row.changes() == []
