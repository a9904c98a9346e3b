"""The part of `sentinel backtest` that plays a trace: output, progress, and the settings."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from topology.commands.options import plain, show_table

if TYPE_CHECKING:
    from topology.backtesting.replay import Installation
    from topology.backtesting.trace import Backtest

_EVERY_S: Final = 0.5


def play(
    trace: Path, labels: Path | None, settings: Path | None, *, as_json: bool, progress: bool
) -> None:
    """Plays the trace, and prints what came of it on standard output."""
    # Read when polars is imported; of its warnings each bad line would print one.
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    os.environ["RUST_BACKTRACE"] = "0"
    import orjson

    from topology.backtesting.labels import read_labels
    from topology.backtesting.trace import as_json as json_of
    from topology.backtesting.trace import backtest

    known = [] if labels is None else read_labels(labels)
    telling = progress or sys.stderr.isatty()
    result = backtest(trace, known, _installation(settings), _progress(trace) if telling else _mute)
    if telling:
        sys.stderr.write("\n")
    if as_json:
        typer.echo(orjson.dumps(json_of(result), option=orjson.OPT_INDENT_2).decode())
    else:
        _show(result)


def _installation(settings: Path | None) -> "Installation":
    """Those of the file; all defaults without one, whatever the environment says, so that the same
    trace gives the same everywhere.
    """
    from topology.backtesting.replay import Installation

    if settings is None:
        return Installation()
    from topology.settings.loading import load

    given = load(settings).settings
    return Installation(given.detection, given.lanes, given.correlation)


def _mute(rows: int) -> None:
    pass


def _progress(trace: Path) -> Callable[[int], None]:
    """Writes how far it is on standard error, now and then."""
    begun = told = time.monotonic()

    def tell(rows: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= _EVERY_S:
            told = now
            each = rows / (now - begun)
            sys.stderr.write(f"\r{trace.name}: {rows:,} rows, {each:,.0f}/s ")
            sys.stderr.flush()

    return tell


def _show(result: "Backtest") -> None:
    from schemas.units import utc
    from topology.backtesting.trace import reason_of

    replay, matches = result.replay, result.matches
    typer.echo(
        f"{replay.events:,} events of {len(replay.applications):,} applications,"
        f" {result.application_days:.1f} application-days; settings {replay.settings_version}"
    )
    if replay.late:
        typer.echo(
            f"{replay.late:,} events came later than lanes.lateness_s and were not counted: sort"
            " the trace by event_time"
        )
    if result.bad.count:
        typer.echo(f"{result.bad.count:,} bad rows were left out:")
        for row, error in result.bad.first:
            typer.echo(f"  row {row}: {error.field or 'row'}: {reason_of(error)}")
    rate = result.false_per_week
    typer.echo(
        f"{len(replay.anomalies):,} anomalies, {len(matches.incidents):,} incidents"
        + (
            ""
            if rate is None
            else f", {result.false_incidents:,} of them without a label: {rate:.2f} for each"
            " application and week"
        )
    )
    if matches.labels:
        found = [one for one in matches.labels if one.found_by is not None]
        typer.echo(f"{len(found):,} of {len(matches.labels):,} labelled faults found")
        show_table(
            ("label", "application", "start", "found after", "by", "severity"),
            [
                (
                    str(one.label.given["kind"]),
                    one.label.application,
                    utc(one.label.start),
                    "missed"
                    if one.found_by is None
                    else f"{(one.found_by.event_time - one.label.start) / 1e6:.0f} s",
                    "" if one.found_by is None else one.found_by.metric,
                    ""
                    if one.found_by is None
                    else (one.found_by if one.incident is None else one.incident.last).severity,
                )
                for one in matches.labels
            ],
        )
    if matches.incidents:
        show_table(
            ("incident", "application", "opened", "resolved", "severity", "label"),
            [
                (
                    plain(one.last.title),
                    one.last.application,
                    utc(one.last.opened_at),
                    "open" if one.last.resolved_at is None else utc(one.last.resolved_at),
                    one.last.severity.value,
                    "yes" if is_matched else "no",
                )
                for one, is_matched in matches.incidents
            ],
        )
