"""What the demo shows: the page's address, a bar while it plays, a line for each fault found and each message, and a table at the end."""

import json
import sys
from collections.abc import Callable, Sequence
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from schemas.records import Anomaly
from topology.demo_receiver import Message
from topology.scoring import Json, Label, Score, Scores

_COLOURS: Final = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "info": "dim"}
_FILE_WIDTH: Final = 140


class Screen:
    """Writes to standard error, so that `--json` has standard output to itself."""

    def __init__(self, *, quiet: bool, open_page: Callable[[str], None] = lambda link: None) -> None:
        terminal = Console(stderr=True).is_terminal
        self._open_page: Final = open_page
        # A log file has no width to fold a table to.
        self._console: Final = Console(
            stderr=True, quiet=quiet, highlight=False, soft_wrap=True, width=None if terminal else _FILE_WIDTH
        )
        self._bar: Final = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[clock]}  {task.completed:,.0f} of {task.total:,.0f} events"),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("playing", total=1, clock="00:00", visible=False)
        self._start = 0

    def __enter__(self) -> "Screen":
        self._bar.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._bar.stop()

    def note(self, line: str) -> None:
        """A line of what goes on."""
        self._console.print(line, style="dim", markup=False)

    def process(self, line: str) -> None:
        """What the supervisor says: that a process died and comes again is news, that it started is not."""
        if " died " in line:
            self.note(line)

    def page(self, link: str) -> None:
        """The page answers at this address, which has the token in it; a browser is opened if somebody sits before one."""
        self._console.print(f"the page: {link}", style="bold", markup=False)
        self._open_page(link)

    def found(self, label: Label, anomaly: Anomaly, delay_s: float) -> None:
        """A fault was found, so many seconds of event time after it began."""
        self._console.print(f"found    {label.name} after {delay_s:.0f} s ", style="bold green", end="", markup=False)
        self._console.print(f"in {label.application}, by {anomaly.metric} ({anomaly.detector})", markup=False)

    def begin(self, events: int, start: int) -> None:
        """Playing begins: so many events, the first at `start` (event time, µs)."""
        self._start = start
        self._bar.update(self._task, total=events, visible=True)

    def played(self, sent: int, event_time: int) -> None:
        """So many events were sent, the last with this event time, µs."""
        minutes, seconds = divmod(max(event_time - self._start, 0) // 1_000_000, 60)
        self._bar.update(self._task, completed=sent, clock=f"{minutes:02d}:{seconds:02d}")

    def message(self, message: Message) -> None:
        """A message that a receiver got."""
        colour = _COLOURS.get(message.severity, "")
        what = message.kind.removeprefix("incident.")
        self._console.print(f"message  {what:<10} {message.severity:<9}", style=colour, end="", markup=False)
        self._console.print(message.title, markup=False)

    def result(self, scores: Scores, report: dict[str, Json]) -> None:
        """The table of faults, and below it what the whole cost."""
        self._console.print(_faults(scores.faults))
        false = [f"  false alarm: {incident.title}" for incident in scores.false_alarms]
        for line in [*_summary(report), *false]:
            self._console.print(line, markup=False)


def print_json(report: dict[str, Json]) -> None:
    """The result as one object on standard output."""
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


def _faults(faults: Sequence[Score]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("fault", "application", "found", "after", "by", "messages"):
        table.add_column(column)
    for fault in faults:
        by, delay = fault.found_by, fault.delay_s
        table.add_row(
            fault.label.name,
            fault.label.application,
            "yes" if by else "no",
            f"{delay:.1f} s" if delay is not None else "",
            f"{by.metric} ({by.detector})" if by else "",
            str(len(fault.messages)),
            style="" if by else "red",
        )
    return table


def _summary(report: dict[str, Json]) -> list[str]:
    memory = report["memory_mb"]
    return [
        f"{report['found']} of {len(_list(report['faults']))} faults found, {report['false_alarms']} false alarms, "
        f"{report['notifications']} messages received; `after` is event time, from a fault's start to the close of the bucket that found it",
        f"{report['events']:,} events, {report['events_per_s']:,} a second; {report['wall_s']} s in all, "
        f"first anomaly {report['first_anomaly_s']} s after the start"
        + (f", {memory} MB of memory at most (PSS of all processes)" if memory is not None else ""),
    ]


def _list(value: Json) -> list[Json]:
    assert isinstance(value, list)
    return value
