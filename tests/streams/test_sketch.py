"""Quantiles within the stated error, by integer bins that merge by addition."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.state.sketch import BINS, MAX, MIDDLES, MIN, RELATIVE_ERROR, bins_of, quantiles

VALUES = st.integers(MIN, MAX - 1)


def sketched(values: list[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint32]]:
    """The sketch of these values, as one row."""
    row = np.zeros((1, BINS), np.uint32)
    np.add.at(row[0], bins_of(np.array(values, np.int64)), np.uint32(1))
    return row


@given(st.lists(VALUES, min_size=1, max_size=200), st.sampled_from((0.01, 0.5, 0.95, 0.99, 1.0)))
def test_quantile_lies_within_the_stated_error_of_the_value_at_its_rank(
    values: list[int], share: float
) -> None:
    """Whatever the values are, the quantile is off from the value at rank ceil(q·n) by at most
    RELATIVE_ERROR of it.
    """
    exact = sorted(values)[max(math.ceil(share * len(values)), 1) - 1]
    found = float(quantiles(sketched(values), (share,))[0, 0])
    assert abs(found - exact) <= RELATIVE_ERROR * exact


@given(st.lists(VALUES, max_size=50), st.lists(VALUES, max_size=50))
def test_sketches_merge_by_addition(left: list[int], right: list[int]) -> None:
    """The sum of two sketches is the sketch of all their values."""
    assert np.array_equal(sketched(left) + sketched(right), sketched(left + right))


@given(st.integers(0, 2**62), st.integers(0, 2**62))
def test_a_larger_value_never_lies_in_a_lower_bin(one: int, other: int) -> None:
    """Bins keep the order of values, also beyond both ends, where they share the first and the last
    bin.
    """
    lower, higher = bins_of(np.array(sorted((one, other))))
    assert 0 <= lower <= higher < BINS


def test_every_bin_stands_for_a_value_of_its_own() -> None:
    """The middle of a bin lies in it."""
    assert bins_of(MIDDLES.astype(np.int64)).tolist() == list(range(BINS))


def test_an_empty_sketch_has_no_quantiles() -> None:
    """No measurement is invented where there was none."""
    both = np.concatenate([sketched([]), sketched([MIN])])
    assert np.isnan(quantiles(both, (0.5, 0.99))).tolist() == [[True, True], [False, False]]
