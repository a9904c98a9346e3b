"""`sentinel backtest`: what the shipped detectors would have found in recorded data."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import UserError


def backtest(
    trace: Annotated[
        Path | None,
        typer.Option(
            help=(
                "Recorded telemetry: Parquet or JSON lines (also .gz) with the fields of"
                " docs/telemetry.md, event_time in µs, in the order of time."
            ),
            metavar="TRACE",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help=(
                "With --trace: known faults, a JSON object a line with application, kind, start"
                " and end (µs), and model or user where it is about one of them."
            ),
            metavar="LABELS",
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            help=(
                "With --trace: settings file whose sections detection, lanes and correlation are"
                " used. Without it, all defaults."
            ),
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --trace: print one JSON object.")
    ] = False,
    progress: Annotated[
        bool,
        typer.Option(
            "--progress",
            help="Show progress on standard error, though it is no terminal.",
        ),
    ] = False,
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

    With --trace: telemetry goes through the code of detect and correlate, and what is found is
    compared with --labels. A label is found by the first anomaly about its application (model,
    user) in a metric and on a side that the words of its kind name, from its start to 120 s after
    its end. An incident is matched when it was opened in that time about that application (model,
    user). Incidents that match no label are false. Bad rows are left out and reported.

    With --csv: each value of a single series is scored by what came before it, and nothing else.
    --out gets a row for each row read: timestamp, value, anomaly_score (0 to 1; 0.67 and higher is
    an alarm) and label (that of the input's column `label`, else empty). A value that is not a
    finite number is reported and scored 0.

    Examples: sentinel backtest --trace week.parquet --labels faults.jsonl --json
    sentinel backtest --csv cpu.csv --out scores.csv        sentinel backtest --csv
    sales.csv --time day --value eur --out scores.csv
    """
    if trace is not None:
        if series is not None:
            raise UserError("--trace and --csv: give one of them")
        from topology.commands.backtest_trace import play

        play(trace, labels, settings, as_json=as_json, progress=progress)
        return
    if series is None:
        raise UserError("name what to score: --trace TRACE, or --csv FILE")
    if out is None:
        raise UserError("--out FILE: name the file for the scores")
    from topology.commands.backtest_series import score

    score(series, out, time, value, progress=progress)
