"""What several commands share: the settings option, and output that people and programs can read."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from topology.settings import Loaded, Settings

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="SENTINEL_CONFIG",
        help="YAML file of settings; the environment (SENTINEL_SECTION__KEY) stands above it.",
    ),
]


class UserError(Exception):
    """Something that the person at the keyboard can put right; the text is one plain line that says how."""


def loaded_from(config: Path | None) -> "Loaded":
    """The settings with their origins. Raises SettingsRefused."""
    from topology.settings import load

    return load(config)


def settings_from(config: Path | None) -> "Settings":
    """The settings. Raises SettingsRefused."""
    return loaded_from(config).settings


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on standard output; columns are aligned, and nothing is cut when it is piped into another program."""
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=not console.is_terminal)
    widths = [len(column) for column in columns]
    for row in rows:
        table.add_row(*row)
        widths = [max(width, len(cell)) for width, cell in zip(widths, row, strict=True)]
    console.print(table, width=None if console.is_terminal else sum(widths) + 2 * len(widths))
