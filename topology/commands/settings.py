"""`sentinel settings`: what is set, where it was set, and whether a file is right."""

from pathlib import Path
from typing import Annotated

import typer

from topology.commands.options import Config, loaded_from, show_table

settings = typer.Typer(no_args_is_help=True, help="Show what is set and where, and check a settings file.")


@settings.command(epilog="Example: SENTINEL_LANES__BUCKET_S=20 sentinel settings show --config sentinel.yaml")
def show(config: Config = None) -> None:
    """Print every setting: value, unit, and where it came from (default, file and line, or variable). Secrets are shown as ***."""
    show_table(
        ("setting", "value", "unit", "from"),
        [(row.path, row.value, row.unit, row.origin) for row in loaded_from(config).rows()],
    )


@settings.command(epilog="Example: sentinel settings validate sentinel.yaml")
def validate(
    file: Annotated[Path, typer.Argument(help="The settings file.", metavar="FILE")],
) -> None:
    """Check a settings file together with the environment: one line for each error, exit status 1 if there is any."""
    loaded_from(file)
    typer.echo(f"{file}: good")
