"""`sentinel backtest`: what the shipped detectors would have found in recorded data."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import UserError


def backtest(
    series: Annotated[
        Path | None,
        typer.Option("--csv", help="CSV file with one value a row.", show_default=False),
    ] = None,
    time: Annotated[
        str, typer.Option(help="With --csv: the column of the time, ISO 8601 or seconds.")
    ] = "timestamp",
    value: Annotated[str, typer.Option(help="With --csv: the column of the value.")] = "value",
    out: Annotated[
        Path | None,
        typer.Option(help="With --csv: the file for the scores.", show_default=False),
    ] = None,
) -> None:
    """Score recorded data as it would have been scored live: each row by what came before it.

    --out gets one row for each row read, with timestamp, value, anomaly_score (0 to 1) and label
    (that of the input's column `label`, else empty).

    Examples: sentinel backtest --csv cpu.csv --out scores.csv        sentinel backtest --csv
    sales.csv --time day --value eur --out scores.csv
    """
    if series is None:
        raise UserError("--csv FILE: name the file to score")
    if out is None:
        raise UserError("--out FILE: name the file for the scores")
    from topology.backtesting.series_file import MAX_NOTED, score_file, warn

    summary = score_file(series, out, time, value, warn, lambda _: None)
    if summary.unreadable > MAX_NOTED:
        warn(f"{summary.unreadable - MAX_NOTED:,} more rows like these")
    typer.echo(f"{summary.rows:,} rows scored into {out}")
