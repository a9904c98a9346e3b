"""`sentinel settings`: what is set, where it was set, and whether a file is right."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import UserError
from topology.commands.options import Config, loaded_from, settings_from, show_table

settings = typer.Typer(
    no_args_is_help=True,
    help="Show settings and where each was set, check a settings file, and publish its detection.",
)


@settings.command(
    epilog="Example: SENTINEL_LANES__BUCKET_S=20 sentinel settings show --config sentinel.yaml"
)
def show(config: Config = None) -> None:
    """Print every setting: value, unit, and where it came from (default, file and line, or
    variable).

    Secrets are shown as ***, and so are passwords, the values of queries, and what looks like a
    token in the path of an address.
    """
    show_table(
        ("setting", "value", "unit", "from"),
        [(row.path, row.value, row.unit, row.origin) for row in loaded_from(config).rows()],
    )


@settings.command(epilog="Example: sentinel settings validate sentinel.yaml")
def validate(
    file: Annotated[Path, typer.Argument(help="The settings file.", metavar="FILE")],
) -> None:
    """Check a settings file together with the environment: one line for each error, exit status 1
    if there is any.

    Receivers are built as alert builds them, and nothing is sent. A line that begins with `hint`
    is about a setting that works but is hardly intended.
    """
    from topology.stages.receivers import check_receivers

    loaded = loaded_from(file)
    faults, hints = check_receivers(loaded.settings.alerting)
    if faults:
        raise UserError(
            "\n".join(f"{loaded.origin(fault.partition(':')[0])}: {fault}" for fault in faults)
        )
    for hint in [
        *map(str, loaded.hints()),
        *(f"{loaded.origin(hint.partition(':')[0])}: {hint}" for hint in hints),
    ]:
        typer.echo(f"hint: {hint}")
    typer.echo(f"{file}: good")


@settings.command(epilog="Example: sentinel settings publish --config sentinel.yaml")
def publish(config: Config = None) -> None:
    """Publish the section `detection`: an immutable version, and a signed record in every lane
    after which it takes effect.

    Each worker reads the other sections when it starts; this one must be the same for all, so
    it goes through the log.
    """
    import getpass

    from streams.client.brokers import reach
    from topology.control.publishing import publish as publish_detection

    given = settings_from(config)
    reach(given.broker)
    version = publish_detection(
        given.broker,
        given.lanes,
        given.detection,
        given.worker.control_key,
        author=getpass.getuser(),
    )
    typer.echo(f"detection settings {version} take effect in every lane from its next record on")
