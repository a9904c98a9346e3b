"""`sentinel lanes`: the positions of lanes, and their reset."""

import dataclasses
from enum import StrEnum
from typing import Annotated

import typer

from topology.commands.options import Config, settings_from, show_table

lanes = typer.Typer(no_args_is_help=True, help="Show the position of each lane, and reset lanes.")


class Stage(StrEnum):
    """Stages that keep state in lanes."""

    DETECT = "detect"
    CORRELATE = "correlate"
    ALERT = "alert"


StageArgument = Annotated[Stage, typer.Argument(help="The stage.", show_default=False)]


@lanes.command(epilog="Example: sentinel lanes show detect --config sentinel.yaml")
def show(stage: StageArgument, config: Config = None) -> None:
    """Print each lane of a stage: its position, watermark, and state, as its state topic holds
    them.
    """
    from streams.admin.inspection import lanes as read_lanes

    reports = read_lanes(settings_from(config).broker, stage.value)
    if not reports:
        typer.echo(f"no lane of {stage.value} has state yet")
        return
    columns = [column.name for column in dataclasses.fields(reports[0])]
    show_table(
        columns, [[str(getattr(report, column)) for column in columns] for report in reports]
    )


@lanes.command(
    epilog=(
        "Example: sentinel lanes reset detect --lane 3        (shows it)\n\nand with --yes does it."
    )
)
def reset(
    stage: StageArgument,
    config: Config = None,
    lane: Annotated[
        list[int] | None, typer.Option(help="Only this lane; repeat it for more. Default: all.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without --yes, only show it.")] = False,
) -> None:
    """Delete the state and the positions of a stage's lanes. Its workers must be stopped; they
    start again at the committed offset.
    """
    from streams.admin.inspection import reset as reset_lanes

    lines = list(reset_lanes(settings_from(config).broker, stage.value, lane, dry_run=not yes))
    for line in lines:
        typer.echo(line)
    if lines and stage is Stage.DETECT:
        # What was still wrong was in the state that is gone: nothing will say that it ended.
        typer.echo(
            "incidents that these lanes have open now are not resolved any more: see sentinel"
            " incidents, and sentinel close"
        )
        typer.echo(
            "which detection settings are in effect is forgotten too: run sentinel settings publish"
            " afterwards"
        )
    if not yes:
        typer.echo("nothing was changed; run it again with --yes")
