"""The demo's output: the page's address, a progress bar, a line for each fault found and each
message, and a table at the end.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from schemas.records.anomalies import Anomaly
from topology.demo.progress import Seen
from topology.demo.receiver import Message
from topology.demo.scoring import Json, Label, Score, Scores
from topology.demo.traces.scenario import DURATION_S

_COLOURS: Final = {
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "cyan",
    "info": "dim",
}
_FILE_WIDTH: Final = 140

LINE_EVERY_S: Final = 10.0
"""Seconds between two lines about what the demo waits for, without a terminal."""

MINUTES_A_LINE: Final = 10
"""Minutes of event time between two lines about what was played, without a terminal."""


class _Phase(StrEnum):
    """The phase of the demo, as shown."""

    STARTING = "starting"
    PLAYING = "playing"
    WORKING_OFF = "finishing"


class Screen:
    """Writes to standard error, so that `--json` has standard output to itself.

    Shows a progress bar in a terminal, and lines elsewhere.
    """

    def __init__(self, *, open_page: Callable[[str], None] = lambda link: None) -> None:
        self._terminal: Final = Console(stderr=True).is_terminal
        self._open_page: Final = open_page
        # A log file has no width: a table is not wrapped to one.
        self._console: Final = Console(
            stderr=True,
            highlight=False,
            soft_wrap=True,
            width=None if self._terminal else _FILE_WIDTH,
        )
        self._bar: Final = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[detail]}"),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None, detail="")
        self._start, self._events = 0, 0
        self._phase = _Phase.STARTING
        self._ready: set[str] = set()
        self._next_line_s, self._next_minute = LINE_EVERY_S, MINUTES_A_LINE

    def __enter__(self) -> "Screen":
        self._bar.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._bar.stop()

    def note(self, line: str) -> None:
        """A line about progress."""
        self._console.print(Text(line, style="dim"))

    def process(self, line: str) -> None:
        """A line of the supervisor: the death of a process is shown, its start is not."""
        # The supervisor has one line for each event, and no other way to tell them apart.
        if " died " in line:
            self.note(line)

    def processes(self, seen: Mapping[str, Seen], after_s: float) -> None:
        """The state of the processes, `after_s` seconds after the start."""
        for name in sorted(
            name for name, one in seen.items() if one.ready and name not in self._ready
        ):
            self._ready.add(name)
            if self._phase is _Phase.STARTING:
                self.note(f"{name} is ready after {after_s:.0f} s")
        match self._phase:
            case _Phase.STARTING:
                waits_for = sorted(name for name, one in seen.items() if not one.ready)
            case _Phase.PLAYING:
                return
            case _Phase.WORKING_OFF:
                waits_for = sorted(name for name, one in seen.items() if not one.idle)
        detail = (
            f"waiting for {', '.join(waits_for) or 'the last records'}, {after_s:.0f} s after the"
            " start"
        )
        self._bar.update(self._task, detail=detail)
        if not self._terminal and after_s >= self._next_line_s:
            self.note(f"{self._phase.value}: {detail}")
            self._next_line_s = after_s + LINE_EVERY_S

    def page(self, link: str) -> None:
        """The page answers at this address, which has the token; opens a browser on a desktop."""
        self._console.print(Text(f"the page: {link}", style="bold"))
        self._open_page(link)

    def found(self, label: Label, anomaly: Anomaly, delay_s: float) -> None:
        """A fault was found, `delay_s` seconds of event time after it began."""
        what = (f"found    {label.name} after {delay_s:.0f} s ", "bold green")
        # In one print: the bar is redrawn after each one, over whatever is on its line.
        self._console.print(
            Text.assemble(what, f"in {label.application}, by {anomaly.metric} ({anomaly.detector})")
        )

    def begin(self, events: int, start: int) -> None:
        """Playing begins: the number of events, and the time of the first (event time, µs)."""
        self._start, self._events, self._phase = start, events, _Phase.PLAYING
        self.note(f"playing {events:,} events of {DURATION_S // 60 + 1} minutes")
        self._bar.update(self._task, description=self._phase.value, total=events, detail="")

    def played(self, sent: int, event_time: int) -> None:
        """So many events were sent, the last with this event time, µs."""
        minutes, seconds = divmod(max(event_time - self._start, 0) // 1_000_000, 60)
        detail = f"{minutes:02d}:{seconds:02d}  {sent:,} of {self._events:,} events"
        self._bar.update(self._task, completed=sent, detail=detail)
        if not self._terminal and minutes >= self._next_minute:
            self.note(f"{self._phase.value}: {detail}")
            self._next_minute = minutes + MINUTES_A_LINE

    def sent(self) -> None:
        """All events are sent; the stages still work."""
        self._phase, self._next_line_s = _Phase.WORKING_OFF, 0.0
        self._bar.update(self._task, description=self._phase.value, total=None)

    def message(self, message: Message) -> None:
        """A message that a receiver got."""
        colour = _COLOURS.get(message.severity, "")
        what = message.kind.removeprefix("incident.")
        self._console.print(
            Text.assemble((f"message  {what:<10} {message.severity:<9}", colour), message.title)
        )

    def result(self, scores: Scores, report: dict[str, Json]) -> None:
        """The table of faults, and the totals below it."""
        self._bar.stop()
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
        (
            f"{report['found']} of {len(_list(report['faults']))} faults found,"
            f" {report['false_alarms']} false alarms, {report['notifications']} messages received;"
            " `after` is event time, from a fault's start to the close of the bucket that found it"
        ),
        f"{report['events']:,} events, {report['events_per_s']:,} a second; {report['wall_s']} s in"
        f" total, first anomaly {report['first_anomaly_s']} s after the start"
        + (f", {memory} MB of memory at peak (PSS of all processes)" if memory is not None else ""),
    ]


def _list(value: Json) -> list[Json]:
    assert isinstance(value, list)
    return value
