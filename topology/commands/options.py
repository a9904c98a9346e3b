"""Shared by several commands: the settings option, and output for people and programs."""

import itertools
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from topology.settings.installation import Settings
    from topology.settings.loading import Loaded

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="SENTINEL_CONFIG",
        help="YAML settings file; environment variables (SENTINEL_SECTION__KEY) override it.",
    ),
]


_MIN_WIDTH: Final = 12
"""Width of a column, in characters, below which it is not folded further."""


def loaded_from(config: Path | None) -> "Loaded":
    """The settings with their origins. Raises SettingsRefused."""
    from topology.settings.loading import load

    return load(config)


def settings_from(config: Path | None) -> "Settings":
    """The settings. Raises SettingsRefused."""
    return loaded_from(config).settings


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on standard output: folded to a terminal's width, or in whole aligned lines where
    another program reads it.

    Characters that would move the cursor or colour the text are replaced: cells may hold text from
    telemetry.
    """
    cells = [tuple(plain(cell) for cell in row) for row in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if sys.stdout.isatty():
        widths = _folded(widths, shutil.get_terminal_size().columns)
    for number, row in enumerate(cells):
        for line in _lines(row, widths):
            typer.secho(line, bold=number == 0)


def plain(text: str) -> str:
    """The text without characters that would move a terminal's cursor or change its colours."""
    return "".join(character if character.isprintable() else "�" for character in text)


def _folded(widths: Sequence[int], width: int) -> list[int]:
    """Widths that fit: the widest columns shrink first, down to `_MIN_WIDTH`."""
    fitted = list(widths)
    while sum(fitted) + 2 * (len(fitted) - 1) > width and max(fitted) > _MIN_WIDTH:
        fitted[fitted.index(max(fitted))] -= 1
    return fitted


def _lines(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    folded = [textwrap.wrap(cell, width) or [""] for cell, width in zip(row, widths, strict=True)]
    for parts in itertools.zip_longest(*folded, fillvalue=""):
        yield "  ".join(
            part.ljust(width) for part, width in zip(parts, widths, strict=True)
        ).rstrip()
