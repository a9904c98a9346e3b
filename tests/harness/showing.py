"""What every benchmark prints: tables on standard output, or with `--json` one object there;
progress on standard error.
"""

import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from rich.console import Console
from rich.table import Table

Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None

WIDTH = 150
"""Columns of a table that does not go to a terminal, so that a log shows it whole."""


class BenchmarkFailed(Exception):
    """A benchmark could not measure; the text is one line that says why."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table of results."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(slots=True)
class Screen:
    """Where progress and results go."""

    as_json: bool
    _progress: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))
    _began: float = field(default_factory=time.monotonic)

    def note(self, line: str) -> None:
        """A line of progress."""
        self._progress.print(line, markup=False, soft_wrap=True)

    def say(self, line: str) -> None:
        """A line of progress that begins with the time since this was made."""
        self.note(f"{time.monotonic() - self._began:6.1f} s  {line}")

    def results(self, machine: str, sheets: Sequence[Sheet], whole: Mapping[str, Json]) -> None:
        """The tables, or with `--json` the object, which then is all that standard output holds."""
        if self.as_json:
            sys.stdout.write(json.dumps({**whole, "machine": machine}) + "\n")
            return
        console = Console(highlight=False)
        if not console.is_terminal:
            console = Console(highlight=False, width=WIDTH)
        for sheet in sheets:
            table = Table(
                title=sheet.title,
                caption=sheet.note or None,
                title_justify="left",
                caption_justify="left",
            )
            for index, column in enumerate(sheet.columns):
                table.add_column(column, justify="right" if index else "left")
            for row in sheet.rows:
                table.add_row(*row)
            console.print(table)
        console.print(machine, markup=False, soft_wrap=True)


def end_in_order() -> None:
    """Lets SIGTERM unwind the program as Ctrl-C does, so that servers and folders go with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def percentile(values: Sequence[float], share: float) -> float:
    """The value at rank ceil(share * n) of n values: one that was seen, never one between two.
    Raises ValueError without values.

    >>> percentile([3.0, 1.0, 2.0], 0.5), percentile([1.0, 2.0], 0.99)
    (2.0, 2.0)
    """
    if not values:
        raise ValueError("there is no percentile of nothing")
    rank = max(1, -int(-share * len(values) // 1))
    return sorted(values)[rank - 1]
