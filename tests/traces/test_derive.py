"""The hour of traffic in the package is what the public traces say, and nothing else."""

import os
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from topology.demo.traces import derive
from topology.demo.traces.load import arrivals
from topology.demo.traces.scenario import DURATION_S

DATA = (
    Path(os.environ.get("SENTINEL_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
    / "llm_traces"
)
CODE, CONV = DATA / "AzureLLMInferenceTrace_code.csv", DATA / "AzureLLMInferenceTrace_conv.csv"
SHIPPED = Path(derive.__file__).with_name("azure_hour.parquet")

SMALL_CODE = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:17:03.9799600,4808,10\r\n"
SMALL_CONV = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
    "2023-11-16 18:17:03.9799600,374,44\r\n2023-11-16 18:17:03.0000010,396,109\r\n"
)


def test_the_shipped_file_is_what_the_script_makes_of_the_public_traces(tmp_path: Path) -> None:
    """From the CSV files comes the same table; without them this is skipped, since they are
    not ours to ship.
    """
    if not CODE.is_file():
        pytest.skip(
            f"the Azure traces are not at {DATA}; set SENTINEL_TEST_DATA to where `llm_traces/`"
            " lies"
        )
    out = tmp_path / "hour.parquet"
    assert derive.main([str(CODE), str(CONV), str(out)]) == 0
    assert_frame_equal(pl.read_parquet(out), arrivals())


def test_the_shipped_file_is_small_and_says_where_it_comes_from() -> None:
    """It fits in a package, and its licence's condition, naming the source, is met beside it."""
    assert SHIPPED.stat().st_size < 250_000
    sources = SHIPPED.with_name("SOURCES.md").read_text("utf-8")
    for needed in ("CC-BY-4.0", "Splitwise", "ISCA 2024", "AzurePublicDataset", SHIPPED.name):
        assert needed in sources


def test_both_traces_become_one_in_order_of_arrival(tmp_path: Path) -> None:
    """Offsets count from the first request of either; requests of one instant stand in the order
    code, conv.
    """
    (tmp_path / "code.csv").write_text(SMALL_CODE)
    (tmp_path / "conv.csv").write_text(SMALL_CONV)
    assert derive.derived(tmp_path / "code.csv", tmp_path / "conv.csv").rows() == [
        (0, "conv", 396, 109),
        (979_959, "code", 4808, 10),
        (979_959, "conv", 374, 44),
    ]


def test_the_hour_holds_all_requests_of_both_traces() -> None:
    """8,819 and 19,366, over 59 minutes, none before its predecessor."""
    hour = arrivals()
    assert dict(hour["service"].cast(pl.String).value_counts().iter_rows()) == {
        "code": 8_819,
        "conv": 19_366,
    }
    assert hour["offset_us"].is_sorted()
    assert hour["offset_us"][0] == 0
    assert hour["offset_us"][-1] < DURATION_S * 1_000_000
