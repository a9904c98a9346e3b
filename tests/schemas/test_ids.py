"""Ids made of what a record says."""

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.ids import record_id

_parts = st.lists(st.text() | st.integers(), max_size=5)


def test_an_id_is_the_same_for_ever() -> None:
    """Golden: consumers deduplicate by it over releases."""
    assert record_id("acme", "latency", 3) == "8190efcaed8bd64775b49197f2cdeaf2"


@settings(deadline=None)
@given(_parts, _parts)
def test_ids_are_equal_only_for_equal_parts(one: list[str | int], other: list[str | int]) -> None:
    """Neither moving a letter from one part to the next nor writing a number as text keeps
    the id.
    """
    same = [(type(part), part) for part in one] == [(type(part), part) for part in other]
    assert (record_id(*one) == record_id(*other)) == same


def test_parts_do_not_flow_into_each_other() -> None:
    """("ab", "c") is not ("a", "bc"), and 1 is not "1"."""
    assert (
        len(
            {
                record_id("ab", "c"),
                record_id("a", "bc"),
                record_id("abc"),
                record_id(1),
                record_id("1"),
            }
        )
        == 5
    )
