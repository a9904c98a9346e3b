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
    """A table on standard output: folded to a terminal's width, or in whole aligned lines where another program reads it."""
    from rich.console import Console
    from rich.table import Table

    cells = [tuple(columns), *map(tuple, rows)]
    console = Console()
    if console.is_terminal:
        table = Table(*columns, box=None, pad_edge=False, header_style="bold")
        for row in cells[1:]:
            table.add_row(*row)
        console.print(table, markup=False)
        return
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
