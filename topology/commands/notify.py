"""`sentinel notify-test`: whether a receiver takes our messages."""

from typing import TYPE_CHECKING, Annotated

import typer

from topology.commands.options import Config, UserError, settings_from, show_table

if TYPE_CHECKING:
    from agents.alerting.settings import ReceiverSettings


def notify_test(
    receiver: Annotated[
        str | None, typer.Argument(help="Name of the receiver in `alerting.receivers`.", metavar="RECEIVER")
    ] = None,
    config: Config = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be sent.")] = False,
    reaches: Annotated[
        list[str] | None,
        typer.Option(
            "--reaches",
            help="Only print which receivers an incident with this FIELD=VALUE would be told to; may be given again.",
            metavar="FIELD=VALUE",
        ),
    ] = None,
) -> None:
    """Send a receiver the start and the end of an incident that says that it is a test; one attempt each.

    The receiver's own rules (match, severity, silences, caps) do not apply; --reaches asks them. Exit status 1 if it does not take one of them.
    """
    import asyncio

    from topology.notify_test import NotTaken, reached, sample_messages, send, shown

    settings = settings_from(config).alerting
    if reaches:
        try:
            show_table(("receiver", "an incident like this is"), reached(settings, reaches))
        except ValueError as fault:
            raise UserError(str(fault)) from fault
        return
    if receiver is None:
        raise UserError("name a receiver, or describe an incident with --reaches application=checkout")
    chosen = _named(receiver, settings.receivers)
    messages = sample_messages(settings)
    if dry_run:
        for message in messages:
            typer.echo(shown(chosen, message))
        return
    try:
        for line in asyncio.run(send(settings, receiver, messages)):
            typer.echo(line)
    except NotTaken as fault:
        raise UserError(str(fault)) from fault


def _named(name: str, receivers: "tuple[ReceiverSettings, ...]") -> "ReceiverSettings":
    for receiver in receivers:
        if receiver.name == name:
            return receiver
    known = ", ".join(receiver.name for receiver in receivers) or "none"
    raise UserError(f"no receiver is called {name!r}; alerting.receivers has {known}")
