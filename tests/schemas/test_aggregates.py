"""Aggregates written in bulk."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.avro.coding import framed
from schemas.records.aggregate_bodies import (
    aggregate_bodies,
    bucket_part,
    double_names,
    subject_prefix,
)
from schemas.records.aggregates import Aggregate

_longs = st.integers(-(2**63), 2**63 - 1)
_subjects = st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=4)


@settings(deadline=None)
@given(
    _subjects,
    _longs,
    _longs,
    st.text(),
    st.integers(-(2**31), 2**31 - 1),
    st.randoms(use_true_random=False),
)
def test_a_bulk_of_aggregates_is_what_fastavro_writes_one_by_one(
    subjects: list[tuple[str, str, str]],
    start: int,
    end: int,
    version: str,
    lane: int,
    random: "np.random.Generator",
) -> None:
    """To the byte, whatever the names and times, NaN among the numbers."""
    doubles = np.array([[random.uniform(-1e9, 1e9) for _ in double_names()] for _ in subjects])
    doubles = doubles.reshape(len(subjects), len(double_names()))
    if subjects:
        doubles[0, 0] = math.nan
    bodies = aggregate_bodies(
        [subject_prefix(*one) for one in subjects], bucket_part(start, end, version, lane), doubles
    )
    names = ("tenant", "application", "model")
    assert bodies == [
        framed(
            "Aggregate",
            {
                **dict(zip(names, subject, strict=True)),
                "window_start": start,
                "window_end": end,
                "settings_version": version,
                "lane": lane,
                **dict(zip(double_names(), row, strict=True)),
            },
        )
        for subject, row in zip(subjects, doubles.tolist(), strict=True)
    ]


def test_the_doubles_are_all_that_follows_the_lane() -> None:
    """A row of doubles has a place for each, in the record's order; the encoder relies on nothing
    else between.
    """
    names = [field.name for field in dataclasses.fields(Aggregate)]
    assert tuple(names[names.index("lane") + 1 :]) == double_names()
    assert len(double_names()) == 13 + 6 * 4


def test_rows_of_another_width_are_refused() -> None:
    """A row too short would make the next record's bytes its own."""
    with pytest.raises(ValueError, match="doubles are"):
        aggregate_bodies([b""], b"", np.zeros((1, 3)))
    with pytest.raises(ValueError, match="doubles are"):
        aggregate_bodies([b"", b""], b"", np.zeros((1, len(double_names()))))


def test_any_layout_of_the_array_gives_the_same_bytes() -> None:
    """Columns of a larger array, other byte orders and narrower floats are written as doubles all
    the same.
    """
    doubles = np.arange(2.0 * len(double_names())).reshape(2, -1)
    expected = aggregate_bodies([b"a", b"b"], b"", doubles)
    assert aggregate_bodies([b"a", b"b"], b"", np.asfortranarray(doubles)) == expected
    assert aggregate_bodies([b"a", b"b"], b"", doubles.astype(">f8")) == expected
