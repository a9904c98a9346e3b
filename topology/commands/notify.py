"""`sentinel notify-test`: whether a receiver accepts messages."""

from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import UserError
from topology.commands.options import Config, settings_from, show_table

if TYPE_CHECKING:
    from topology.settings.receivers import ConnectedReceiver


def notify_test(
    receiver: Annotated[
        str | None,
        typer.Argument(
            help=(
                "Name of the receiver in `alerting.receivers`. With --dry-run may be left out: all"
                " of them."
            ),
            metavar="RECEIVER",
        ),
    ] = None,
    config: Config = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be sent.")
    ] = False,
    reaches: Annotated[
        list[str] | None,
        typer.Option(
            "--reaches",
            help=(
                "Only print which receivers would get an incident with this FIELD=VALUE; may be"
                " repeated."
            ),
            metavar="FIELD=VALUE",
        ),
    ] = None,
) -> None:
    """Send a receiver the start and the end of an incident that says that it is a test; one attempt
    each.

    The receiver's own rules (match, severity, silences, caps) do not apply; --reaches asks them.
    Exit status 1 if it does not accept one of them.
    """
    import asyncio

    from topology.notify_test import NotAccepted, reached, sample_messages, send, shown

    settings = settings_from(config).alerting
    if reaches:
        try:
            show_table(("receiver", "an incident like this is"), reached(settings, reaches))
        except ValueError as fault:
            raise UserError(str(fault)) from fault
        return
    if dry_run:
        chosen = settings.receivers if receiver is None else (_named(receiver, settings.receivers),)
        for one in chosen:
            for message in sample_messages(settings):
                if receiver is None:
                    typer.echo(f"{one.name} ({one.kind}), {message.reason}:")
                typer.echo(shown(one, message))
        return
    if receiver is None:
        raise UserError(
            f"name a receiver ({_known(settings.receivers)}), or describe an incident with"
            " --reaches application=checkout"
        )
    name = _named(receiver, settings.receivers).name
    try:
        for line in asyncio.run(send(settings, name, sample_messages(settings))):
            typer.echo(line)
    except NotAccepted as fault:
        raise UserError(str(fault)) from fault


def _named(name: str, receivers: "tuple[ConnectedReceiver, ...]") -> "ConnectedReceiver":
    for receiver in receivers:
        if receiver.name == name:
            return receiver
    raise UserError(f"no receiver is called {name!r}; alerting.receivers has {_known(receivers)}")


def _known(receivers: "tuple[ConnectedReceiver, ...]") -> str:
    return ", ".join(receiver.name for receiver in receivers) or "none"
