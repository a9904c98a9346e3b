"""Names to rows: found again, independent of batching, bounded, forgotten and given again."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.telemetry.events import FrameEvents
from streams.state.subjects import OVERFLOW, Name, Subjects, UInt64s
from tests.harness.compacted_topic import CompactedTopic
from tests.harness.examples import examples

pytestmark = pytest.mark.usefixtures("with_and_without_native_code")

COLUMNS = ("tenant", "application", "model")
NAMES = st.tuples(
    st.sampled_from(("acme", "other")), st.sampled_from("abcdefgh"), st.sampled_from(("m", "n"))
)
BATCHES = st.lists(st.lists(NAMES, min_size=1, max_size=30), min_size=1, max_size=8)

MANY = 1 << 40


def subjects(budget: int = MANY, seed: int = 7) -> Subjects:
    """No names yet."""
    return Subjects("names", COLUMNS, budget, seed)


def rows(known: Subjects, names: Sequence[Name]) -> list[int]:
    """The row of each event with such a name."""
    frame = pl.DataFrame(list(names), schema=dict.fromkeys(COLUMNS, pl.String), orient="row")
    found: list[int] = known.rows_of(FrameEvents(frame)).tolist()
    return found


def flushed(known: Subjects, topic: CompactedTopic) -> CompactedTopic:
    """The topic after another flush."""
    topic.take(known.changes())
    return topic


def restored(topic: CompactedTopic, budget: int = MANY, seed: int = 8) -> Subjects:
    """A new process: another seed, the names of the topic."""
    known = subjects(budget, seed)
    known.restore(topic.pages("names"))
    return known


class Colliding(Subjects):
    """Names share hashes as if an attacker had chosen them: four first hashes, and four second
    ones.
    """

    def _hashed(self, frame: pl.DataFrame) -> tuple[UInt64s, UInt64s]:
        # A name and its pair of hashes still belong together: no two different names share both.
        number = np.array(
            [self._number(name) for name in frame.select(self.columns).iter_rows()], np.uint64
        )
        return number % np.uint64(4) + np.uint64(1), number // np.uint64(4)

    def _number(self, name: Name) -> int:
        return (
            ("acme", "other").index(name[0]) * 16
            + "abcdefgh".index(name[1]) * 2
            + ("m", "n").index(name[2])
        )


KINDS = pytest.mark.parametrize("kind", [Subjects, Colliding])


@KINDS
@given(batches=BATCHES)
def test_a_name_has_one_row_and_a_row_one_name(
    kind: type[Subjects], batches: list[list[Name]]
) -> None:
    """Names are found again in every later batch, also where their hashes collide; rows come in the
    order of first events.
    """
    known = kind("names", COLUMNS, MANY, 7)
    expected: dict[Name, int] = {}
    for batch in batches:
        for name in batch:
            expected.setdefault(name, len(expected))
        assert rows(known, batch) == [expected[name] for name in batch]
    assert [known.name(row) for row in range(len(known))] == list(expected)


@KINDS
@settings(max_examples=examples(25))
@given(batches=BATCHES, budget=st.integers(1, 6))
def test_rows_do_not_depend_on_batching(
    kind: type[Subjects], batches: list[list[Name]], budget: int
) -> None:
    """All at once, in batches, or one by one: the same rows, also when a tenant's budget is spent
    on the way.
    """
    events = [name for batch in batches for name in batch]
    whole, pieces, single = (kind("names", COLUMNS, budget, seed) for seed in (1, 2, 3))
    expected = rows(whole, events)
    assert [row for batch in batches for row in rows(pieces, batch)] == expected
    assert [rows(single, [name])[0] for name in events] == expected
    assert whole.names == pieces.names == single.names


@given(BATCHES, st.integers(1, 4))
def test_what_exceeds_a_tenants_budget_is_one_subject(
    batches: list[list[Name]], budget: int
) -> None:
    """The first names have rows of their own, all others of the tenant share one; another tenant is
    not touched.
    """
    known = subjects(budget)
    own: dict[str, list[Name]] = {}
    for batch in batches:
        for name, row in zip(batch, rows(known, batch), strict=True):
            of_tenant = own.setdefault(name[0], [])
            if name not in of_tenant and len(of_tenant) < budget:
                of_tenant.append(name)
            assert known.name(row) == (name if name in of_tenant else (name[0], OVERFLOW, OVERFLOW))
    assert len(known) <= 2 * (budget + 1)


def test_a_million_names_of_one_tenant_cost_bounded_memory() -> None:
    """Beyond the budget nothing grows: not the rows, not the hashes, not the slots."""
    known = subjects(budget=100)
    for batch in range(50):
        rows(known, [("acme", f"a{batch}-{number}", "m") for number in range(1000)])
    assert len(known) == known.capacity == 101
    assert np.count_nonzero(known._slots >= 0) <= len(known)
    assert known._slots.size <= 4096
    assert known._hashes.size <= 4096
    assert rows(known, [("acme", "a0-0", "m"), ("acme", "a49-999", "m"), ("other", "a", "m")]) == [
        0,
        100,
        101,
    ]


@KINDS
@given(batches=BATCHES, gone=st.sets(st.integers(0, 10)))
def test_rows_of_forgotten_names_are_given_again_the_lowest_first(
    kind: type[Subjects], batches: list[list[Name]], gone: set[int]
) -> None:
    """Who is forgotten is not found, the others are; new names take the free rows in order."""
    known = kind("names", COLUMNS, MANY, 7)
    for batch in batches[:-1]:
        rows(known, batch)
    forgotten = sorted(row for row in gone if row < len(known))
    expected = {known.name(row): row for row in range(len(known)) if row not in forgotten}
    known.forget(np.array(forgotten, np.int64))
    free = iter([*forgotten, *range(known.capacity, known.capacity + 100)])
    for name in batches[-1]:
        if name not in expected:
            expected[name] = next(free)
    assert rows(known, batches[-1]) == [expected[name] for name in batches[-1]]
    assert sorted(expected.items()) == [
        (known.name(row), row) for row in known.sorted_rows().tolist()
    ]


def test_a_row_that_is_given_again_is_not_found_under_its_old_name() -> None:
    """Also not when it goes to a tenant's overflow, which has no hash of its own, and all hashes
    are placed anew.
    """
    known = subjects(budget=1)
    assert rows(known, [("other", "x", "m"), ("acme", "a", "m"), ("last", "z", "m")]) == [0, 1, 2]
    known.forget(np.array([0]))
    assert rows(known, [("acme", "b", "m")]) == [0]
    known.forget(np.array([2]))
    assert [known.name(row) for row in rows(known, [("other", "x", "m")])] == [("other", "x", "m")]


@given(BATCHES, st.sets(st.integers(0, 10)), st.integers(1, 20))
def test_stopped_anywhere_the_next_names_get_the_same_rows(
    batches: list[list[Name]], gone: set[int], budget: int
) -> None:
    """A process that restores the names, with another seed, gives and writes exactly what the old
    one would have.
    """
    topic, never_stopped = CompactedTopic(), subjects(budget)
    other, known = CompactedTopic(), subjects(budget)
    for place, batch in enumerate(batches):
        assert rows(known, batch) == rows(never_stopped, batch)
        if place == len(batches) // 2:
            forgotten = np.array(sorted(row for row in gone if row < len(known)), np.int64)
            known.forget(forgotten)
            never_stopped.forget(forgotten)
        known = restored(flushed(known, topic), budget, seed=place)
        assert known.take_fresh() == []
    flushed(known, topic)
    assert topic.rows == flushed(never_stopped, other).rows
    assert known.sorted_rows().tolist() == never_stopped.sorted_rows().tolist()


def test_a_page_without_names_is_buried() -> None:
    """What was forgotten leaves the topic."""
    known, topic = subjects(), CompactedTopic()
    rows(known, [("acme", f"a{number}", "m") for number in range(200)])
    assert len(flushed(known, topic).rows) == 4
    known.forget(np.arange(64, 200))
    assert len(flushed(known, topic).rows) == 1
    assert len(restored(topic)) == 64


def test_any_text_may_be_a_name() -> None:
    """Unicode, empty parts, slashes and the longest ids come back; parts do not run together."""
    names: list[Name] = [
        ("a", "bc", ""),
        ("ab", "c", ""),
        ("", "", ""),
        ("ü/€", "(overflow)", "x" * 256),
        ("a", "", "bc"),
    ]
    known = subjects()
    assert rows(known, names) == [0, 1, 2, 3, 4]
    again = restored(flushed(known, CompactedTopic()))
    assert [again.name(row) for row in range(5)] == names
    assert rows(again, names) == [0, 1, 2, 3, 4]


def test_a_free_row_has_no_name() -> None:
    """A verdict about nobody is a bug that shows."""
    known = subjects()
    rows(known, [("acme", "a", "m")])
    known.forget(np.array([0]))
    with pytest.raises(KeyError, match="row 0 of names is free"):
        known.name(0)


class Counted(str):
    """A part of a name that counts how often it is compared."""

    compared = 0

    def __lt__(self, other: str) -> bool:
        Counted.compared += 1
        return str.__lt__(self, other)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=80))
def test_rows_are_in_the_order_of_their_names_whatever_came_and_went(
    moves: list[tuple[bool, int]],
) -> None:
    """New names find their place among those that are in order, and those forgotten leave it."""
    subjects = Subjects("t", ("tenant", "user"), 1_000, 7)
    for comes, number in moves:
        name = ("acme", f"{number:02}")
        row = subjects.find(name)
        if comes:
            subjects.row_of(name)
        elif row is not None:
            subjects.forget(np.array([row]))
        names = [subjects.name(row) for row in subjects.sorted_rows().tolist()]
        assert names == sorted(names)
        assert len(names) == len(subjects)


def test_a_new_name_costs_its_own_place_and_not_the_order_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At 4,000 names, one more is compared with a dozen of them."""
    monkeypatch.setattr("sys.intern", lambda text: text)
    subjects = Subjects("t", ("tenant",), 10_000, 7)
    for number in range(4_000):
        subjects.row_of((Counted(f"{number * 7919 % 4_000:05}"),))
    subjects.sorted_rows()
    Counted.compared = 0
    subjects.row_of((Counted("01234x"),))
    assert len(subjects.sorted_rows()) == 4_001
    assert Counted.compared < 50
