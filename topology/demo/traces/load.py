"""The hour's requests as callers make them: application, model, user and tokens, before answers."""

from importlib.resources import files
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from topology.demo.traces.applications import SERIES, USERS_PER_APPLICATION

LOAD: Final = np.dtype(
    [
        ("offset_us", "<i8"),  # arrival, from the first request of the hour on
        ("series", "<i2"),  # row of applications.SERIES
        ("user", "<i2"),  # rank of the user in its application
        ("prompt_tokens", "<i8"),
        ("completion_tokens", "<i8"),
        ("retries", "<i2"),  # tries before this one
        ("refused", "?"),  # fails with HTTP 429, whatever the luck
        ("error_share", "<f8"),  # probability that it fails
        ("first_token_factor", "<f8"),  # slower than usual by this factor, to the first token
        ("output_token_factor", "<f8"),  # and for each token after it
        ("first_token_noise", "<f8"),  # standard normal
        ("output_token_noise", "<f8"),  # standard normal
        ("luck", "<f8"),  # uniform: decides whether it fails
        ("chance", "<f8"),  # uniform: decides between the small things
        ("name", "u1", 16),  # random bytes that its ids are made from
    ]
)
"""One request. What happens to it by chance was drawn with it, so that a fault changes only what it
touches.
"""

Load: TypeAlias = npt.NDArray[np.void]
"""An array of LOAD."""

_WEIGHTS: Final = 1 / (np.arange(USERS_PER_APPLICATION) + 10)
USER_ODDS: Final = _WEIGHTS.cumsum() / _WEIGHTS.sum()
"""Cumulative odds of the users by rank: Zipf with an offset of 10."""


def arrivals() -> pl.DataFrame:
    """The derived traces in the package, as `derive.derived` describes them."""
    with files("topology.demo.traces").joinpath("azure_hour.parquet").open("rb") as file:
        return pl.read_parquet(file.read())


def recorded(rng: np.random.Generator, error_share: float) -> Load:
    """All requests of the traces, each given to a series and a user of it by chance; in order of
    arrival.
    """
    trace = arrivals()
    load = drawn(trace.height, rng, error_share)
    load["offset_us"] = trace["offset_us"].to_numpy()
    load["prompt_tokens"] = trace["prompt_tokens"].to_numpy()
    load["completion_tokens"] = trace["completion_tokens"].to_numpy()
    service = trace["service"].cast(pl.String).to_numpy()
    at = rng.random(trace.height)
    for name in ("code", "conv"):
        rows = service == name
        members = [number for number, series in enumerate(SERIES) if series.trace == name]
        odds = np.cumsum([SERIES[number].share for number in members])
        load["series"][rows] = np.array(members)[np.searchsorted(odds[:-1], at[rows], side="right")]
    return load


def drawn(count: int, rng: np.random.Generator, error_share: float) -> Load:
    """As many requests with everything that chance decides, and nothing else set."""
    load = np.zeros(count, LOAD)
    load["user"] = np.searchsorted(USER_ODDS[:-1], rng.random(count), side="right")
    load["error_share"] = error_share
    load["first_token_factor"] = load["output_token_factor"] = 1.0
    load["first_token_noise"] = rng.standard_normal(count)
    load["output_token_noise"] = rng.standard_normal(count)
    load["luck"] = rng.random(count)
    load["chance"] = rng.random(count)
    load["name"] = rng.integers(0, 256, (count, 16), np.uint8)
    return load
