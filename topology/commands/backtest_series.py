"""The part of `sentinel backtest` that scores a CSV file: warnings, progress, and the summary."""

import sys
from pathlib import Path
from typing import Final

import typer

_MAX_NOTED: Final = 20
"""Warnings that are printed; further ones are counted."""


def score(series: Path, out: Path, time: str, value: str, *, progress: bool) -> None:
    """Scores the file, and says what came of it on standard output."""
    from agents.detectors.single_series.policy import ALARM
    from topology.backtesting.series_file import score_file

    noted = 0

    def note(line: str) -> None:
        nonlocal noted
        noted += 1
        if noted <= _MAX_NOTED:
            sys.stderr.write(f"sentinel: {line}\n")

    def tell(rows: int) -> None:
        if progress or sys.stderr.isatty():
            sys.stderr.write(f"\r{series.name}: {rows:,} rows ")
            sys.stderr.flush()

    scored = score_file(series, out, (time, value), note, tell)
    if progress or sys.stderr.isatty():
        sys.stderr.write("\n")
    if noted > _MAX_NOTED:
        sys.stderr.write(f"sentinel: {noted - _MAX_NOTED:,} more warnings like these\n")
    typer.echo(f"{scored.rows:,} rows scored, {scored.alarms:,} of them {ALARM:g} or higher: {out}")
