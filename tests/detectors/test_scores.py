"""Rounding of scores, and detectors on the wildest numbers that a bucket can hold."""

import math

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.detection.population import SERIES_WINDOW
from agents.detectors.contract import Closed, Kind
from agents.detectors.deviation.detector import DeviationDetector
from agents.detectors.profile.detector import ProfileDetector
from agents.detectors.scores import significant
from agents.detectors.settings import Deviation, Profile
from streams.state.sketch import BINS
from streams.state.tables import Table
from tests.detectors.traffic import BUCKET_US, START
from tests.detectors.users import closed_users
from tests.harness.examples import examples

HUGE = 2**62


@settings(deadline=None)
@given(
    st.lists(
        st.floats(allow_nan=False)
        | st.floats(1e-7, 1e7)
        | st.integers(-(10**7), 10**7).map(lambda n: n / 10)
    )
)
def test_rounding_is_that_of_the_decimal_text(values: list[float]) -> None:
    """Six significant digits to the bit, ties and infinities included."""
    rounded = significant(np.array(values, np.float64))
    expected = np.array([float(f"{value:.6g}") for value in values], np.float64)
    assert rounded.tobytes() == expected.tobytes()
    assert math.isnan(significant(np.array([math.nan]))[0])


def test_rounding_is_right_at_ties_and_at_the_edges_of_a_decade() -> None:
    """Where a quick way goes wrong first."""
    values = [
        123456.5,
        1234565.0,
        0.1234565,
        999999.5,
        99999.95,
        9.999995,
        1e22,
        1e23,
        1e-17,
        5e-324,
        1.7e308,
    ]
    assert significant(np.array(values)).tolist() == [float(f"{value:.6g}") for value in values]


def wild_counts(count: int) -> st.SearchStrategy[list[int]]:
    """Counts of `count` subjects: mostly small, some enormous."""
    return st.lists(
        st.sampled_from([0, 1, 2, 50, 10**6, 2**31, HUGE]), min_size=count, max_size=count
    )


def finite(rows: npt.NDArray[np.void]) -> bool:
    """Whether every number of these rows is finite; the hour's top score may be none yet."""
    fields = rows.dtype.names or ()
    return all(
        finite(rows[name]) if rows[name].dtype.names else bool(np.isfinite(rows[name]).all())
        for name in fields
        if name != "top"
    )


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_series_of_any_numbers_give_finite_verdicts_or_none(data: st.DataObject) -> None:
    """Nothing warns, no state becomes NaN or infinite, bands are finite or NaN, whatever a bucket
    holds.
    """
    detector = DeviationDetector(Deviation(give_in_buckets=10))
    tables = {spec.name: Table(spec) for _, spec in detector.tables}
    for bucket in range(25):
        requests = np.array(data.draw(wild_counts(3)))
        sketch = np.zeros((3, BINS), np.uint32)
        sketch[:, data.draw(st.integers(0, BINS - 1))] = np.minimum(requests, 2**32 - 1)
        numbers = {
            "requests": requests,
            "errors": np.minimum(requests, data.draw(st.integers(0, HUGE))),
        }
        for name in (
            "latency_us",
            "latency_max_us",
            "time_to_first_token_us",
            "prompt_tokens",
            "completion_tokens",
        ):
            numbers[name] = np.where(requests > 0, data.draw(st.sampled_from([0, 1, HUGE])), 0)
        numbers["cost_nano"], numbers["first_tokens"] = numbers["prompt_tokens"], requests
        for name in SERIES_WINDOW.logs:
            log = data.draw(st.sampled_from([0, 1, 63 * 1024]))
            most = 2**62 // max(log * log, 1)
            for part, factor in (("n", 1), ("log", log), ("log2", log * log)):
                numbers[f"{name}.{part}"] = np.minimum(requests, most) * factor
        start = (START + bucket) * BUCKET_US
        sketches = {"latency_us": sketch, "time_to_first_token_us": sketch}
        zero = np.zeros(3, np.int64)
        rows = np.arange(3)
        closed = Closed(
            Kind.SERIES,
            START + bucket,
            start,
            start + BUCKET_US,
            rows,
            numbers,
            sketches,
            zero,
            1,
            zero,
        )
        verdicts = detector.at_close(tables, closed)
        assert all(finite(table.rows) for table in tables.values())
        assert all(math.isfinite(finding.score) for finding in verdicts.findings)
        assert verdicts.bands is not None
        assert not np.isinf(verdicts.bands.high).any()


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_users_of_any_numbers_give_finite_verdicts_or_none(data: st.DataObject) -> None:
    """As for series."""
    detector = ProfileDetector(Profile(window_buckets=2, least_buckets=5))
    tables = {spec.name: Table(spec) for _, spec in detector.tables}
    for bucket in range(25):
        requests, tokens, cost = (np.array(data.draw(wild_counts(4))) for _ in range(3))
        verdicts = detector.at_close(
            tables, closed_users(bucket, requests, tokens, cost, applications=2)
        )
        for table in tables.values():
            assert all(np.isfinite(table.rows[name]).all() for name in table.rows.dtype.names or ())
        assert all(math.isfinite(finding.score) for finding in verdicts.findings)
