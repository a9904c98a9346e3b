"""How well the detectors judge, on worlds of traffic made here: quiet days, faults, habits, users,
the demo's hour with other seeds; and how fast a backtest is. Series of single values: the Numenta
Anomaly Benchmark, and shifts of the level.

    python -m benchmarks.detection [--json] [--only quiet,faults] [--scale 0.2] [--seed 1]
    python -m benchmarks.detection [--json] --only nab,level_shift --nab FOLDER

Everything runs in this process, through the code of `sentinel backtest --trace`, with the default
settings. Each row names its seed, the number of series, and the CPU time of the backtest alone.
Nothing was tuned on these seeds; what is chosen by them must be reported on others.

The data of `nab` is not part of this repository: FOLDER (or SENTINEL_NAB) holds the files by
category, and windows.json as NAB's labels/combined_windows.json (github.com/numenta/NAB, under the
licence named there). Without it the row says so.
"""

import os

# Read when polars is imported: CPU seconds are those of one thread.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.detection.demo_hours import demo_rows
from benchmarks.detection.faults import fault_rows
from benchmarks.detection.level_shift import level_shift_rows
from benchmarks.detection.nab import nab_rows
from benchmarks.detection.quiet import quiet_rows
from benchmarks.detection.rows import Plan, Row
from benchmarks.detection.speed import speed_rows
from benchmarks.detection.users import user_rows
from benchmarks.detection.weak_spots import weak_rows
from tests.harness.machine import machine
from tests.harness.showing import BenchmarkFailed, Json, Screen, Sheet, end_in_order

GROUPS: Final[dict[str, Callable[[Plan], Iterator[Row]]]] = {
    "quiet": quiet_rows,
    "faults": fault_rows,
    "weak": weak_rows,
    "users": user_rows,
    "demo": demo_rows,
    "speed": speed_rows,
    "nab": nab_rows,
    "level_shift": level_shift_rows,
}
"""What makes the rows, by the names that `--only` takes."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.detection",
        description=(__doc__ or "").splitlines()[0],
        epilog="Example: python -m benchmarks.detection --only faults,weak --scale 0.5 --json",
    )
    parser.add_argument("--json", action="store_true", help="print one object instead of tables")
    parser.add_argument("--only", help=f"some of {', '.join(GROUPS)} (all)")
    parser.add_argument("--seed", type=int, default=1, help="of the worlds (1)")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="days and repetitions relative to all (1)"
    )
    parser.add_argument(
        "--nab",
        type=Path,
        metavar="FOLDER",
        default=os.environ.get("SENTINEL_NAB"),
        help="files of the nab row",
    )
    options = parser.parse_args(arguments)
    wanted = list(GROUPS) if options.only is None else options.only.split(",")
    if unknown := [name for name in wanted if name not in GROUPS]:
        parser.error(f"--only: {unknown[0]!r} is none of {', '.join(GROUPS)}")
    if options.scale <= 0:
        parser.error("--scale is above 0")
    end_in_order()
    screen, rows = Screen(options.json), list[Row]()
    for name in wanted:
        try:
            for row in GROUPS[name](Plan(options.seed, options.scale, options.nab)):
                rows.append(row)
                screen.say(f"{row.name}: {_numbers(row)}")
        except BenchmarkFailed as why:
            sys.exit(f"benchmarks.detection: {why}")
    screen.results(machine(), [_sheet(rows)], {"rows": [_told(row) for row in rows]})


def _sheet(rows: Sequence[Row]) -> Sheet:
    return Sheet(
        "detection",
        ("row", "measures", "seed", "series", "events", "CPU s", "result"),
        [
            (
                row.name,
                row.measures,
                str(row.seed),
                str(row.series),
                f"{row.events:,}",
                f"{row.cpu_s:,.1f}",
                _numbers(row),
            )
            for row in rows
        ],
    )


def _numbers(row: Row) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.numbers.items())


def _told(row: Row) -> Json:
    return {
        "name": row.name,
        "measures": row.measures,
        "seed": row.seed,
        "series": row.series,
        "events": row.events,
        "cpu_s": row.cpu_s,
        **row.numbers,
        "details": row.details,
    }


if __name__ == "__main__":
    main()
