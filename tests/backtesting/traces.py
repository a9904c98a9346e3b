"""Small traces to play: rows of TelemetryEvent fields as a file may have them."""

import gzip
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import orjson
import polars as pl

Row = dict[str, object]

START = 1_800_000_000_000_000
MINUTE = 60_000_000


def calls(
    minutes: float, per_s: float = 2.0, seed: int = 1, application: str = "shop"
) -> list[Row]:
    """Ordinary calls of one series."""
    random = np.random.default_rng(seed)
    count = int(minutes * 60 * per_s)
    times = START + np.sort(random.integers(0, int(minutes * MINUTE), count))
    latency = np.exp(random.normal(12.5, 0.3, count)).astype(int)
    return [
        {
            "event_time": at,
            "tenant": "acme",
            "application": application,
            "model": "small",
            "status": "success",
            "latency_us": took,
            "prompt_tokens": 200,
            "completion_tokens": 50,
            "cost_nano": 900,
            "user": f"user-{place % 7}",
        }
        for place, (at, took) in enumerate(zip(times.tolist(), latency.tolist(), strict=True))
    ]


def slowed(rows: Iterable[Row], start: int, end: int, factor: int) -> list[Row]:
    """The same calls, slower between two moments."""
    return [
        {**row, "latency_us": row["latency_us"] * factor}  # type: ignore[operator]
        if start <= row["event_time"] < end  # type: ignore[operator]
        else row
        for row in rows
    ]


def as_json_lines(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """The rows in a file of JSON lines, packed if its name says so."""
    content = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def as_parquet(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """The rows in a Parquet file, some in each of its groups."""
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(path, row_group_size=1000)
    return path
