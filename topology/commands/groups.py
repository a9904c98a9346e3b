"""The commands in `sentinel --help`, in the groups in which people look for them."""

from typing import Any, Final

from typer.core import TyperGroup

GROUPS: Final = {
    "Getting started": {
        "demo": "play an hour of traffic with seven known faults",
        "init": "write a settings file and its secrets",
        "doctor": "check everything, and advise what to do",
        "settings": "show, check and publish settings",
        "topics": "create and check the topics",
    },
    "Running": {
        "worker": "one worker of one stage",
        "standalone": "all stages on this machine",
        "api": "the page and the JSON API",
        "lanes": "show lanes, and reset them",
        "capacity": "workers, memory and disk for your load",
    },
    "Investigating": {
        "incidents": "list incidents",
        "anomalies": "list anomalies",
        "explain": "one anomaly and its evidence",
        "messages": "decisions about messages, and why",
        "audit": "commands of people, and their outcomes",
    },
    "Responding": {
        "acknowledge": "acknowledge an incident: it is not repeated",
        "silence": "hold messages back for a while",
        "close": "close an incident that does not resolve",
    },
    "Trying out": {
        "notify-test": "send a receiver a test incident",
        "produce": "send telemetry",
        "backtest": "score recorded data",
    },
}
"""Heading, commands and what each does; a command that is in no group comes last, with the begin of
its own text.
"""


class Grouped(TyperGroup):
    """A command whose help lists its commands in `GROUPS`."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """One short list for each group."""
        left = dict.fromkeys(self.list_commands(ctx))
        for heading, names in GROUPS.items():
            rows = [(name, text) for name, text in names.items() if name in left]
            for name, _ in rows:
                del left[name]
            with formatter.section(heading):
                formatter.write_dl(rows)
        others = [(name, self.commands[name].get_short_help_str()) for name in left]
        if others:
            with formatter.section("Others"):
                formatter.write_dl(others)
