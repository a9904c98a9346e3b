"""A tenant most of whose records are bad is told of once, wherever blocks are cut."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.detection.bad_share import LEAST, MOST_TENANTS, BadRecords, BadShare
from schemas.events import FrameEvents

pytestmark = pytest.mark.usefixtures("either_kernel")

LOGS = st.lists(st.sampled_from("gGbB"), max_size=60).map(lambda kinds: [kind for kind in kinds for _ in range(40)])


def _taken(share: BadShare, kinds: list[str], first: int) -> list[BadRecords]:
    """Lower case is tenant `one`, upper case `two`; b is bad."""
    offsets = [first + index for index, kind in enumerate(kinds) if kind in "gG"]
    tenants = ["one" if kind == "g" else "two" for kind in kinds if kind in "gG"]
    bad: list[tuple[int, bytes | None, str]] = [
        (first + index, b"one/app" if kind == "b" else b"two/app", "garbage")
        for index, kind in enumerate(kinds)
        if kind in "bB"
    ]
    return share.take(bad, np.array(offsets, np.int64), _of(tenants))


def _of(tenants: list[str]) -> FrameEvents:
    return FrameEvents(pl.DataFrame({"tenant": pl.Series(tenants, dtype=pl.String)}))


@given(LOGS, st.lists(st.integers(0, 2400)))
def test_where_blocks_are_cut_changes_nothing(kinds: list[str], cuts: list[int]) -> None:
    """Verdicts and counts are those of the records in order."""
    whole, pieces = BadShare(seed=7), BadShare(seed=7)
    edges = sorted({0, len(kinds), *(cut for cut in cuts if cut < len(kinds))})
    told = [verdict for start, end in pairwise(edges) for verdict in _taken(pieces, kinds[start:end], start)]
    assert _taken(whole, kinds, 0) == told
    assert whole.to_bytes() == pieces.to_bytes()


@given(st.integers(0, 12_000), st.integers(9_990, 10_010))
def test_a_tenant_is_forgotten_at_the_same_record_wherever_blocks_are_cut(cut: int, good: int) -> None:
    """Also in the middle of a block: what comes after it was well again begins anew."""
    kinds = ["b", *["g"] * good, "B", "b", *["g"] * 1_500, "b"]
    whole, pieces = BadShare(seed=7), BadShare(seed=7)
    told = _taken(pieces, kinds[:cut], 0) + _taken(pieces, kinds[cut:], cut)
    assert _taken(whole, kinds, 0) == told
    assert whole.to_bytes() == pieces.to_bytes()


@pytest.mark.parametrize("cut", [0, 5_000, 10_001, 10_002])
def test_room_for_a_tenant_is_made_at_the_same_record_wherever_blocks_are_cut(cut: int) -> None:
    """As many tenants as are watched; one of them is well again before another has its first bad record."""
    share = BadShare(seed=7)
    none, nobody = np.empty(0, np.int64), _of([])
    share.take([(number, b"t%d/app" % number, "garbage") for number in range(MOST_TENANTS)], none, nobody)
    offsets = MOST_TENANTS + np.arange(10_002)
    tenants = ["t0"] * 10_002
    share.take([], offsets[:cut], _of(tenants[:cut]))
    share.take([(20_000, b"new/app", "garbage")], offsets[cut:], _of(tenants[cut:]))
    assert b'"new"' in share.to_bytes()


def test_bad_records_alone_are_told_of_at_the_thousandth() -> None:
    """A tenant that sends nothing else is told of as soon as there are enough, and then anew."""
    verdicts = _taken(BadShare(seed=7), ["b"] * 2500, 0)
    assert [verdict.offset for verdict in verdicts] == [LEAST - 1, 2 * LEAST - 1]


def test_few_bad_ones_among_good_are_not_told_of() -> None:
    """Less than half is no verdict, and a tenant that is well again is no longer watched."""
    share = BadShare(seed=7)
    assert _taken(share, ["b"] * 300 + ["g"] * 3000, 0) == []
    _taken(share, ["g"] * 3_000_000, 3300)
    assert share.to_bytes() == b"{}"


def test_counts_survive_a_restart() -> None:
    """What was counted before goes on to count."""
    share = BadShare(seed=7)
    _taken(share, ["b"] * 900, 0)
    again = BadShare(seed=7)
    again.restore(share.to_bytes())
    assert [verdict.offset for verdict in _taken(again, ["b"] * 200, 900)] == [LEAST - 1]
