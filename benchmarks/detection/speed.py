"""Rows about the backtest's speed: a Parquet file through `sentinel backtest`'s code."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from benchmarks.detection.rows import Plan, Row
from benchmarks.detection.worlds import Series, World, steady
from topology.backtesting.replay import Installation
from topology.backtesting.trace import backtest

_EVENTS: Final = 4_000_000
_DENSITIES: Final = {"dense": 20_000.0, "quiet": 130.0}
_SERIES: Final = 31


def speed_rows(plan: Plan) -> Iterator[Row]:
    """Events a CPU second, reading and checking included, at two densities of event time: what a
    bucket costs is shared by the events in it.
    """
    for name, rate in _DENSITIES.items():
        days = _EVENTS * min(plan.scale, 1) / rate / 86_400
        series = [Series(f"speed {place}", rate / _SERIES, steady) for place in range(_SERIES)]
        handle, path = tempfile.mkstemp(suffix=".parquet")
        os.close(handle)
        try:
            pl.concat(list(World(series, days, plan.seed).tables())).write_parquet(path)
            begun = time.process_time()
            result = backtest(Path(path), [], Installation())
            cpu = time.process_time() - begun
        finally:
            Path(path).unlink()
        events = result.replay.events
        yield Row(
            f"backtest, {name}",
            f"{rate:,.0f} events a second of event time, from Parquet, all detectors",
            plan.seed,
            _SERIES,
            {"events_per_cpu_s": round(events / max(cpu, 1e-9))},
            events,
            round(cpu, 2),
        )
