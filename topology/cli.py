"""The command `sentinel`.

Commands import what they need when they run, so that `sentinel --help` answers at once. What goes
wrong is one plain line on standard error: exit status 1 for what the person can put right, 2 for a
wrong command line, 70 for a bug; `--debug` gives the traceback. An error whose class derives from
`UserError` is one that the person can put right.
"""

import os
import sys
import traceback
from typing import Annotated, Final

import typer

from schemas.errors import UserError
from schemas.redacting import redacted
from topology.commands.api import api
from topology.commands.backtest import backtest
from topology.commands.capacity import capacity
from topology.commands.demo import announce, demo
from topology.commands.doctor import doctor
from topology.commands.explain import explain
from topology.commands.groups import Grouped
from topology.commands.init import init
from topology.commands.lanes import lanes
from topology.commands.listing import anomalies, audit, incidents, messages
from topology.commands.notify import notify_test
from topology.commands.people import acknowledge, close, silence
from topology.commands.produce import produce
from topology.commands.run import standalone, worker
from topology.commands.settings import settings
from topology.commands.topics import topics

BUG: Final = 70
"""Exit status of a defect (EX_SOFTWARE): supervisors start the process again, people report it."""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    cls=Grouped,
    rich_markup_mode=None,
    help=(
        "Watches LLM and ML deployments: telemetry on Kafka in, one signed message per incident"
        " out."
    ),
)
app.command(epilog="Example: sentinel worker detect --config sentinel.yaml")(worker)
app.command(epilog="Example: sentinel standalone --embedded")(standalone)
app.command(epilog="Example: sentinel api --config sentinel.yaml")(api)
app.add_typer(topics, name="topics")
app.add_typer(settings, name="settings")
app.add_typer(lanes, name="lanes")
app.command(
    epilog=(
        "Example: sentinel silence tenant=acme application=checkout 'severity<=medium' --for 2h"
        " --comment deploy"
    )
)(silence)
app.command(epilog="Example: sentinel acknowledge 4f1c0a... --tenant acme --config sentinel.yaml")(
    acknowledge
)
app.command(
    epilog=(
        "Example: sentinel close 4f1c0a... --tenant acme --comment 'client retired' --config"
        " sentinel.yaml"
    )
)(close)
app.command(
    "notify-test", epilog="Example: sentinel notify-test on-call --dry-run --config sentinel.yaml"
)(notify_test)
app.command(
    epilog=(
        "Example: sentinel capacity --events-per-s 100000 --subjects 50000 --retention-days"
        " telemetry=3"
    )
)(capacity)
app.command(
    epilog="Example: sentinel incidents --state open --severity high --severity critical --since 2h"
)(incidents)
app.command(
    epilog="Example: sentinel anomalies --tenant acme --application checkout --since 30m --json"
)(anomalies)
app.command(
    epilog="Example: sentinel messages --tenant acme --incident 4f1c0a... --outcome suppressed"
)(messages)
app.command(epilog="Example: sentinel audit --tenant acme --since 1w")(audit)
app.command(
    epilog=(
        "Example: sentinel init try --bootstrap-servers kafka-1:9093 --username sentinel --dry-run"
    )
)(init)
app.command(epilog="Example: sentinel doctor --config sentinel.yaml --json")(doctor)
app.command()(produce)
app.command()(explain)
app.command()(backtest)
app.command()(demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"sentinel {version('llm-sentinel')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error. May be given anywhere.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """The options of every command; `main` takes --debug out before they are read."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command line and end the process with its status."""
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words or os.environ.get("SENTINEL_DEBUG") == "1"
    words = [word for word in words if word != "--debug"]
    announce(words)
    # None is wanted, and to look for them through all packages takes as long as a short command.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    # What is written holds tenants' data or secrets: nobody but this user is to read it.
    os.umask(os.umask(0o077) | 0o077)
    try:
        app(args=words, prog_name="sentinel")
    # A process edge: whatever comes out here was not foreseen, and must end in a status that says
    # so.
    except Exception as error:  # noqa: BLE001
        lines, status = _explained(error)
        if debug:
            lines, status = traceback.format_exc().splitlines(), 1
        for line in lines:
            sys.stderr.write(redacted(line if debug else f"sentinel: {line}") + "\n")
        sys.exit(status)


def _explained(error: Exception) -> tuple[list[str], int]:
    """What the person reads, and the exit status."""
    if isinstance(error, UserError):
        return str(error).splitlines(), error.exit_status
    # By its name: to import the client takes longer than a short command, and whoever raised this
    # has imported it.
    if any(
        f"{kind.__module__}.{kind.__qualname__}" == "cimpl.KafkaException"
        for kind in type(error).__mro__
    ):
        return [f"Kafka: {error.args[0].str()}"], 1
    name = type(error).__name__
    return [
        f"a bug: {name}: {' '.join(str(error).split())}; --debug shows where, please report it"
    ], BUG
